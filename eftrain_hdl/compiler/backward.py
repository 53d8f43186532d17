"""Backward propagation: from the gradient of a stage's result to that of its input, and on to the result before."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.planner.tiling import Need, Tiling, affordable, in_order, shares, spans, taper, tile_shapes

from .compute import Rows, emit_compute, group_words, rows_of_group, words_of_groups
from .context import Context
from .drains import Step
from .emit import Level, Region
from .layouts import MapLayout
from .memory import Tensor
from .phase import Phase, Work
from .sample import Sample
from .stages import Stage, tiles
from .sweep import Piece, Pieces, Slots, Sum, slot
from .vector import Accumulated, Box, Positions, load_nest


class Tile(NamedTuple):
    """Images and rows of the input."""

    image: int
    image_end: int
    row: int
    row_end: int

    @property
    def images(self) -> int:
        return self.image_end - self.image

    @property
    def rows(self) -> int:
        return self.row_end - self.row


def _residues(first: int, end: int, residue: int, stride: int, padding: int) -> tuple[int, int]:
    """Positions i in first to end - 1 with (i + padding) % stride = residue:
    the first turn (i + padding) // stride, and how many.
    """
    turn = -(-(first + padding - residue) // stride)
    return turn, -(-(end + padding - residue) // stride) - turn


class _Plane(NamedTuple):
    """Input positions of one residue (``h``, ``w``) modulo the stride: first turns, and how many."""

    h: int
    w: int
    turn_h: int
    turns_h: int
    turn_w: int
    turns_w: int


class Backward(Phase):
    """Emits the backward phase of a stage with weights.

    ``gradient`` is that of the stage's result. The gradient of its input goes to ``output``; if ``before`` is given,
    the stage
    that made the input, it passes that stage's pooling or ReLU on the way, with its ``index`` or its output ``values``.
    """

    label, what = "BP", "backward"

    def __init__(
        self, context: Context, stage: Stage, gradient: Tensor, weights: Tensor, output: Tensor,
        before: Stage | None, values: Tensor, index: Tensor | None,
    ) -> None:  # fmt: skip
        super().__init__(context, stage)
        self.gradient, self.weights, self.output = gradient, weights, output
        self.before, self.values, self.index = before, values, index
        self.rows, self.columns = stage.input_rows, stage.input_columns
        self.tile_words = self.kernel_h * self.kernel_w * self.layout.input_lanes
        # Input tiles that belong together: the gradient of a pooled map needs all positions of its channel tiles.
        self.unit = 1
        if before is not None and before.pool is not None and not stage.input_is_map:
            self.unit = prod(before.output_map[1:])

    def _shape(self) -> tuple[Any, ...]:
        return *self.stage.product, self.before and self.before.drain

    def _work(self, tiling: Tiling) -> Work:
        config = self.config
        units = spans(self.layout.input_tiles // self.unit, tiling.group // self.unit)
        groups, cut = [(first * self.unit, end * self.unit) for first, end in units], self._tiles(tiling)
        places = in_order(cut, groups, tiling.tiles_outer)
        pieces = -(-self.layout.output_tiles // tiling.reduce)
        return Work(
            Slots(config.streaming_depth, self._stream_size(tiling.images, tiling.rows, tiling.reduce), pieces),
            Slots(config.stationary_depth, tiling.group * tiling.reduce * self.tile_words, pieces),
            places,
            [tile.images * tile.rows * (group[1] - group[0]) for tile, group in places],
            len(groups) if tiling.tiles_outer else len(cut),
            lambda place: self._sum(tiling, *place),
        )

    def _tiles(self, tiling: Tiling) -> list[Tile]:
        return [
            Tile(*images, *rows)
            for images, rows in taper([
                (images, rows)
                for images in spans(self.context.batch, tiling.images)
                for rows in spans(self.rows, tiling.rows)
            ], tiling.taper)
        ]  # fmt: skip

    def _gradient_rows(self, row: int, end: int) -> tuple[int, int]:
        """Rows of the gradient under input rows ``row`` to ``end - 1``; at least one."""
        last = self.stage.result_map[1] - 1
        first = -(-(row + self.pad_h - self.kernel_h + 1) // self.stride_h)
        first = min(max(first, 0), last)
        return first, max(first, min((end - 1 + self.pad_h) // self.stride_h, last)) + 1

    def _stream_size(self, images: int, rows: int, reduce: int) -> int:
        most = min((rows + self.kernel_h - 2) // self.stride_h + 1, self.stage.result_map[1])
        return reduce * images * most * self.stage.result_map[2]

    def _candidates(self) -> Iterator[tuple[Tiling, Need]]:
        config, layout, batch = self.config, self.layout, self.context.batch
        beats = config.vector_beats
        scale = 1
        if self.before is not None and self.before.pool is not None:
            scale = self.before.pool.stride[0] * self.before.pool.stride[1]
        drained = layout.input_tiles * self.rows * self.columns * batch * scale * beats
        classes = self.stride_h * self.stride_w
        for images, rows in tile_shapes(batch, self.rows):
            pixels = images * rows * self.columns
            tile_count = -(-batch // images) * -(-self.rows // rows)
            sizes = [share * self.unit for share in shares(layout.input_tiles // self.unit)]
            group_needs = {group: group_words(config, group) * pixels for group in sizes}
            groups = affordable(group_needs, config.accumulator_depth)
            stream_needs = {reduce: self._stream_size(images, rows, reduce) for reduce in shares(layout.output_tiles)}
            reduces = affordable(stream_needs, config.streaming_depth)
            for group in groups:
                group_count = -(-layout.input_tiles // group)
                sums = tile_count * group_count
                all_words = words_of_groups(config, layout.input_tiles, group)
                blocks = layout.output_tiles * all_words * self.kernel_h * self.kernel_w
                for reduce in reduces:
                    pieces = -(-layout.output_tiles // reduce)
                    stream = self._stream_size(images, rows, reduce)
                    need = Need(
                        stream, group * reduce * self.tile_words, group_words(config, group) * pixels,
                        blocks * max(-(-pixels // classes), config.rows) * tile_count,
                        stream * pieces * tile_count * beats,
                        layout.output_tiles * layout.input_tiles * self.tile_words * beats,
                        0 if self.before is None else drained // scale, drained, group * pixels * scale * beats,
                        tile_count, group_count, pieces, sums * pieces * classes, pieces,
                    )  # fmt: skip
                    for outer in (True, False):
                        yield Tiling(images, rows, group, reduce, outer), need

    def _sum(self, tiling: Tiling, tile: Tile, group: tuple[int, int]) -> Sum:
        parts = spans(self.layout.output_tiles, tiling.reduce)
        pieces = Pieces(len(parts), lambda number: self._piece(tile, group, *parts[number]))
        return Sum(pieces, lambda bank: self._drain(tile, group, bank))

    def _piece(self, tile: Tile, group: tuple[int, int], first: int, end: int) -> Piece:
        return Piece(
            (tile, first), (group, first),
            lambda base: self._load_gradient(tile, first, end, base),
            lambda base: self._load_weights(group, first, end, base),
            lambda stream, station, bank, start: self._compute(tile, group, end - first, stream, station, bank, start),
        )  # fmt: skip

    def _load_weights(self, group: tuple[int, int], first: int, end: int, base: int) -> None:
        words = self.tile_words
        count = (group[1] - group[0]) * words
        chip = load_nest(Target.STATIONARY, base, [(count, 1), (end - first, count)])
        source = self.context.weight_run(self.weights, first, end, group[0] * words, group[1] * words)
        self.context.load(Opcode.LOAD_A, source, chip, slot("station", base, count * (end - first)))

    def _load_gradient(self, tile: Tile, first: int, end: int, base: int) -> None:
        row, row_end = self._gradient_rows(tile.row, tile.row_end)
        columns, rows, count = self.stage.result_map[2], row_end - row, end - first
        box = Box(tile.image, tile.image_end, first, end, row, row_end)
        loops = [(columns, 1), (rows, columns), (count, rows * columns), (tile.images, count * rows * columns)]
        region = slot("stream", base, count * tile.images * rows * columns)
        source = self.context.drains.box_transfer(self.gradient, box)
        self.context.load(Opcode.LOAD_X, source, load_nest(Target.STREAMING, base, loops), region)

    def _compute(
        self, tile: Tile, group: tuple[int, int], count: int, stream: int, station: int, bank: int, first: bool
    ) -> None:
        size = (group[1] - group[0]) * self.tile_words
        row, row_end = self._gradient_rows(tile.row, tile.row_end)
        reads = [
            slot("stream", stream, count * tile.images * (row_end - row) * self.stage.result_map[2]),
            slot("station", station, count * size),
        ]
        places = [
            (h, w, *_residues(tile.row, tile.row_end, h, self.stride_h, self.pad_h),
             *_residues(0, self.columns, w, self.stride_w, self.pad_w))
            for h in range(self.stride_h) for w in range(self.stride_w)
        ]  # fmt: skip
        for part in rows_of_group(self.config, group[1] - group[0]):
            for plane in (_Plane(*place) for place in places):
                if plane.turns_h > 0 and plane.turns_w > 0:
                    self._compute_plane(tile, group, count, part, plane, (stream, station, bank), first, reads)

    def _compute_plane(
        self, tile: Tile, group: tuple[int, int], count: int, part: Rows, plane: _Plane,
        places: tuple[int, int, int], first: bool, reads: list[Region],
    ) -> None:  # fmt: skip
        """Sums of one plane of positions: those that the same kernel taps reach."""
        stream, station, bank = places
        lanes, words, columns = self.layout.input_lanes, self.tile_words, self.stage.result_map[2]
        size = (group[1] - group[0]) * words
        row, row_end = self._gradient_rows(tile.row, tile.row_end)
        stride_h, stride_w = self.stride_h, self.stride_w
        taps_h = -(-(self.kernel_h - plane.h) // stride_h)
        taps_w = -(-(self.kernel_w - plane.w) // stride_w)
        rows = part.count if lanes == self.config.lanes else min(part.count, lanes - part.lane)
        empty = taps_h < 1 or taps_w < 1 or rows < 1
        if empty and not first:
            return
        span = tile.images * tile.rows * self.columns
        word = (plane.turn_h * stride_h + plane.h - self.pad_h - tile.row) * self.columns
        word += plane.turn_w * stride_w + plane.w - self.pad_w
        fields = {
            "init": int(first), "bank": bank, "a_rows": max(1, rows), "a_tile": words,
            "a_base": station + part.tile * words + part.lane + (plane.h * self.kernel_w + plane.w) * lanes,
            "v_base": stream + (plane.turn_h - row) * columns + plane.turn_w, "row_base": plane.turn_h - row,
            "col_base": plane.turn_w, "row_limit": row_end - row, "col_limit": columns,
            "acc_base": part.word * span + word,
        }  # fmt: skip
        if empty:  # nothing reaches these positions: sums of nothing
            fields |= {"a_base": station, "row_limit": 0}
            taps_h = taps_w = count = 1
        loops: list[Level] = [
            (plane.turns_w, {"v": 1, "col": 1, "acc": stride_w}),
            (plane.turns_h, {"v": columns, "row": 1, "acc": stride_h * self.columns}),
            (tile.images, {"v": count * (row_end - row) * columns, "acc": tile.rows * self.columns}),
        ]
        blocks: list[Level] = [
            (taps_w, {"a": stride_w * lanes, "v": -1, "col": -1}),
            (taps_h, {"a": stride_h * self.kernel_w * lanes, "v": -columns, "row": -1}),
            (count, {"a": size, "v": (row_end - row) * columns}),
            (part.blocks, {"a": part.tiles_per_block * words, "acc": part.words * span}),
        ]
        emit_compute(self.context.builder, self.config, fields, blocks, loops, reads)

    def _drain(self, tile: Tile, group: tuple[int, int], bank: int) -> Iterator[Step]:
        span = tile.images * tile.rows * self.columns
        done = Accumulated(self.config, bank, tile.image, group[0], tile.row, tile.rows, self.columns, span)
        before, what = self.before, f"{self.stage.name}: gradient of the input"
        if before is not None and before.pool is not None:
            assert self.index is not None
            turns = pool_turns(before)
            end = turns if tile.row_end == self.rows else tile.row_end
            first_tile, end_tile = (number // self.unit for number in group)
            if self.unit > 1:
                done = Positions(self.config, bank, tile.image, first_tile, 0, *before.output_map[1:], span)
            box = Box(tile.image, tile.image_end, first_tile, end_tile, tile.row, end)
            return self.context.drains.unpooled(before, box, self.output, self.index, done)
        box = Box(tile.image, tile.image_end, *group, tile.row, tile.row_end)
        view = (self.layout.input_tiles, self.rows, self.columns)
        mask = self.values if before is not None else None
        return self.context.drains.plain(box, self.columns, self.output, done, view=view, mask=mask, what=what)


def pool_turns(stage: Stage) -> int:
    """Turns of the pooling stride that cover the padded rows of a stage's result."""
    assert stage.pool is not None
    return (stage.result_map[1] - 1 + stage.pool.padding[0]) // stage.pool.stride[0] + 1


