"""A compiled network as a file: written on a workstation, read where NumPy is all there is.

The file is a NumPy archive (``.npz``): ``plan``, JSON that says everything but the instructions, and the words of each
program. Nothing in it is executed. A checksum covers all of it: a file that was changed is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind
from eftrain_hdl.config import Config
from eftrain_hdl.files import FileError, read_arrays, write_arrays
from eftrain_hdl.graph import SGD, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import FORMATS
from eftrain_hdl.numerics import FloatFormat

from .layouts import MapLayout
from .memory import Tensor
from .plan import Plan, PlannedProgram
from .plan_check import Layout, check_plan, expected_layouts

__all__ = ["PlanFileError", "instruction_set", "load_plan", "save_plan"]

_VERSION = 2
_LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in (Conv2d, Flatten, Linear, MaxPool2d, ReLU)}
_ABOUT = "plan"
_PROGRAM = "program."
_FIELDS = (
    "version", "instruction_set", "config", "input_shape", "layers", "batch", "optimizer", "memory_base",
    "memory_bytes", "tensors", "programs",
)  # fmt: skip

T = TypeVar("T")


class PlanFileError(FileError):
    """A file that is no plan, or a plan that this version cannot run; the message starts with its path."""


def instruction_set() -> str:
    """Hash of the encoding of all instructions: programs made for another one mean something else."""
    text = "".join(
        f"{int(opcode)} {layout.words} "
        f"{[(one.name, one.bits, one.signed, layout.places[one.name]) for one in layout.fields]}"
        for opcode, layout in FORMATS.items()
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan. The same plan gives the same bytes."""
    check_kind("plan", plan, Plan, "a Plan such as compile_model(...) returns")
    about = {
        "version": _VERSION,
        "instruction_set": instruction_set(),
        "config": {**plan.config.as_dict(), "operand": asdict(plan.config.operand)},
        "input_shape": plan.model.input_shape,
        "layers": [{"kind": type(layer).__name__, **_values(layer)} for layer in plan.model.layers],
        "batch": plan.batch,
        "optimizer": asdict(plan.optimizer),
        "memory_base": plan.memory_base,
        "memory_bytes": plan.memory_bytes,
        "tensors": {name: [one.address, _plain(one.layout)] for name, one in plan.tensors.items()},
        "programs": {name: [one.address, one.labels] for name, one in plan.programs.items()},
    }
    text = json.dumps(about, allow_nan=False).encode()
    words = {_PROGRAM + name: one.words for name, one in plan.programs.items()}
    write_arrays(path, {_ABOUT: np.frombuffer(text, np.uint8), **words}, compressed=True)


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan. OSError if there is no such file, PlanFileError if it is not what `save_plan` writes.

    A plan that is returned is whole: the checksum is that of the content, and model, configuration, layouts, addresses
    and programs fit each other.
    """
    _about(path, read_arrays(path, PlanFileError, names=(_ABOUT,)))  # another version may have no checksum
    arrays = read_arrays(path, PlanFileError, checksum=True)
    try:
        return _plan(_about(path, arrays), arrays)
    except PlanFileError:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # no float holds some integers that JSON has
        raise PlanFileError(f"{path}: damaged or changed: {error}") from None


def _about(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """What the file says of itself, once it is known to be of this version."""
    try:
        about = json.loads(arrays[_ABOUT].tobytes())
        version, instructions = about["version"], about["instruction_set"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise PlanFileError(f"{path}: not a plan file") from None
    if version != _VERSION:
        raise PlanFileError(f"{path}: has version {version!r} of the format, not {_VERSION}: compile anew")
    if instructions != instruction_set():
        raise PlanFileError(f"{path}: was compiled for another encoding of the instructions: compile anew")
    return cast(dict[str, Any], about)


def _plan(about: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Plan:
    """The plan that the file describes. ValueError or TypeError, naming the field, if it describes none."""
    _check_names("the file", about, _FIELDS)
    layers = [_layer(f"layers[{k}]", one) for k, one in enumerate(_typed("layers", about["layers"], list))]
    model = Sequential(*layers, input_shape=about["input_shape"])
    optimizer = _made("optimizer", SGD, about["optimizer"])
    base, size = (_typed(name, about[name], int) for name in ("memory_base", "memory_bytes"))
    plan = Plan(model, _config(about["config"]), about["batch"], optimizer, base, size)
    _read_tensors(plan, _typed("tensors", about["tensors"], dict))
    programs = _typed("programs", about["programs"], dict)
    _check_names("the archive", arrays, (_ABOUT, *(_PROGRAM + name for name in programs)))
    for name, one in programs.items():
        where = f"programs.{name}"
        address, labels = _pair(where, one, int, list)
        marks = [_pair(f"{where}, label {k}", label, int, str) for k, label in enumerate(labels)]
        plan.programs[name] = PlannedProgram(name, address, arrays[_PROGRAM + name], marks)
    check_plan(plan)
    return plan


def _layer(where: str, values: Any) -> Layer:
    kind = _typed(where, values, dict).get("kind")
    if not isinstance(kind, str) or kind not in _LAYERS:
        raise ValueError(f"{where}: kind is {kind!r}: expected {', '.join(_LAYERS)}")
    return _made(where, _LAYERS[kind], {name: value for name, value in values.items() if name != "kind"})


def _config(values: Any) -> Config:
    operand = _made("config.operand", FloatFormat, _typed("config", values, dict).get("operand"))
    _typed("config.operand.name", operand.name, str)
    _typed("config.axi3", values.get("axi3"), bool)
    return _made("config", Config, {**values, "operand": operand})


def _read_tensors(plan: Plan, values: dict[str, Any]) -> None:
    """Put the tensors into the plan whose model the layouts have to be those of."""
    needed, between = expected_layouts(plan)
    if missing := set(needed) - set(values):
        raise ValueError(f"tensors: {min(missing)} is missing")
    for name, one in values.items():
        address, layout = _pair(f"tensors.{name}", one, int, dict)
        expected = needed.get(name) or between.get(name)
        if expected is None:
            raise ValueError(f"tensors.{name}: the model has no such tensor")
        if layout != json.loads(json.dumps(_plain(expected))):
            raise ValueError(f"tensors.{name}: the layout is not the one that the model asks for, {expected}")
        plan.tensors[name] = Tensor(name, address, expected)


def _made(where: str, kind: type[T], values: Any) -> T:
    """A dataclass whose constructor checks its values, from all of its fields."""
    _check_names(where, _typed(where, values, dict), [one.name for one in fields(cast(Any, kind))])
    return kind(**values)


def _check_names(where: str, values: Iterable[str], expected: Iterable[str]) -> None:
    if set(values) != set(expected):
        raise ValueError(f"{where} has {', '.join(sorted(values))}: expected {', '.join(sorted(expected))}")


def _typed(where: str, value: Any, kind: type[T]) -> T:
    if type(value) is not kind:  # True is no integer here
        raise ValueError(f"{where} is {value!r:.80}: expected {kind.__name__}")
    return value


def _pair(where: str, value: Any, first: type[T], second: type[Any]) -> tuple[T, Any]:
    if len(_typed(where, value, list)) != 2:
        raise ValueError(f"{where} has {len(value)} elements: expected 2")
    return _typed(where, value[0], first), _typed(where, value[1], second)


def _values(one: Any) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def _plain(layout: Layout) -> dict[str, Any]:
    values = _values(layout)
    if isinstance(layout, MapLayout):
        values["dtype"] = np.dtype(layout.dtype).name
    return {"kind": type(layout).__name__, **values}
