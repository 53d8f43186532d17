"""VECTOR instructions with their operand loads and stores: drains of the accumulators, and passes over maps in DRAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from eftrain_hdl.config import Config
from eftrain_hdl.isa import VECTOR_LEVELS, VECTOR_QUANTITIES, Opcode, Target

from .emit import Level, ProgramBuilder, Region, TooManyLevels, nest, transfer
from .errors import CompileError
from .limits import DoesNotFit, check_fields, check_reach, wrap
from .memory import Tensor

__all__ = [
    "Accumulated", "Box", "Operand", "Output", "Positions", "Transfer", "VectorEmitter", "plus", "split_box", "times",
]  # fmt: skip

_TARGETS = {"a": Target.OPERAND_A, "b": Target.OPERAND_B, "c": Target.OPERAND_C}


def times(gain: Mapping[str, int], factor: int) -> dict[str, int]:
    """A loop's gains, ``factor`` times."""
    return {name: factor * value for name, value in gain.items()}


def plus(*gains: Mapping[str, int]) -> dict[str, int]:
    """The sum of gains."""
    out: dict[str, int] = {}
    for gain in gains:
        for name, value in gain.items():
            out[name] = out.get(name, 0) + value
    return out


class Box(NamedTuple):
    """Part of a map: images, channel tiles and rows, each from the first to before the last; all columns."""

    image: int
    image_end: int
    tile: int
    tile_end: int
    row: int
    row_end: int

    @property
    def images(self) -> int:
        return self.image_end - self.image

    @property
    def tiles(self) -> int:
        return self.tile_end - self.tile

    @property
    def rows(self) -> int:
        return self.row_end - self.row

    def halves(self, axis: str) -> tuple[Box, Box]:
        """Cut in the middle along ``axis``."""
        first, end = getattr(self, axis), getattr(self, f"{axis}_end")
        middle = (first + end + 1) // 2
        return self._replace(**{f"{axis}_end": middle}), self._replace(**{axis: middle})


_ADDRESSES = {f"{name}_base": bits for name, bits in VECTOR_QUANTITIES if name in ("acc", "a", "b", "c")}
"""Fields that may wrap."""


def split_box(box: Box, attempt: Callable[[Box], object], what: str) -> Iterator[Box]:
    """Cut ``box`` until ``attempt`` raises DoesNotFit no more. CompileError if a single row does not fit."""
    try:
        attempt(box)
    except DoesNotFit as error:
        reason, order = error, ["image", "tile", "row"]
        if isinstance(error, TooManyLevels):
            order.sort(key=lambda axis: getattr(box, f"{axis}s") + 1000 * (axis == "row"))
    else:
        yield box
        return
    for axis in order:
        if getattr(box, f"{axis}s") > 1:
            for half in box.halves(axis):
                yield from split_box(half, attempt, what)
            return
    raise CompileError(f"{what}: {reason}")


class Transfer(NamedTuple):
    """Beats of a tensor: loops (count, bytes), innermost first, from a byte offset."""

    tensor: Tensor
    offset: int
    levels: Sequence[tuple[int, int]]

    @property
    def beats(self) -> int:
        count = 1
        for iterations, _ in self.levels:
            count *= iterations
        return count

    def region(self, beat: int) -> Region:
        """Everything between the first and the last byte."""
        span = sum((count - 1) * stride for count, stride in self.levels) + beat
        return Region(self.tensor.name, self.offset, self.offset + span)

    def fields(self, config: Config) -> dict[str, int]:
        return transfer(config, self.tensor.address + self.offset, self.levels)


class Operand(NamedTuple):
    """What fills an operand memory: ``lead`` beats are kept free before it, ``trail`` behind it.

    ``constant`` data do not change within a phase, and need not be loaded again while they are there.
    """

    name: str
    source: Transfer
    lead: int = 0
    trail: int = 0
    constant: bool = False


class Output(NamedTuple):
    """Where output 0 or 1 goes."""

    number: int
    target: Transfer


