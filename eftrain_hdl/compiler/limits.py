"""What instructions can hold: every field that the compiler fills is checked here, and so is what its loops reach.

Addresses on the chip may wrap on their way, since only words that exist are used. Coordinates may not: a wrapped one
would lie inside of the map again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from eftrain_hdl.graph import Conv2d, MaxPool2d, Node
from eftrain_hdl.isa import FORMATS, Opcode

from .errors import CompileError

__all__ = [
    "MOST_COLUMNS", "MOST_POSITIONS", "MOST_RUN", "MOST_STRIDE", "DoesNotFit", "Reach", "check_fields",
    "check_layer", "check_reach", "naming", "pool_pitch", "wrap",
]  # fmt: skip

Reach = Mapping[str, tuple[int, int]]
"""By quantity: what the loops of a nest add to its base at least and at most."""

MOST_COLUMNS = 1 << 15
"""Columns of a map with the padding on one side: coordinates have 16 bits with a sign."""
MOST_POSITIONS = 1 << 16
"""Positions of a pooling window, numbered with 16 bits."""
MOST_RUN = (1 << 24) - 1
"""Beats of one run of a transfer, and of a program."""
MOST_STRIDE = 255
"""Stride of a convolution: loads count its phases with 8 bits."""

_COORDINATES = {
    "row": (-(1 << 15), (1 << 15) - 1, "rows of the tile and its padding"),
    "col": (-(1 << 15), (1 << 15) - 1, "columns of the map and its padding"),
    "y": (-(1 << 15), (1 << 15) - 1, "rows of the tile and its padding"),
    "x": (-(1 << 15), (1 << 15) - 1, "columns of the map and its padding"),
    "index": (0, MOST_POSITIONS - 1, "positions of the pooling window"),
    "group": (0, 255, "rows of the array divided by the words of a beat"),
}
_MEANING = {
    "run": "beats of one contiguous run",
    "x_phases": "stride along the columns",
    "y_phases": "stride along the rows",
    "stride1": "bytes from run to run",
    "stride2": "bytes from run to run",
    "stride3": "bytes of one image of a map, or of one tile of weights",
}


class DoesNotFit(CompileError):
    """Something is too large for an instruction; `naming` adds the layer."""


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Put ``what``, the layer and its phase, before what does not fit."""
    try:
        yield
    except DoesNotFit as error:
        raise CompileError(f"{what}: {error}") from None


@cache
def _ranges(opcode: Opcode) -> Mapping[str, tuple[int, int]]:
    """Least and largest value of each field."""
    return {
        field.name: (-(1 << (field.bits - 1)), (1 << (field.bits - 1)) - 1)
        if field.signed else (0, (1 << field.bits) - 1)
        for field in FORMATS[opcode].fields
    }  # fmt: skip


def check_fields(opcode: Opcode, values: Mapping[str, int]) -> None:
    """DoesNotFit if a value is too large or too small for its field."""
    ranges = _ranges(opcode)
    for name, value in values.items():
        low, high = ranges[name]
        if not low <= value <= high:
            meaning = _MEANING.get(name) or ("iterations of a loop" if "count" in name else "")
            about = f" ({meaning})" if meaning else ""
            limit = f"at most {high}" if value > high else f"at least {low}"
            raise DoesNotFit(f"{opcode.name}.{name}{about} would be {value}: {limit}")


def check_reach(opcode: Opcode, values: Mapping[str, int], reaches: Sequence[Reach]) -> None:
    """DoesNotFit if a coordinate leaves its range anywhere in the loops of an instruction."""
    for name, (low, high, meaning) in _COORDINATES.items():
        least = most = values.get(f"{name}_base", 0)
        for reach in reaches:
            if name in reach:
                down, up = reach[name]
                least, most = least + down, most + up
        if least < low or most > high:
            value, limit = (most, f"at most {high}") if most > high else (least, f"at least {low}")
            raise DoesNotFit(f"{opcode.name}.{name} ({meaning}) would reach {value}: {limit}")


def check_layer(node: Node) -> None:
    """CompileError if a size of a layer is beyond what any instruction can say, however the work is cut."""
    layer = node.layer
    if not isinstance(layer, (Conv2d, MaxPool2d)):
        return
    columns = node.input_shape[2] + layer.padding[1]
    if columns > MOST_COLUMNS:
        raise CompileError(
            f"{node}: its input has {columns} columns with the padding on one side: at most {MOST_COLUMNS}; "
            "rows have no such limit"
        )
    if isinstance(layer, Conv2d):
        if max(layer.stride) > MOST_STRIDE:
            raise CompileError(f"{node}: stride is {layer.stride}: at most {MOST_STRIDE}")
        return
    pitch = pool_pitch(layer)
    rows = -(-layer.kernel_size[0] // layer.stride[0]) * layer.stride[0]
    if rows * pitch > MOST_POSITIONS:
        raise CompileError(
            f"{node}: kernel_size {layer.kernel_size}, in whole strides {rows} x {pitch}, "
            f"has {rows * pitch} positions: at most {MOST_POSITIONS}"
        )


def wrap(value: int, bits: int) -> int:
    """``value`` modulo 2**bits, as a signed number."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def pool_pitch(pool: MaxPool2d) -> int:
    """Difference of the numbers of positions one below the other in a pooling window.

    Unpooling counts through whole strides, so a row is as long as the strides that cover the window: no position
    behind its right edge has the number of another one.
    """
    return -(-pool.kernel_size[1] // pool.stride[1]) * pool.stride[1]
