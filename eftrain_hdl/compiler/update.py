"""Weight gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.planner.tiling import Need, Tiling, affordable, in_order, shares, spans, tile_shapes

from .compute import congruent, emit_compute, group_words, rows_of_group, words_of_groups
from .context import Context
from .drains import Step
from .emit import Level
from .layouts import PlanarLayout
from .memory import Tensor
from .optimize import Parameters, apply_optimizer, store_gradient
from .phase import Phase, Work
from .stages import Stage
from .sweep import Piece, Pieces, Slots, Sum, slot
from .vector import Accumulated, Box, Transfer, load_nest


class Tile(NamedTuple):
    """Images and rows of the result."""

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


class _Pitches(NamedTuple):
    """Addresses in the streaming buffer: vectors, or elements if planar."""

    row: int
    image: int
    column_phase: int
    row_phase: int
    tile: int
    total: int


class Update(Phase):
    """Emits the weight gradient of a stage, and with ``fused`` the optimizer's step; otherwise the gradient is stored.

    ``source`` is the stage's input, ``gradient`` that of its result.
    """

    label, what = "WU", "weight gradient"
    halvings = ()

    def __init__(
        self, context: Context, stage: Stage, source: Tensor, gradient: Tensor, parameters: Parameters, fused: bool
    ) -> None:
        super().__init__(context, stage)
        self.source, self.gradient, self.parameters, self.fused = source, gradient, parameters, fused
        self.columns = stage.result_map[2]
        self.tile_words = self.kernel_h * self.layout.tap_columns * self.layout.input_lanes

    def _shape(self) -> tuple[Any, ...]:
        return *self.stage.product, self.parameters.velocity is None

    def _work(self, tiling: Tiling) -> Work:
        config, layout = self.config, self.layout
        most = Tile(0, tiling.images, 0, tiling.rows)
        chunks = [(0, layout.input_tiles)] if self.stage.planar else spans(layout.input_tiles, tiling.chunk)
        cuts = [
            Tile(*images, *rows)
            for images in spans(self.context.batch, tiling.images)
            for rows in spans(self.stage.result_map[1], tiling.rows)
        ]
        groups = spans(layout.output_tiles, tiling.group)
        places = in_order(chunks, groups, tiling.tiles_outer)
        parts = 1 if self.stage.planar else -(-tiling.chunk // tiling.reduce)
        return Work(
            Slots(config.streaming_depth, self._stream_size(most, tiling.reduce), len(cuts) * parts),
            Slots(config.stationary_depth, tiling.group * most.images * most.rows * self.columns, len(cuts)),
            places,
            [(chunk[1] - chunk[0]) * (group[1] - group[0]) for chunk, group in places],
            len(groups) if tiling.tiles_outer else len(chunks),
            lambda place: self._sum(tiling, cuts, *place),
        )

    def _input_rows(self, tile: Tile) -> tuple[int, int]:
        first = max(0, tile.row * self.stride_h - self.pad_h)
        return first, min(self.stage.input_rows, (tile.row_end - 1) * self.stride_h - self.pad_h + self.kernel_h)

    def _pitches(self, tile: Tile, count: int) -> _Pitches:
        """How ``count`` input tiles lie on the chip: [tile][row phase][column phase][image][row][column].

        Pitches leave the remainders modulo the lanes that put successive pixels of the result into successive banks.
        """
        lanes = self.config.lanes
        row, row_end = self._input_rows(tile)
        width = (self.stage.input_columns - 1 + self.pad_w) // self.stride_w - self.pad_w // self.stride_w + 1
        if isinstance(self.source.layout, PlanarLayout):
            width, count = self.source.layout.segment, self.source.layout.channels
        rows = (row_end - 1 + self.pad_h) // self.stride_h - (row + self.pad_h) // self.stride_h + 1
        pitch = congruent(width, self.columns, lanes)
        image = congruent(rows * pitch, tile.rows * self.columns, lanes)
        phase = tile.images * image
        turn = self.stride_w * phase
        return _Pitches(pitch, image, phase, turn, self.stride_h * turn, count * self.stride_h * turn)

    def _stream_size(self, tile: Tile, count: int) -> int:
        """Vectors that hold any tile not larger than ``tile``, wherever it lies."""
        least = self._pitches(tile, count)
        rows = min((tile.rows - 1) * self.stride_h + self.kernel_h, self.stage.input_rows)
        turns = (rows - 2) // self.stride_h + 2
        image = turns * least.row + self.config.lanes
        total = least.total // least.image * image
        return -(-total // self.config.lanes) if self.stage.planar else total

    def _loaded(self, images: int, rows: int, count: int) -> int:
        """Beats of a piece of the input."""
        stage, config = self.stage, self.config
        input_rows = min((rows - 1) * self.stride_h + self.kernel_h, stage.input_rows)
        if isinstance(self.source.layout, PlanarLayout):
            layout = self.source.layout
            return images * input_rows * layout.channels * layout.stride * layout.segment // config.vector_lanes
        return images * count * input_rows * stage.input_columns * config.vector_beats

    def _candidates(self) -> Iterator[tuple[Tiling, Need]]:
        config, layout, batch = self.config, self.layout, self.context.batch
        beats, stage = config.vector_beats, self.stage
        input_tiles = 1 if stage.planar else layout.input_tiles
        words = layout.tile_vectors // input_tiles
        chunk_sizes = shares(input_tiles)
        vectors = layout.output_tiles * layout.pitch
        # The same for stored gradients: tiles decide the order of sums, and weights must be the same bit for bit.
        tensors = 1 if self.parameters.velocity is None else 2
        for images, rows in tile_shapes(batch, stage.result_map[1]):
            pixels = images * rows * self.columns
            cuts = -(-batch // images) * -(-stage.result_map[1] // rows)
            blocks = -(-pixels // config.lanes) * cuts
            tile = Tile(0, images, 0, rows)
            station_needs = {group: group * pixels for group in shares(layout.output_tiles)}
            groups = affordable(station_needs, config.stationary_depth)
            streams = {reduce: self._stream_size(tile, reduce) for chunk in chunk_sizes for reduce in shares(chunk)}
            for group, chunk in product(groups, chunk_sizes):
                sums = group_words(config, group) * (chunk * words + layout.bias)
                if sums > config.accumulator_depth and (group, chunk) != (groups[-1], 1):
                    continue
                group_count, chunks = -(-layout.output_tiles // group), -(-input_tiles // chunk)
                for reduce in affordable({reduce: streams[reduce] for reduce in shares(chunk)}, config.streaming_depth):
                    parts = -(-chunk // reduce)
                    classes = self.stride_h * self.stride_w
                    mac = blocks * words_of_groups(config, layout.output_tiles, group)
                    mac *= chunks * parts * max(reduce * words + 1, config.rows * classes)
                    # Here the sums are (group, chunk) and their pieces (tile, part): the chunks play the role of tiles.
                    need = Need(
                        streams[reduce], group * pixels, sums, mac,
                        self._loaded(images, rows, reduce) * chunks * cuts * parts,
                        layout.output_tiles * pixels * cuts * beats,
                        vectors * beats * tensors, vectors * beats, group * (chunk * words + layout.bias) * beats,
                        chunks, group_count, cuts * parts, cuts * chunks * parts * group_count * classes, cuts,
                    )  # fmt: skip
                    for outer in (True, False):
                        yield Tiling(images, rows, group, reduce, outer, chunk=chunk), need

    def _sum(self, tiling: Tiling, cuts: list[Tile], chunk: tuple[int, int], group: tuple[int, int]) -> Sum:
        parts = [chunk]
        if not self.stage.planar:
            parts = [(chunk[0] + first, chunk[0] + end) for first, end in spans(chunk[1] - chunk[0], tiling.reduce)]

        def piece(number: int) -> Piece:
            cut, part = divmod(number, len(parts))
            return self._piece(cuts[cut], cut == 0, group, chunk, parts[part])

        return Sum(Pieces(len(cuts) * len(parts), piece), lambda bank: self._drain(group, chunk, bank))

    def _piece(
        self, tile: Tile, first: bool, group: tuple[int, int], chunk: tuple[int, int], part: tuple[int, int]
    ) -> Piece:
        return Piece(
            (tile, part), (tile, group),
            lambda base: self._load_planar(tile, base) if self.stage.planar else self._load_map(tile, part, base),
            lambda base: self._load_gradient(tile, group, base),
            lambda stream, station, bank, _: self._compute(tile, group, chunk, part, stream, station, bank, first),
        )  # fmt: skip

    def _load_gradient(self, tile: Tile, group: tuple[int, int], base: int) -> None:
        count, pixels = group[1] - group[0], tile.rows * self.columns
        box = Box(tile.image, tile.image_end, *group, tile.row, tile.row_end)
        loops = [(pixels, 1), (count, tile.images * pixels), (tile.images, pixels)]
        source = self.context.drains.box_transfer(self.gradient, box)
        region = slot("station", base, count * tile.images * pixels)
        self.context.load(Opcode.LOAD_A, source, load_nest(Target.STATIONARY, base, loops), region)

    def _row_phases(self, row: int, pitches: _Pitches) -> tuple[int, int, int]:
        return self.stride_h, (row + self.pad_h) % self.stride_h, pitches.row_phase

    def _load_map(self, tile: Tile, chunk: tuple[int, int], base: int) -> None:
        stage, count = self.stage, chunk[1] - chunk[0]
        row, row_end = self._input_rows(tile)
        pitches = self._pitches(tile, count)
        box = Box(tile.image, tile.image_end, *chunk, row, row_end)
        view = (stage.input_tiles, stage.input_rows, stage.input_columns)
        loops = [
            (stage.input_columns, 1), (row_end - row, pitches.row), (count, pitches.tile), (tile.images, pitches.image)
        ]  # fmt: skip
        column_phases = (self.stride_w, self.pad_w % self.stride_w, pitches.column_phase)
        chip = load_nest(Target.STREAMING, base, loops, (column_phases, self._row_phases(row, pitches)))
        source = self.context.drains.box_transfer(self.source, box, view)
        self.context.load(Opcode.LOAD_X, source, chip, slot("stream", base, pitches.total))

    def _load_planar(self, tile: Tile, base: int) -> None:
        layout, config = self.source.layout, self.config
        assert isinstance(layout, PlanarLayout)
        row, row_end = self._input_rows(tile)
        pitches, segment = self._pitches(tile, 1), layout.segment // config.vector_lanes
        plane = layout.rows * layout.segment * 4
        one = layout.channels * layout.stride * plane
        region = slot("stream", base, -(-pitches.total // config.lanes))
        for number in range(tile.images):
            levels = [
                ((row_end - row) * segment, config.beat_bytes), (layout.stride, plane),
                (layout.channels, layout.stride * plane),
            ]  # fmt: skip
            source = Transfer(self.source, (tile.image + number) * one + row * layout.segment * 4, levels)
            loops = [
                (segment, config.vector_lanes), (row_end - row, pitches.row), (layout.stride, pitches.column_phase),
                (layout.channels, pitches.tile),
            ]  # fmt: skip
            start = base * config.lanes + number * pitches.image
            chip = load_nest(Target.STREAMING, start, loops, ((1, 0, 0), self._row_phases(row, pitches)))
            self.context.load(Opcode.LOAD_X, source, chip | {"planar": 1}, region)

    def _compute(
        self, tile: Tile, group: tuple[int, int], chunk: tuple[int, int], inputs: tuple[int, int], stream: int,
        station: int, bank: int, first: bool,
    ) -> None:  # fmt: skip
        """Adds the input tiles ``inputs`` of a chunk."""
        stage, config, count = self.stage, self.config, inputs[1] - inputs[0]
        skipped = (inputs[0] - chunk[0]) * self.tile_words
        row, row_end = self._input_rows(tile)
        pitches, planar = self._pitches(tile, count), stage.planar
        pixels = tile.images * tile.rows * self.columns
        span = self._span(chunk)
        base = stream * config.lanes if planar else stream
        reads = [
            slot("stream", stream, -(-pitches.total // config.lanes) if planar else pitches.total),
            slot("station", station, (group[1] - group[0]) * pixels),
        ]
        lane_loops: list[Level] = [
            (self.columns, {"v": 1, "col": self.stride_w}),
            (tile.rows, {"v": pitches.row, "row": self.stride_h}),
            (1, {"v": pitches.image}),
        ]
        top = tile.row - (row + self.pad_h) // self.stride_h
        left = -(self.pad_w // self.stride_w)
        for part in rows_of_group(config, group[1] - group[0]):
            fields = {
                "transposed": 1, "planar": int(planar), "lanes_per_block": 1, "init": int(first), "bank": bank,
                "a_rows": part.count, "a_lane": part.lane, "a_base": station + part.tile * pixels, "a_tile": pixels,
                "row_limit": row_end - row, "col_limit": stage.input_columns, "lanes_total": pixels,
            }  # fmt: skip
            last: Level = (part.blocks, {"a": part.tiles_per_block * pixels, "acc": part.words * span})
            blocks: list[Level] = [(-(-pixels // config.lanes), {"a": config.lanes}), (1, {}), (1, {}), last]
            ones = self.layout.bias and inputs[1] == chunk[1] == self.layout.input_tiles
            for taps in self._taps(count, pitches):
                fields |= {
                    "v_base": base + top * pitches.row + left + taps.v,
                    "acc_base": part.word * span + skipped + taps.word,
                    "row_base": tile.row * self.stride_h + taps.h - self.pad_h - row, "col_base": taps.w - self.pad_w,
                    "ones": int(ones), "ones_acc": span - 1 - skipped - taps.word if ones else 0,
                }  # fmt: skip
                ones = False
                emit_compute(self.context.builder, config, fields, blocks, taps.loops, reads, lane_loops)
            if first:
                for word, loops in self._absent_taps():
                    zero = fields | {"acc_base": part.word * span + word, "row_limit": 0, "ones": 0, "ones_acc": 0}
                    emit_compute(self.context.builder, config, zero, [(1, {}), *blocks[1:]], loops, reads, lane_loops)

    def _taps(self, count: int, pitches: _Pitches) -> Iterator[_Taps]:
        """The kernel taps of each residue modulo the stride, as loops over the words of an input tile's gradient."""
        layout = self.layout
        for h in range(min(self.stride_h, self.kernel_h)):
            for w in range(min(self.stride_w, self.kernel_w)):
                v = h * pitches.row_phase + w * pitches.column_phase
                down = {"v": pitches.row, "row": self.stride_h}
                right = {"v": 1, "col": self.stride_w}
                taps_h = -(-(self.kernel_h - h) // self.stride_h)
                taps_w = -(-(self.kernel_w - w) // self.stride_w)
                if self.stage.planar:
                    columns = layout.tap_columns
                    channels = layout.input_tiles // layout.phases
                    word = (w * channels * self.kernel_h + h) * columns
                    loops: list[Level] = [
                        (taps_w, right | {"acc": 1}), (taps_h, down | {"acc": self.stride_h * columns}),
                        (channels, {"v": pitches.tile, "acc": self.kernel_h * columns}),
                    ]  # fmt: skip
                else:
                    lanes = layout.input_lanes
                    word = (h * self.kernel_w + w) * lanes
                    loops = [
                        (lanes, {"lane": 1, "acc": 1}), (taps_w, right | {"acc": self.stride_w * lanes}),
                        (taps_h, down | {"acc": self.stride_h * self.kernel_w * lanes}),
                        (count, {"v": pitches.tile, "acc": self.tile_words}),
                    ]  # fmt: skip
                yield _Taps(h, w, v, word, loops)

    def _absent_taps(self) -> Iterator[tuple[int, list[Level]]]:
        """First word and loops of the planar kernel columns that exist only to fill up; their gradient is zero."""
        layout = self.layout
        for w in range(layout.phases):
            columns = layout.tap_columns
            taps = max(0, -(-(self.kernel_w - w) // self.stride_w))
            rows = layout.input_tiles // layout.phases * self.kernel_h
            if taps < columns:
                yield w * rows * columns + taps, [(columns - taps, {"acc": 1}), (rows, {"acc": columns})]

    def _span(self, chunk: tuple[int, int]) -> int:
        """Accumulator words of a chunk of input tiles for one block of rows; the last one is the bias's."""
        return (chunk[1] - chunk[0]) * self.tile_words + self.layout.bias

    def _drain(self, group: tuple[int, int], chunk: tuple[int, int], bank: int) -> Iterator[Step]:
        first, end = chunk[0] * self.tile_words, chunk[1] * self.tile_words
        if chunk[1] == self.layout.input_tiles:
            end += self.layout.bias
        span = self._span(chunk)
        done = Accumulated(self.config, bank, 0, group[0], first, span, 1, span)
        box, what = Box(0, 1, *group, first, end), f"{self.stage.name}: update"
        if self.fused:
            return apply_optimizer(self.context, box, self.parameters, done, what)
        return store_gradient(self.context, box, self.parameters, done, what)


class _Taps(NamedTuple):
    """Taps of residue (``h``, ``w``): address and word of the first, and the loops."""

    h: int
    w: int
    v: int
    word: int
    loops: list[Level]