def can_fuse(config: Config, batch: int, stage: Stage, before: Stage) -> bool:
    """Whether the gradient of ``stage``'s input can pass ``before``'s ReLU or pooling on its way out of the array.

    Windows must not overlap. Where every position of the map is a tile of its own, the array must not have more rows
    than a tile, and a bank of accumulators must hold all positions. That makes sums large and few, so it pays where the
    phase does not last as long as its weights take to load: if there are no more of them than values in the map.
    """
    if before.pool is None:
        return before.masked
    kernel, stride = before.pool.kernel_size, before.pool.stride
    if kernel[0] > stride[0] or kernel[1] > stride[1]:
        return False
    if stage.input_is_map:
        return True
    assert stage.weights is not None
    words = prod(before.output_map[1:]) * max(1, config.lanes // config.rows)
    fits = config.rows <= config.lanes and words <= config.accumulator_depth
    return fits and stage.weights.words <= MapLayout(batch, *before.result_map, config.lanes).words


def backward_without_weights(
    context: Context, stage: Stage, gradient: Tensor, output: Tensor, values: Tensor, index: Tensor | None
) -> None:
    """Passes the gradient of a stage's output through its pooling or ReLU, from map to map in DRAM.

    ``values`` is the stage's output.
    """
    drains, count = context.drains, tiles(stage.output_map[0], context.config.lanes)
    sample = Sample(context)
    if stage.pool is None:
        whole = Box(0, context.batch, 0, count, 0, stage.output_map[1])
        layout = output.layout
        assert isinstance(layout, MapLayout)
        view = (layout.tiles, layout.rows, layout.columns)
        sample.run(drains.plain(
            whole, layout.columns, output, gradient, view=view, mask=values, what=f"{stage.name}: ReLU backward"
        ))  # fmt: skip
    else:
        assert index is not None
        kernel, stride = stage.pool.kernel_size, stage.pool.stride
        # Turns before this one have nothing but padding: a part of the map with those alone would be of no rows.
        first = stage.pool.padding[0] // stride[0]
        whole = Box(0, context.batch, 0, count, first, pool_turns(stage))
        for back_h in range(-(-kernel[0] // stride[0])):
            for back_w in range(-(-kernel[1] // stride[1])):
                sample.run(drains.unpooled(stage, whole, output, index, gradient, (back_h, back_w)))
    sample.end()
    context.end_phase(stage, "BP")
