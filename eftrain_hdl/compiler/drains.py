"""What happens to maps behind the array: bias, ReLU and pooling forward, masks and unpooling backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eftrain_hdl.graph import MaxPool2d

from .emit import Level, Region
from .layouts import MapLayout
from .limits import pool_pitch
from .memory import Tensor
from .stages import Stage
from .vector import Accumulated, Box, Loaded, Operand, Output, Transfer, VectorEmitter, plus, split_box, times

Step = Callable[[], None]


class Drains:
    """Emits what one stage does to its result, or to the gradient of its output.

    Each method returns steps: calling one emits one VECTOR instruction with its loads and stores. Sources are sums
    in the accumulators, or None for the map in ``source``, which goes through operand memory C.
    """

    def __init__(self, emitter: VectorEmitter) -> None:
        self._emitter = emitter
        self._config = emitter.config

    def box_transfer(self, tensor: Tensor, box: Box, view: tuple[int, int, int] | None = None) -> Transfer:
        """All beats of a box, [image][tile][row][column][beat];
        ``view`` is (tiles, rows, columns) if not the tensor's.
        """
        layout = tensor.layout
        assert isinstance(layout, MapLayout)
        tiles, rows, columns = view or (layout.tiles, layout.rows, layout.columns)
        row = columns * self._config.vector_bytes
        tile, image = rows * row, tiles * rows * row
        beat = self._config.beat_bytes
        levels = [(row // beat, beat), (box.rows, row), (box.tiles, tile), (box.images, image)]
        return Transfer(tensor, box.image * image + box.tile * tile + box.row * row, levels)

    def plain(
        self, box: Box, columns: int, output: Tensor, source: Accumulated | Tensor, *, view: tuple[int, int, int],
        bias: Transfer | None = None, relu: bool = False, mask: Tensor | None = None, what: str,
    ) -> Iterator[Step]:  # fmt: skip
        """Element by element: + bias, ReLU, or zero where ``mask`` is not above zero. ``bias`` starts at tile 0."""
        beats = self._config.vector_beats

        def emit(part: Box, check: bool) -> None:
            place, operands = self._source(source, part, columns, view)
            inner = self._lanes_dense(place.lane_levels(), "a")
            tile_gain = {"a": beats}
            loops: list[Level] = [(columns, place.gains["column"]), (part.rows, place.gains["row"])]
            loops += place.tile_levels(part.tile, part.tile_end)
            loops.append((part.images, place.gains["image"]))
            levels = [*inner]
            if bias is not None:
                passed = 1
                for k, (count, gain) in enumerate(loops):
                    is_tile = 2 <= k < len(loops) - 1
                    levels.append((count, plus(gain, times(tile_gain, passed)) if is_tile else gain))
                    passed *= count if is_tile else 1
                source_bias = Transfer(
                    bias.tensor,
                    bias.offset + part.tile * bias.levels[1][1],
                    [bias.levels[0], (part.tiles, bias.levels[1][1])],
                )
                operands.append(Operand("a", source_bias, constant=True))
            else:
                dense = beats
                for count, gain in loops:
                    levels.append((count, plus(gain, {"a": dense})))
                    dense *= count
                if mask is not None:
                    operands.append(Operand("a", self.box_transfer(mask, part, view)))
            if bias is None and mask is None:
                levels = [(count, {name: v for name, v in gain.items() if name != "a"}) for count, gain in levels]
            outputs = [Output(0, self.box_transfer(output, part, view))]
            fields = place.base(part.image, part.tile, part.row, 0)
            fields |= {"add_a": int(bias is not None), "relu": int(relu), "mask_a": int(mask is not None)}
            self._finish(levels, fields, operands, outputs, source, check)

        return self._steps(box, emit, what)

    def pooled(
        self, stage: Stage, box: Box, output: Tensor, index: Tensor, source: Accumulated | Tensor,
        bias: Transfer | None = None,
    ) -> Iterator[Step]:  # fmt: skip
        """Forward: + bias, ReLU and maximum over windows; ``box`` is in rows of the pooled map."""
        pool = stage.pool
        assert pool is not None
        (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = _window(pool)
        _, rows, columns = stage.result_map
        beats, out_columns = self._config.vector_beats, stage.output_map[2]
        assert isinstance(output.layout, MapLayout)
        view = (output.layout.tiles, *stage.output_map[1:])

        def emit(part: Box, check: bool) -> None:
            first, end = pool_rows(stage, part.row, part.row_end)
            inside = Box(part.image, part.image_end, part.tile, part.tile_end, first, end)
            place, operands = self._source(source, inside, columns, (view[0], rows, columns))
            column, row = place.gains["column"], place.gains["row"]
            inner = self._lanes_dense(place.lane_levels(), "a")
            levels: list[Level] = [
                (kernel_w, plus(column, {"col": 1, "index": 1})),
                (kernel_h, plus(row, {"row": 1, "index": pool_pitch(pool)})),
                *inner,
                (out_columns, plus(times(column, stride_w), {"col": stride_w})),
                (part.rows, plus(times(row, stride_h), {"row": stride_h})),
            ]
            passed = 1
            for count, gain in place.tile_levels(part.tile, part.tile_end):
                levels.append((count, plus(gain, {"a": beats * passed})))
                passed *= count
            levels.append((part.images, place.gains["image"]))
            if bias is not None:
                source_bias = Transfer(
                    bias.tensor,
                    bias.offset + part.tile * bias.levels[1][1],
                    [bias.levels[0], (part.tiles, bias.levels[1][1])],
                )
                operands.append(Operand("a", source_bias, constant=True))
            else:
                levels = [(count, {name: v for name, v in gain.items() if name != "a"}) for count, gain in levels]
            top, left = part.row * stride_h - pad_h, -pad_w
            fields = place.base(part.image, part.tile, top, left)
            # Rows count from the first that there is, so that a map may have more of them than a field can say.
            fields |= {"row_base": top - first, "col_base": left, "row_limit": end - first, "col_limit": columns}
            fields["reduce"] = 1
            fields |= {"add_a": int(bias is not None), "relu": int(stage.relu), "gate": int(stage.gated)}
            outputs = [Output(0, self.box_transfer(output, part)), Output(1, self.box_transfer(index, part))]
            self._finish(levels, fields, operands, outputs, source, check, keep=2)

        return self._steps(box, emit, f"{stage.name}: pooling")

    def unpooled(
        self, stage: Stage, box: Box, output: Tensor, index: Tensor, source: Accumulated | Tensor,
        shift: tuple[int, int] = (0, 0),
    ) -> Iterator[Step]:  # fmt: skip
        """Backward: the gradient of the pooled map goes to the maxima.

        ``box`` is in turns of the pooling stride over the padded rows of the full map. ``shift`` counts windows back,
        for windows that
        overlap: all but the first shift add to what ``output`` holds, and take a tensor as source.
        """
        assert stage.pool is not None
        _, (stride_h, stride_w), (pad_h, pad_w) = _window(stage.pool)
        pitch = pool_pitch(stage.pool)
        _, rows, columns = stage.result_map
        _, pooled_rows, pooled_columns = stage.output_map
        beats, turns = self._config.vector_beats, (columns - 1 + pad_w) // stride_w + 1
        assert isinstance(output.layout, MapLayout)
        tiles = output.layout.tiles
        back_h, back_w = shift

        def emit(part: Box, check: bool) -> None:
            first = min(max(part.row - back_h, 0), pooled_rows - 1)
            end = min(max(part.row_end - back_h, first + 1), pooled_rows)
            inside = Box(part.image, part.image_end, part.tile, part.tile_end, first, end)
            view = (tiles, pooled_rows, pooled_columns)
            place, operands = self._source(source, inside, pooled_columns, view)
            column, row = place.gains["column"], place.gains["row"]
            map_row = pooled_columns * beats
            top, bottom = max(0, part.row * stride_h - pad_h), min(rows, part.row_end * stride_h - pad_h)
            full = Box(part.image, part.image_end, part.tile, part.tile_end, top, bottom)
            first_a = (part.row - back_h - first) * map_row - back_w * beats
            last_a = (part.row_end - 1 - back_h - first) * map_row + (turns - 1 - back_w) * beats + beats - 1
            held = inside.images * inside.tiles * inside.rows * map_row
            tile_a, image_a = inside.rows * map_row, inside.tiles * inside.rows * map_row
            last_a += (inside.tiles - 1) * tile_a + (inside.images - 1) * image_a
            operands.append(Operand(
                "a", self.box_transfer(index, inside, view), max(0, -first_a), max(0, last_a + 1 - held)
            ))  # fmt: skip
            levels = [
                *self._lanes_dense(place.lane_levels(), "a"),
                (stride_w, {"index": 1, "x": 1}),
                (turns, plus(column, {"col": 1, "a": beats, "x": stride_w})),
                (stride_h, {"index": pitch, "y": 1}),
                (part.rows, plus(row, {"row": 1, "a": map_row, "y": stride_h})),
            ]
            passed = tile_a
            for count, gain in place.tile_levels(part.tile, part.tile_end):
                levels.append((count, plus(gain, {"a": passed})))
                passed *= count
            levels.append((part.images, plus(place.gains["image"], {"a": image_a})))
            fields = place.base(part.image, part.tile, part.row - back_h, -back_w)
            fields |= {
                "match_a": 1, "a_base": first_a, "index_base": back_h * stride_h * pitch + back_w * stride_w,
                "row_base": part.row - back_h - first, "col_base": -back_w, "row_limit": end - first,
                "col_limit": pooled_columns, "y_base": part.row * stride_h - pad_h - top, "x_base": -pad_w,
                "y_limit": bottom - top, "x_limit": columns,
            }  # fmt: skip
            if back_h or back_w:
                partial, start = self._partial(output, full, (stride_h, stride_w), (part.rows, turns), fields)
                gains = self._partial_gains(levels, full, columns)
                levels = [(count, plus(gain, b)) for (count, gain), b in zip(levels, gains, strict=True)]
                operands.append(partial)
                fields |= {"add_b": 1, "b_base": start}
            outputs = [Output(0, self.box_transfer(output, full))]
            self._finish(levels, fields, operands, outputs, source, check)

        return self._steps(box, emit, f"{stage.name}: unpooling")

    def _partial(
        self, output: Tensor, full: Box, stride: tuple[int, int], turns: tuple[int, int], fields: dict[str, int]
    ) -> tuple[Operand, int]:
        """Operand B with what ``full`` of the output holds, and the address of the first element of the nest.

        Elements that the edges of the map clip have addresses too: before, behind and between those of the map.
        """
        assert isinstance(output.layout, MapLayout)
        beats, columns = self._config.vector_beats, output.layout.columns
        source = self.box_transfer(output, full)
        first = (fields["y_base"] * columns + fields["x_base"]) * beats
        span = ((turns[0] * stride[0] - 1) * columns + turns[1] * stride[1] - 1) * beats + beats - 1
        last = first + span + (full.images * full.tiles - 1) * full.rows * columns * beats
        return Operand("b", source, max(0, -first), max(0, last + 1 - source.beats)), first

    def _partial_gains(self, levels: list[Level], full: Box, columns: int) -> list[dict[str, int]]:
        """What operand B gains in each loop of an unpooling nest whose source is a map:
        lanes, x, x, y, y, tiles, images.
        """
        beats = self._config.vector_beats
        tile = full.rows * columns * beats
        middle = [gain.get("x", 0) * beats + gain.get("y", 0) * columns * beats for _, gain in levels[1:5]]
        return [{"b": step} for step in (1, *middle, tile, full.tiles * tile)]

    def _source(
        self, source: Accumulated | Tensor, box: Box, columns: int, view: tuple[int, int, int]
    ) -> tuple[Accumulated | Loaded, list[Operand]]:
        if isinstance(source, Accumulated):
            return source, []
        return Loaded(self._config, box, columns), [Operand("c", self.box_transfer(source, box, view))]

    @staticmethod
    def _lanes_dense(levels: list[Level], name: str) -> list[Level]:
        """The loops over the beats of a vector, with an operand that has them side by side."""
        out: list[Level] = []
        passed = 1
        for count, gain in levels:
            out.append((count, plus(gain, {name: passed})))
            passed *= count
        return out

    def _finish(
        self, levels: list[Level], fields: dict[str, int], operands: list[Operand], outputs: list[Output],
        source: Accumulated | Tensor, check: bool, keep: int = 0,
    ) -> None:  # fmt: skip
        if check:
            self._emitter.fields(levels, fields, operands, outputs, keep)
            return
        region: Region | None = source.region() if isinstance(source, Accumulated) else None
        self._emitter.emit(levels, fields, operands, outputs, region, keep)

    @staticmethod
    def _steps(box: Box, emit: Callable[[Box, bool], None], what: str) -> Iterator[Step]:
        for part in split_box(box, lambda candidate: emit(candidate, True), what):
            yield lambda part=part: emit(part, False)  # type: ignore[misc]


def _window(pool: MaxPool2d) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return pool.kernel_size, pool.stride, pool.padding


def pool_rows(stage: Stage, first: int, end: int) -> tuple[int, int]:
    """Rows of the result that the pooled rows ``first`` to ``end - 1`` need."""
    if stage.pool is None:
        return first, end
    (kernel, _), (stride, _), (padding, _) = _window(stage.pool)
    return max(0, first * stride - padding), min(stage.result_map[1], (end - 1) * stride - padding + kernel)
