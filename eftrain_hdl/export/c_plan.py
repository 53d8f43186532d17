"""A plan as C source, for `examples/bare_metal`: programs and initial parameters as arrays, addresses as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.compiler import Plan, Tensor
from eftrain_hdl.compiler.layouts import MapLayout, PlanarLayout

__all__ = ["c_plan"]

_WORDS_PER_LINE = 8


def c_plan(plan: Plan, parameters: Mapping[str, NDArray[Any]]) -> str:
    """The text of ``plan.c``, which defines the ``plan`` that ``driver.h`` declares.

    ``parameters`` are the initial ones by name; GraphError if they are not the network's. The plan's addresses are
    those that the program will use: see `Plan.relocated`.
    """
    return "\n".join(_lines(plan, parameters)) + "\n"


def _lines(plan: Plan, parameters: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    config, optimizer = plan.config, plan.optimizer
    yield f"/* A network for {config.rows} x {config.lanes} {config.operand.name}, batch {plan.batch}."
    yield " * Written by `eftrain compile --c-source`. */"
    yield '#include "driver.h"'
    programs = {name: plan.programs[name] for name in ("forward", "backward_update")}
    for name, program in programs.items():
        yield from _array(name, program.words)
    weights = {name: words.view(np.uint32) for name, words in plan.pack_parameters(parameters).items()}
    for name, words in weights.items():
        yield from _array(_identifier(name), words)
    yield ""
    yield "static const eftrain_block initial[] = {"
    for name, words in weights.items():
        yield f"    {_block(plan.tensors[name].address, _identifier(name), len(words))},"
    for name, tensor in plan.tensors.items():
        if name.startswith("velocity."):
            yield f"    {_block(tensor.address, '0', tensor.layout.words)}, /* {name} */"
    yield "};"
    yield ""
    yield "const eftrain_plan plan = {"
    for field, value in (
        ("configuration_hash", _long(config.digest)),
        ("batch", str(plan.batch)),
        ("memory_base", _wide(plan.memory_base)),
        ("memory_bytes", _wide(plan.memory_bytes)),
        ("learning_rate", _bits(optimizer.lr)),
        ("weight_decay", _bits(optimizer.weight_decay)),
        ("momentum", _bits(optimizer.momentum)),
        *((name, _block(one.address, name, len(one.words))) for name, one in programs.items()),
        *((name, _map(plan.tensors[name])) for name in ("input", "logits", "logits_gradient")),
        ("initial", "initial"),
        ("initial_count", "sizeof initial / sizeof initial[0]"),
    ):
        yield f"    .{field} = {value},"
    yield "};"


def _identifier(name: str) -> str:
    return name.replace(".", "_")


def _long(value: int) -> str:
    return f"UINT32_C(0x{value:08X})"


def _wide(value: int) -> str:
    return f"UINT64_C(0x{value:X})"


def _bits(value: float) -> str:
    return _long(int(np.float32(value).view(np.uint32)))


def _array(name: str, words: NDArray[np.uint32]) -> Iterator[str]:
    yield ""
    yield f"static const uint32_t {name}[{len(words)}] = {{"
    for start in range(0, len(words), _WORDS_PER_LINE):
        yield "    " + ", ".join(f"0x{int(word):08X}" for word in words[start : start + _WORDS_PER_LINE]) + ","
    yield "};"


def _block(address: int, words: str, count: int) -> str:
    return f"{{{_wide(address)}, {words}, {count}}}"


def _map(tensor: Tensor) -> str:
    layout = tensor.layout
    assert isinstance(layout, (MapLayout, PlanarLayout))
    values: dict[str, int | str] = {
        "address": _wide(tensor.address), "channels": layout.channels, "rows": layout.rows, "columns": layout.columns,
    }  # fmt: skip
    if isinstance(layout, PlanarLayout):
        values |= {"phases": layout.stride, "padding": layout.padding, "segment": layout.segment}
    else:
        values["lanes"] = layout.lanes
    return "{" + ", ".join(f".{name} = {value}" for name, value in values.items()) + "}"
