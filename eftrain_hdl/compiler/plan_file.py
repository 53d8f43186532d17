"""A compiled network as a file: written on a workstation, read where NumPy is all there is.

The file is a NumPy archive (``.npz``): ``plan``, JSON that says everything but the instructions, and the words of each
program. Nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import FORMATS
from eftrain_hdl.numerics import FloatFormat

from .layouts import MapLayout, PlanarLayout, WeightLayout
from .memory import Tensor
from .plan import Plan, PlannedProgram

__all__ = ["PlanFileError", "instruction_set", "load_plan", "save_plan"]

_VERSION = 1
_LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in (Conv2d, Flatten, Linear, MaxPool2d, ReLU)}
_LAYOUTS: dict[str, type[MapLayout | PlanarLayout | WeightLayout]] = {
    kind.__name__: kind for kind in (MapLayout, PlanarLayout, WeightLayout)
}
_PROGRAM = "program."


class PlanFileError(ValueError):
    """A file that is no plan, or a plan that this version cannot run; the message says why."""


def instruction_set() -> str:
    """Hash of the encoding of all instructions: programs made for another one mean something else."""
    text = "".join(
        f"{int(opcode)} {layout.words} {[(one.name, one.bits, one.signed) for one in layout.fields]}"
        for opcode, layout in FORMATS.items()
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan. The same plan gives the same bytes."""
    about = {
        "version": _VERSION,
        "instruction_set": instruction_set(),
        "config": {**plan.config.as_dict(), "operand": asdict(plan.config.operand)},
        "input_shape": plan.model.input_shape,
        "layers": [_named(layer) for layer in plan.model.layers],
        "batch": plan.batch,
        "optimizer": asdict(plan.optimizer),
        "memory_base": plan.memory_base,
        "memory_bytes": plan.memory_bytes,
        "tensors": {name: [one.address, _layout(one)] for name, one in plan.tensors.items()},
        "programs": {name: [one.address, one.labels] for name, one in plan.programs.items()},
    }
    text = json.dumps(about, allow_nan=False).encode()
    words = {_PROGRAM + name: one.words for name, one in plan.programs.items()}
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, plan=np.frombuffer(text, np.uint8), **cast(Any, words))
    partial.replace(target)


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan. OSError if there is no such file, PlanFileError if it is not what `save_plan` writes."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["plan"].tobytes())
    except (ValueError, KeyError, AttributeError, zipfile.BadZipFile, EOFError):
        raise PlanFileError(f"{path} is not a plan file") from None
    _check_version(path, about)
    try:
        return _plan(about, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanFileError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _check_version(path: str | os.PathLike[str], about: Any) -> None:
    version = about.get("version") if isinstance(about, dict) else None
    if version != _VERSION:
        raise PlanFileError(f"{path} has version {version!r} of the format, not {_VERSION}: compile anew")
    if about.get("instruction_set") != instruction_set():
        raise PlanFileError(f"{path} was compiled for another encoding of the instructions: compile anew")


def _plan(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Plan:
    config = Config(**{**about["config"], "operand": FloatFormat(**about["config"]["operand"])})
    layers = [_LAYERS[one.pop("kind")](**one) for one in about["layers"]]
    model = Sequential(*layers, input_shape=tuple(about["input_shape"]))
    plan = Plan(model, config, about["batch"], SGD(**about["optimizer"]), about["memory_base"], about["memory_bytes"])
    for name, (address, layout) in about["tensors"].items():
        plan.tensors[name] = Tensor(name, address, _read_layout(layout))
    for name, (address, labels) in about["programs"].items():
        words = arrays[_PROGRAM + name]
        if words.dtype != np.uint32 or words.ndim != 1:
            raise ValueError(f"program {name} has dtype {words.dtype} and {words.ndim} dimensions")
        plan.programs[name] = PlannedProgram(name, address, words, [(index, phase) for index, phase in labels])
    _check_places(plan)
    return plan


def _check_places(plan: Plan) -> None:
    """ValueError unless all lies in the plan's memory."""
    end = plan.memory_base + plan.memory_bytes
    everything: dict[str, Tensor | PlannedProgram] = {**plan.tensors, **plan.programs}
    for name, one in everything.items():
        if not plan.memory_base <= one.address <= one.address + one.nbytes <= end:
            raise ValueError(f"{name} lies outside of the plan's memory")


def _named(layer: Layer) -> dict[str, Any]:
    return {"kind": type(layer).__name__, **{one.name: getattr(layer, one.name) for one in fields(cast(Any, layer))}}


def _layout(tensor: Tensor) -> dict[str, Any]:
    layout = tensor.layout
    values = {one.name: getattr(layout, one.name) for one in fields(layout)}
    if isinstance(layout, MapLayout):
        values["dtype"] = np.dtype(layout.dtype).name
    return {"kind": type(layout).__name__, **values}


def _read_layout(values: dict[str, Any]) -> MapLayout | PlanarLayout | WeightLayout:
    kind = _LAYOUTS[values.pop("kind")]
    lists: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    if kind is MapLayout:
        lists["dtype"] = {"float32": np.float32, "uint32": np.uint32}[lists["dtype"]]
    return kind(**lists)