@dataclass(frozen=True)
class Accumulated:
    """Sums in an accumulator bank: ``tiles`` of channels from ``tile`` on, each with ``span`` words per row.

    The words are [image from ``image``][row from ``row``][column]; ``rows`` rows of ``columns`` words an image.
    """

    config: Config
    bank: int
    image: int
    tile: int
    row: int
    rows: int
    columns: int
    span: int

    @property
    def per_block(self) -> int:
        """Channel tiles in the rows of the array; 1 if it has fewer rows than a tile."""
        return max(1, self.config.rows // self.config.lanes)

    @property
    def blocks_per_tile(self) -> int:
        """Blocks that make up a channel tile; 1 if the array has as many rows."""
        return max(1, self.config.lanes // self.config.rows)

    def lane_levels(self) -> list[Level]:
        groups = min(self.config.rows, self.config.lanes) // self.config.vector_lanes
        return [(groups, {"group": 1}), (self.blocks_per_tile, {"acc": self.span})]

    def tile_levels(self, tile: int, end: int) -> list[Level]:
        """Loops over channel tiles. Raises TooManyLevels if they are none."""
        tile, end, count = tile - self.tile, end - self.tile, self.per_block
        group = self.config.vector_beats
        if count == 1:
            return [(end - tile, {"acc": self.blocks_per_tile * self.span})]
        if tile // count == (end - 1) // count:
            return [(end - tile, {"group": group})]
        if tile % count or end % count:
            raise TooManyLevels
        return [(count, {"group": group}), ((end - tile) // count, {"acc": self.span})]

    @property
    def gains(self) -> dict[str, dict[str, int]]:
        """Gain per column, row and image."""
        return {"column": {"acc": 1}, "row": {"acc": self.columns}, "image": {"acc": self.rows * self.columns}}

    def base(self, image: int, tile: int, row: int, column: int) -> dict[str, int]:
        """Fields that start at an element; it may lie outside."""
        tile -= self.tile
        word = (tile // self.per_block) * self.blocks_per_tile * self.span
        word += ((image - self.image) * self.rows + row - self.row) * self.columns + column
        group = tile % self.per_block * self.config.vector_beats
        return {"acc_base": word, "group_base": group, "bank": self.bank}

    def region(self) -> Region:
        return Region(f"bank{self.bank}", 0, 1)


class Positions(Accumulated):
    """Sums for a map of ``rows`` x ``columns`` each of whose positions is a channel tile to the array.

    That is how a linear layer sees the map before it. Tiles of the map are [row][column] tiles of the array, each with
    ``span`` words per row, one for each image; the array has no more rows than a tile.
    """

    @property
    def _pitch(self) -> int:
        """Words from position to position."""
        return self.blocks_per_tile * self.span

    def tile_levels(self, tile: int, end: int) -> list[Level]:
        return [(end - tile, {"acc": self.rows * self.columns * self._pitch})]

    @property
    def gains(self) -> dict[str, dict[str, int]]:
        return {"column": {"acc": self._pitch}, "row": {"acc": self.columns * self._pitch}, "image": {"acc": 1}}

    def base(self, image: int, tile: int, row: int, column: int) -> dict[str, int]:
        position = ((tile - self.tile) * self.rows + row - self.row) * self.columns + column
        return {"acc_base": position * self._pitch + image - self.image, "bank": self.bank}


@dataclass(frozen=True)
class Loaded:
    """A map in operand memory C, [image][tile][row][column][beat], that starts at the given coordinates."""

    config: Config
    box: Box
    columns: int

    def lane_levels(self) -> list[Level]:
        return [(self.config.vector_beats, {"c": 1})]

    def tile_levels(self, tile: int, end: int) -> list[Level]:
        return [(end - tile, {"c": self.box.rows * self.columns * self.config.vector_beats})]

    @property
    def gains(self) -> dict[str, dict[str, int]]:
        beats = self.config.vector_beats
        image = self.box.tiles * self.box.rows * self.columns * beats
        return {"column": {"c": beats}, "row": {"c": self.columns * beats}, "image": {"c": image}}

    def base(self, image: int, tile: int, row: int, column: int) -> dict[str, int]:
        box = self.box
        word = ((image - box.image) * box.tiles + tile - box.tile) * box.rows + row - box.row
        return {"source": 1, "c_base": (word * self.columns + column) * self.config.vector_beats}


class VectorEmitter:
    """Emits VECTOR instructions; each operand memory is used in two halves, one loaded while the other is read."""

    def __init__(self, config: Config, builder: ProgramBuilder) -> None:
        self.config = config
        self.builder = builder
        self._half = config.operand_depth // 2
        self._turn = dict.fromkeys(_TARGETS, 0)
        self._held: dict[tuple[str, int], Transfer] = {}

    def forget(self) -> None:
        """What the operand memories hold may be out of date."""
        self._held.clear()

    def fields(
        self, levels: Sequence[Level], fields: Mapping[str, int], operands: Sequence[Operand],
        outputs: Sequence[Output], keep: int = 0,
    ) -> dict[str, int]:  # fmt: skip
        """Fields of the VECTOR instruction, once it is known that all fits. Raises DoesNotFit."""
        for operand in operands:
            beats = operand.lead + operand.source.beats + operand.trail
            if beats > self._half:
                raise DoesNotFit(
                    f"one row of the map takes {beats} beats of operand memory {operand.name.upper()}, "
                    f"and half of it (operand_depth {self.config.operand_depth}) is {self._half}"
                )
            operand.source.fields(self.config)
        for output in outputs:
            output.target.fields(self.config)
        made = nest("n", VECTOR_LEVELS, VECTOR_QUANTITIES, levels, keep)
        values = {"row_limit": 1, "col_limit": 1, "y_limit": 1, "x_limit": 1} | dict(fields)
        check_reach(Opcode.VECTOR, values, [made.reach])
        check_fields(Opcode.VECTOR, {name: value for name, value in values.items() if name not in _ADDRESSES})
        return values | dict(made.values)

    def emit(
        self,
        levels: Sequence[Level],
        fields: Mapping[str, int],
        operands: Sequence[Operand],
        outputs: Sequence[Output],
        source: Region | None = None,
        keep: int = 0,
    ) -> None:
        """Load the operands, run the nest, store its outputs. Raises as `fields` does."""
        values = self.fields(levels, fields, operands, outputs, keep)
        reads = [source] if source else []
        for operand in operands:
            start, region = self._load(operand)
            reads.append(region)
            name = f"{operand.name}_base"
            values[name] = values.get(name, 0) + start
        for name, bits in _ADDRESSES.items():
            values[name] = wrap(values.get(name, 0), bits)
        for output in outputs:
            values[f"emit_{output.number}"] = 1
        self.builder.emit(Opcode.VECTOR, values, reads)
        for output in outputs:
            opcode = Opcode.STORE_1 if output.number else Opcode.STORE_0
            target = output.target
            self.builder.emit(opcode, target.fields(self.config), writes=[target.region(self.config.beat_bytes)])

    def _load(self, operand: Operand) -> tuple[int, Region]:
        """Address of the operand, loaded unless it is there already, and where it is."""
        name, source = operand.name, operand.source
        space = f"operand_{name}"
        for half in (0, 1):
            if operand.constant and self._held.get((name, half)) == source:
                self._turn[name] = 1 - half
                return half * self._half, Region(space, half, half + 1)
        half = self._turn[name]
        self._turn[name] = 1 - half
        start = half * self._half + operand.lead
        values = source.fields(self.config) | load_line(_TARGETS[name], start, source.beats)
        region = Region(space, half, half + 1)
        self.builder.emit(Opcode.LOAD_A, values, [source.region(self.config.beat_bytes)], [region])
        self._held.pop((name, half), None)
        if operand.constant:
            self._held[name, half] = source
        return start, region


def load_line(target: Target, base: int, items: int) -> dict[str, int]:
    """Fields of a load whose items go to successive addresses."""
    return load_nest(target, base, [(items, 1)])


def load_nest(
    target: Target,
    base: int,
    levels: Sequence[tuple[int, int]],
    phases: tuple[tuple[int, int, int], tuple[int, int, int]] = ((1, 0, 0), (1, 0, 0)),
) -> dict[str, int]:
    """On-chip side of a load from its loops x, y, z, w: (count, address stride).

    ``phases`` gives (phases, phase of the first, address stride of a phase) of x and y; their loops' strides are then
    those of a whole turn.
    """
    return {"target": int(target), "base": base, **_load_loops(tuple(levels), phases)}


@lru_cache(maxsize=4096)
def _load_loops(
    levels: Sequence[tuple[int, int]], phases: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> Mapping[str, int]:
    values: dict[str, int] = {}
    padded = [*levels, *[(1, 0)] * (4 - len(levels))]
    for axis, (count, stride) in zip("xyzw", padded, strict=True):
        if axis != "w":
            values[f"{axis}_count"] = count
        values[f"{axis}_stride"] = stride
    for axis, (count, phase, stride) in zip("xy", phases, strict=True):
        values |= {f"{axis}_phases": count, f"{axis}_phase": phase, f"{axis}_phase_stride": stride}
    return values
