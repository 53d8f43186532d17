"""Forward propagation of one stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.planner.tiling import Need, Tiling, affordable, in_order, shares, spans, taper, tile_shapes

from .compute import congruent, emit_compute, group_words, rows_of_group, words_of_groups
from .context import Context
from .drains import Step, pool_rows
from .emit import Level
from .layouts import MapLayout, PlanarLayout
from .memory import Tensor
from .phase import Phase, Work
from .sample import Sample
from .stages import Stage, tiles
from .sweep import Piece, Pieces, Slots, Sum, slot
from .vector import Accumulated, Box, Transfer, load_nest


class Tile(NamedTuple):
    """Part of the result: images, rows of the stage's output, and the rows of the result that they come from."""

    image: int
    image_end: int
    out: int
    out_end: int
    row: int
    row_end: int

    @property
    def images(self) -> int:
        return self.image_end - self.image

    @property
    def rows(self) -> int:
        return self.row_end - self.row


class Forward(Phase):
    """Emits the forward phase of a stage with weights.

    ``source`` is its input, ``output`` what it leaves, ``index`` the positions of its pooling's maxima.
    """

    label, what = "FP", "forward"

    def __init__(
        self, context: Context, stage: Stage, source: Tensor, weights: Tensor, output: Tensor, index: Tensor | None
    ) -> None:
        super().__init__(context, stage)
        self.source, self.weights, self.output, self.index = source, weights, output, index
        self.columns = stage.result_map[2]
        self.tile_words = self.kernel_h * self.layout.tap_columns * self.layout.input_lanes

    def _shape(self) -> tuple[Any, ...]:
        return *self.stage.product, self.stage.drain

    def _work(self, tiling: Tiling) -> Work:
        config = self.config
        groups, cut = spans(self.layout.output_tiles, tiling.group), self._tiles(tiling)
        places = in_order(cut, groups, tiling.tiles_outer)
        pieces = 1 if self.stage.planar else -(-self.layout.input_tiles // tiling.reduce)
        return Work(
            Slots(config.streaming_depth, self._stream_size(tiling.images, tiling.rows, tiling.reduce), pieces),
            Slots(config.stationary_depth, self._station_size(tiling.group, tiling.reduce), pieces),
            places,
            [tile.images * tile.rows * (group[1] - group[0]) for tile, group in places],
            len(groups) if tiling.tiles_outer else len(cut),
            lambda place: self._sum(tiling, *place),
        )

    def _tiles(self, tiling: Tiling) -> list[Tile]:
        return [
            Tile(*images, *out, *pool_rows(self.stage, *out))
            for images, out in taper([
                (images, out)
                for images in spans(self.context.batch, tiling.images)
                for out in spans(self.stage.output_map[1], tiling.rows)
            ], tiling.taper)
        ]  # fmt: skip

    def _input_rows(self, row: int, row_end: int) -> tuple[int, int]:
        """Rows of the input under result rows ``row`` to ``row_end - 1``."""
        first = max(0, row * self.stride_h - self.pad_h)
        return first, min(self.stage.input_rows, (row_end - 1) * self.stride_h - self.pad_h + self.kernel_h)

    def _most_rows(self, out: int) -> tuple[int, int]:
        """Most result rows and input rows of a tile of ``out`` output rows."""
        pool = self.stage.pool
        rows = out if pool is None else (out - 1) * pool.stride[0] + pool.kernel_size[0]
        rows = min(rows, self.stage.result_map[1])
        return rows, min((rows - 1) * self.stride_h + self.kernel_h, self.stage.input_rows)

    def _planar_pitches(self, rows: int) -> tuple[int, int, int, int]:
        """Elements from row to row, channel to channel, phase to phase and image to image."""
        lanes, layout = self.config.lanes, self.source.layout
        assert isinstance(layout, PlanarLayout)
        taps = self.layout.tap_columns
        row = congruent(layout.segment, taps, lanes)
        channel = congruent(rows * row, taps * self.kernel_h, lanes)
        return row, channel, layout.channels * channel, layout.stride * layout.channels * channel

    def _stream_size(self, images: int, out: int, reduce: int) -> int:
        _, rows = self._most_rows(out)
        if self.stage.planar:
            layout = self.source.layout
            assert isinstance(layout, PlanarLayout)
            # Fewer rows can need a little more, for the sake of the banks.
            spare = layout.stride * layout.channels * self.config.lanes
            return -(-images * (self._planar_pitches(rows)[3] + spare) // self.config.lanes)
        return reduce * images * rows * self.stage.input_columns

    def _station_size(self, group: int, reduce: int) -> int:
        return group * (self.layout.tile_vectors if self.stage.planar else reduce * self.tile_words)

    def _candidates(self) -> Iterator[tuple[Tiling, Need]]:
        config, layout, stage, batch = self.config, self.layout, self.stage, self.context.batch
        beats, planar = config.vector_beats, stage.planar
        input_tiles = 1 if planar else layout.input_tiles
        for images, out in tile_shapes(batch, stage.output_map[1]):
            rows, input_rows = self._most_rows(out)
            pixels = images * rows * self.columns
            tile_count = -(-batch // images) * -(-stage.output_map[1] // out)
            group_needs = {group: group_words(config, group) * pixels for group in shares(layout.output_tiles)}
            groups = affordable(group_needs, config.accumulator_depth)
            stream_needs = {reduce: self._stream_size(images, out, reduce) for reduce in shares(input_tiles)}
            reduces = affordable(stream_needs, config.streaming_depth)
            for group in groups:
                words = group_words(config, group) * pixels
                all_words = words_of_groups(config, layout.output_tiles, group)
                group_count = -(-layout.output_tiles // group)
                sums = tile_count * group_count
                for reduce in reduces:
                    stream = self._stream_size(images, out, reduce)
                    pieces = -(-input_tiles // reduce)
                    if planar:
                        blocks = layout.phases * -(-layout.tile_vectors // layout.phases // config.lanes)
                    else:
                        blocks = layout.input_tiles * self.kernel_h * self.kernel_w
                    all_stations = layout.output_tiles * layout.tile_vectors
                    out_vectors = layout.output_tiles * stage.output_map[1] * stage.output_map[2] * batch
                    drained = layout.output_tiles * pixels * tile_count * beats
                    need = Need(
                        stream, self._station_size(group, reduce), words,
                        blocks * max(pixels, config.rows) * tile_count * all_words,
                        stream * pieces * tile_count * beats, all_stations * beats, 0,
                        max(out_vectors * beats, drained), group * pixels * beats, tile_count, group_count, pieces,
                        sums * pieces * layout.phases if planar else sums * pieces, pieces,
                    )  # fmt: skip
                    for outer in (True, False):
                        yield Tiling(images, out, group, reduce, outer), need

    def _sum(self, tiling: Tiling, tile: Tile, group: tuple[int, int]) -> Sum:
        pieces: Sequence[Piece]
        if self.stage.planar:
            pieces = [Piece(
                tile, group,
                lambda base: self._load_planar(tile, base),
                lambda base: self._load_weights(group, 0, self.layout.tile_vectors, base),
                lambda stream, station, bank, first: self._compute_planar(tile, group, stream, station, bank),
            )]  # fmt: skip
        else:
            parts = spans(self.layout.input_tiles, tiling.reduce)
            pieces = Pieces(len(parts), lambda number: self._piece(tiling, tile, group, *parts[number]))
        return Sum(pieces, lambda bank: self._drain(tile, group, bank))

    def _piece(self, tiling: Tiling, tile: Tile, group: tuple[int, int], first: int, end: int) -> Piece:
        words = self.tile_words
        return Piece(
            (tile, first), (group, first),
            lambda base: self._load_map(tile, first, end, base),
            lambda base: self._load_weights(group, first * words, end * words, base),
            lambda stream, station, bank, start: self._compute(tile, group, end - first, stream, station, bank, start),
        )  # fmt: skip

    def _load_weights(self, group: tuple[int, int], first: int, end: int, base: int) -> None:
        chip = load_nest(Target.STATIONARY, base, [(end - first, 1), (group[1] - group[0], end - first)])
        region = slot("station", base, (group[1] - group[0]) * (end - first))
        self.context.load(Opcode.LOAD_A, self.context.weight_run(self.weights, *group, first, end), chip, region)

    def _load_map(self, tile: Tile, first: int, end: int, base: int) -> None:
        stage = self.stage
        row, row_end = self._input_rows(tile.row, tile.row_end)
        columns, rows, count = stage.input_columns, row_end - row, end - first
        box = Box(tile.image, tile.image_end, first, end, row, row_end)
        view = (stage.input_tiles, stage.input_rows, columns)
        source = self.context.drains.box_transfer(self.source, box, view)
        loops = [(columns, 1), (rows, columns), (count, rows * columns), (tile.images, count * rows * columns)]
        region = slot("stream", base, count * tile.images * rows * columns)
        self.context.load(Opcode.LOAD_X, source, load_nest(Target.STREAMING, base, loops), region)

    def _load_planar(self, tile: Tile, base: int) -> None:
        layout, config = self.source.layout, self.config
        assert isinstance(layout, PlanarLayout)
        row, row_end = self._input_rows(tile.row, tile.row_end)
        rows = row_end - row
        pitch, channel, phase, image = self._planar_pitches(rows)
        segment = layout.segment // config.vector_lanes
        plane = layout.rows * layout.segment * 4
        one = layout.channels * layout.stride * plane
        region = slot("stream", base, -(-tile.images * image // config.lanes))
        for number in range(tile.images):
            levels = [
                (rows * segment, config.beat_bytes),
                (layout.stride, plane),
                (layout.channels, layout.stride * plane),
            ]
            source = Transfer(self.source, (tile.image + number) * one + row * layout.segment * 4, levels)
            loops = [(segment, config.vector_lanes), (rows, pitch), (layout.stride, phase), (layout.channels, channel)]
            chip = load_nest(Target.STREAMING, base * config.lanes + number * image, loops) | {"planar": 1}
            self.context.load(Opcode.LOAD_X, source, chip, region)

    def _stream(self, tile: Tile, row_pitch: int, image_pitch: int, column: int) -> list[Level]:
        stride = self.stride_h
        return [
            (self.columns, {"v": column, "col": self.stride_w, "acc": 1}),
            (tile.rows, {"v": stride * row_pitch, "row": stride, "acc": self.columns}),
            (tile.images, {"v": image_pitch, "acc": tile.rows * self.columns}),
        ]

    def _compute(
        self, tile: Tile, group: tuple[int, int], count: int, stream: int, station: int, bank: int, first: bool
    ) -> None:
        stage, config, words = self.stage, self.config, self.tile_words
        row, row_end = self._input_rows(tile.row, tile.row_end)
        pitch, rows, lanes = stage.input_columns, row_end - row, self.layout.input_lanes
        top, left = tile.row * self.stride_h - self.pad_h, -self.pad_w
        span = tile.images * tile.rows * self.columns
        loops = self._stream(tile, pitch, count * rows * pitch, self.stride_w)
        taps: list[Level] = [
            (self.kernel_w, {"a": lanes, "v": 1, "col": 1}),
            (self.kernel_h, {"a": self.kernel_w * lanes, "v": pitch, "row": 1}),
            (count, {"a": words, "v": rows * pitch}),
        ]
        if lanes < config.lanes:  # a partial tile is the only one; its loop makes room for b0, which counts lane tables
            taps = [(1, {}), *taps[:2]]
        reads = [
            slot("stream", stream, count * tile.images * rows * pitch),
            slot("station", station, (group[1] - group[0]) * count * words),
        ]
        for part in rows_of_group(config, group[1] - group[0]):
            fields = {
                "transposed": 1, "init": int(first), "bank": bank, "a_rows": part.count, "a_lane": part.lane,
                "a_base": station + part.tile * count * words, "a_tile": count * words,
                "v_base": stream + (top - row) * pitch + left, "row_base": top - row, "col_base": left,
                "row_limit": rows, "col_limit": pitch, "acc_base": part.word * span,
                "lanes_total": lanes, "lanes_per_block": int(lanes < config.lanes),
            }  # fmt: skip
            last: Level = (part.blocks, {"a": part.tiles_per_block * count * words, "acc": part.words * span})
            emit_compute(self.context.builder, config, fields, [*taps, last], loops, reads)

    def _compute_planar(self, tile: Tile, group: tuple[int, int], stream: int, station: int, bank: int) -> None:
        stage, config, layout = self.stage, self.config, self.source.layout
        assert isinstance(layout, PlanarLayout)
        row, row_end = self._input_rows(tile.row, tile.row_end)
        pitch, channel, phase, image = self._planar_pitches(row_end - row)
        top, left = tile.row * self.stride_h - self.pad_h, -(self.pad_w // self.stride_w)
        span, taps = tile.images * tile.rows * self.columns, self.layout.tap_columns
        words = self.layout.tile_vectors
        entries = words // layout.stride
        lane_loops: list[Level] = [
            (taps, {"v": 1, "col": self.stride_w}), (self.kernel_h, {"v": pitch, "row": 1}), (1, {"v": channel})
        ]  # fmt: skip
        reads = [
            slot("stream", stream, -(-tile.images * image // config.lanes)),
            slot("station", station, (group[1] - group[0]) * words),
        ]
        for part in rows_of_group(config, group[1] - group[0]):
            last: Level = (part.blocks, {"a": part.tiles_per_block * words, "acc": part.words * span})
            blocks: list[Level] = [(-(-entries // config.lanes), {"a": config.lanes}), (1, {}), (1, {}), last]
            for number in range(layout.stride):
                fields = {
                    "transposed": 1, "planar": 1, "lanes_per_block": 1, "init": int(number == 0), "bank": bank,
                    "a_rows": part.count, "a_lane": part.lane,
                    "a_base": station + part.tile * words + number * entries, "a_tile": words,
                    "v_base": stream * config.lanes + number * phase + (top - row) * pitch + left,
                    "row_base": top - row, "col_base": number - self.pad_w, "row_limit": row_end - row,
                    "col_limit": stage.input_columns, "acc_base": part.word * span, "lanes_total": entries,
                }  # fmt: skip
                loops = self._stream(tile, pitch, image, 1)
                emit_compute(self.context.builder, config, fields, blocks, loops, reads, lane_loops)

    def _drain(self, tile: Tile, group: tuple[int, int], bank: int) -> Iterator[Step]:
        stage, context = self.stage, self.context
        span = tile.images * tile.rows * self.columns
        done = Accumulated(self.config, bank, tile.image, group[0], tile.row, tile.rows, self.columns, span)
        box = Box(tile.image, tile.image_end, *group, tile.out, tile.out_end)
        bias = context.bias(stage, self.weights, 0, self.layout.output_tiles)
        return drain_forward(context, stage, box, done, self.output, self.index, bias)


def drain_forward(
    context: Context, stage: Stage, box: Box, source: Accumulated | Tensor, output: Tensor, index: Tensor | None,
    bias: Transfer | None,
) -> Iterator[Step]:  # fmt: skip
    """What a stage does behind the array, to sums or to a map in DRAM; ``box`` is in rows of the output."""
    if stage.pool is not None:
        assert index is not None
        return context.drains.pooled(stage, box, output, index, source, bias)
    assert isinstance(output.layout, MapLayout)
    view = (output.layout.tiles, *stage.output_map[1:])
    return context.drains.plain(
        box, stage.output_map[2], output, source, view=view, bias=bias, relu=stage.relu, what=f"{stage.name}: output"
    )


def forward_without_weights(
    context: Context, stage: Stage, source: Tensor, output: Tensor, index: Tensor | None
) -> None:
    """Forward phase of a ReLU or a pooling that stands alone."""
    whole = Box(0, context.batch, 0, tiles(stage.output_map[0], context.config.lanes), 0, stage.output_map[1])
    sample = Sample(context)
    sample.run(drain_forward(context, stage, whole, source, output, index, None))
    sample.end()
    context.end_phase(stage, "FP")
