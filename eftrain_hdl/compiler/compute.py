"""COMPUTE instructions and the loads that feed them, as all three phases use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eftrain_hdl.config import Config
from eftrain_hdl.isa import (
    COMPUTE_BLOCK_QUANTITIES,
    COMPUTE_LANE_QUANTITIES,
    COMPUTE_STREAM_QUANTITIES,
    Opcode,
    steps,
    strides,
)
from eftrain_hdl.planner.tiling import spans

from .emit import Level, Nest, ProgramBuilder, Region, nest
from .limits import check_reach, wrap

__all__ = ["Rows", "emit_compute", "rows_of_group"]

_ADDRESSES = {f"{name}_base": bits for name, bits in COMPUTE_BLOCK_QUANTITIES if name in ("a", "v", "acc")}
"""Fields that may wrap."""


@dataclass(frozen=True)
class Rows:
    """What one COMPUTE instruction makes of a group of channel tiles.

    ``blocks`` stationary blocks, ``tiles_per_block`` tiles apart, from tile ``tile`` of the group on, lanes
    ``lane`` to ``lane + count - 1`` of each; ``word`` is the accumulator block (in spans) of the first, ``words`` the
    distance.
    """

    tile: int
    lane: int
    count: int
    blocks: int
    tiles_per_block: int
    word: int
    words: int


def rows_of_group(config: Config, tiles: int) -> Iterator[Rows]:
    """Cut a group of channel tiles for an array of any number of rows."""
    rows, lanes = config.rows, config.lanes
    if rows < lanes:
        parts = lanes // rows
        for part in range(parts):
            yield Rows(0, part * rows, rows, tiles, 1, part, parts)
        return
    per_block = rows // lanes
    full, rest = divmod(tiles, per_block)
    if full:
        yield Rows(0, 0, rows, full, per_block, 0, 1)
    if rest:
        yield Rows(full * per_block, 0, rest * lanes, 1, per_block, full, 1)


def group_words(config: Config, tiles: int) -> int:
    """Spans of accumulator words that a group of channel tiles needs."""
    if config.rows < config.lanes:
        return tiles * (config.lanes // config.rows)
    return -(-tiles // (config.rows // config.lanes))


@lru_cache(maxsize=4096)
def words_of_groups(config: Config, tiles: int, group: int) -> int:
    """Spans of all groups of at most ``group`` channel tiles; the last rows of a group may be few."""
    return sum(group_words(config, end - first) for first, end in spans(tiles, group))


def emit_compute(
    builder: ProgramBuilder,
    config: Config,
    fields: Mapping[str, int],
    blocks: Sequence[Level],
    stream: Sequence[Level],
    reads: Sequence[Region],
    lane_loops: Sequence[Level] = (),
) -> None:
    """One COMPUTE: ``blocks`` are b0 to b3, ``stream`` any loops, ``lane_loops`` up to three; the third has no end.

    Raises DoesNotFit.
    """
    values = {"lanes_total": config.lanes, "row_limit": 1, "col_limit": 1} | dict(fields)
    nests = (
        nest("b", 4, COMPUTE_BLOCK_QUANTITIES, blocks, keep=4), nest("s", 4, COMPUTE_STREAM_QUANTITIES, stream),
        _lane_nest(tuple((count, tuple(gain.items())) for count, gain in lane_loops)),
    )  # fmt: skip
    check_reach(Opcode.COMPUTE, values, [one.reach for one in nests])
    for name, bits in _ADDRESSES.items():
        values[name] = wrap(values.get(name, 0), bits)
    for one in nests:
        values |= one.values
    before = builder.latest(Opcode.COMPUTE)
    values["chained"] = int(before is None or _chained(before, values))
    bank = Region(f"bank{values.get('bank', 0)}", 0, 1)
    builder.emit(Opcode.COMPUTE, values, [*reads], [bank])


@lru_cache(maxsize=4096)
def _lane_nest(lane_loops: Sequence[tuple[int, tuple[tuple[str, int], ...]]]) -> Nest:
    loops = [*((count, dict(gain)) for count, gain in lane_loops), *[(1, {})] * (3 - len(lane_loops))]
    counts = [count for count, _ in loops]
    values, reach = {"l0_count": counts[0], "l1_count": counts[1]}, {}
    for name, bits in COMPUTE_LANE_QUANTITIES:
        stride = [gain.get(name, 0) for _, gain in loops]
        for k, step in enumerate(steps(counts, stride)):
            values[f"l{k}_{name}"] = wrap(step, bits)
        ends = [(count - 1) * gain for count, gain in zip(counts, stride, strict=True)]
        reach[name] = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    return Nest(values, reach)


_LEVEL_FIELDS = {
    prefix: ([f"{prefix}{k}_count" for k in range(4)], [f"{prefix}{k}_acc" for k in range(4)]) for prefix in "bs"
}


def _levels(values: Mapping[str, int], prefix: str) -> list[tuple[int, int]]:
    """(count, stride) of accumulator words in the loops of a nest that do loop."""
    counts, gains = _LEVEL_FIELDS[prefix]
    return _strides(tuple(values[name] for name in counts), tuple(values.get(name, 0) for name in gains))


@lru_cache(maxsize=4096)
def _strides(counts: Sequence[int], step: Sequence[int]) -> list[tuple[int, int]]:
    return [(count, stride) for count, stride in zip(counts, strides(counts, step), strict=True) if count > 1]


def _chained(before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    """Whether the words of the first block of ``after`` are others than those of the last block of ``before``, or the
    same in the same order.
    """
    if before.get("bank", 0) != after.get("bank", 0):
        return True
    last = before.get("acc_base", 0) + sum((count - 1) * step for count, step in _levels(before, "b"))
    first = after.get("acc_base", 0)
    orders = [(_levels(values, "s"), [values["ones_acc"]] if values.get("ones") else []) for values in (before, after)]
    if first == last and orders[0] == orders[1]:
        return True
    ranges = []
    for (order, extra), origin in zip(orders, (last, first), strict=True):
        steps_up, steps_down = ([(count - 1) * step for count, step in order if sign * step > 0] for sign in (1, -1))
        ranges.append((origin + min(sum(steps_down), *extra, 0), origin + max(sum(steps_up), *extra, 0)))
    (low, high), (other_low, other_high) = ranges
    return high < other_low or other_high < low


def congruent(least: int, remainder: int, modulus: int) -> int:
    """Smallest number from ``least`` up that leaves ``remainder`` modulo ``modulus``."""
    return least + (remainder - least) % modulus
