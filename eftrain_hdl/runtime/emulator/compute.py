"""COMPUTE: gather stationary blocks and streams, take their dot products, add them to the accumulators in order.

All index arithmetic goes into a plan that is made once for each distinct instruction. What a plan holds are places in
the flat memories of :class:`~.state.State`; a lane that does not count points at the place that holds 0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction
from eftrain_hdl.numerics import Flags, float_add
from eftrain_hdl.registers import ErrorCode

from .dots import block_dots
from .nests import at_least_one, nest_counts, nest_values
from .state import MOST_WORK, Endless, Fault, State, check_bank, wrap

__all__ = ["ComputePlan", "compute", "plan_compute"]

_CHUNK = 1 << 17
"""Dot products of one call, so that intermediate arrays stay small."""
_MOST_VECTORS, _MOST_PLACES = 1 << 28, 1 << 28
"""Vectors that are streamed, and places of a plan, of one instruction that the emulator executes."""
_MIN_NORMAL = np.float32(2.0**-126)

Places = NDArray[np.int32]


@dataclass(frozen=True)
class ComputePlan:
    """One COMPUTE instruction as places in memories.

    Attributes
    ----------
    bank : accumulator bank
    stationary : ``[sets, rows, lanes]``, and ``stationary_of [blocks]`` the set of each block
    streams : ``[sets, n, lanes]``, and ``stream_of [blocks]``
    offsets : ``[n]`` accumulator word of each vector relative to that of the block
    runs : consecutive blocks that add to the same words: first, end, accumulator word, whether the first overwrites
    chained : whether the order of words follows that of the instruction before
    """

    bank: int
    stationary: Places
    stationary_of: NDArray[np.intp]
    streams: Places
    stream_of: NDArray[np.intp]
    offsets: NDArray[np.int64]
    runs: list[tuple[int, int, int, bool]]
    chained: bool

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""
        return self.stationary.nbytes + self.streams.nbytes + 100 * len(self.runs)


@dataclass(frozen=True)
class _Lanes:
    """The lane table, one row ``[lanes]`` for each value of n."""

    valid: NDArray[np.bool_]
    v: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]


def _lane_table(config: Config, instruction: Instruction, tables: int) -> _Lanes:
    counts = at_least_one(instruction, ["l0_count", "l1_count"])
    entries = np.arange(tables * config.lanes, dtype=np.int64)
    last = int(entries[-1]) // (counts[0] * counts[1]) + 1
    values = []
    for quantity, bits in (("v", 24), ("row", 16), ("col", 16)):
        values.append(nest_values(instruction, "l", [*counts, last], quantity, 0, bits)[:len(entries)])
    shape = (tables, config.lanes)
    v, row, col = (x.reshape(shape) for x in values)
    return _Lanes((entries < instruction["lanes_total"]).reshape(shape), v, row, col)


def _check_banks(config: Config, planar: bool, table: _Lanes, lane: NDArray[np.int64]) -> None:
    """Refuse lanes that would not see what they ask for: each has its own bank, and there are only two arrangements."""
    lanes = config.lanes
    pixels = ((table.v - table.v[:, :1] - np.arange(lanes)) % lanes == 0) | ~table.valid
    if planar:
        if not pixels.all():
            n, j = np.argwhere(~pixels)[0]
            raise Fault(ErrorCode.BAD_FIELD, f"bank conflict: lane {j} of planar table {n} is not in bank first + {j}")
        if (lane % lanes).any():
            raise Fault(ErrorCode.BAD_FIELD, "bank conflict: a planar vector with a lane that is not zero")
        return
    channels = (table.v == table.v[:, :1]) | ~table.valid
    for n in np.flatnonzero(~pixels.all(1)):
        if not channels[n].all():
            raise Fault(ErrorCode.BAD_FIELD, f"bank conflict: table {n} is neither a channel vector nor a pixel vector")
        if (lane % lanes).any():
            raise Fault(ErrorCode.BAD_FIELD, f"bank conflict: table {n} is a channel vector, but the lane is not zero")


def _check_words(config: Config, bases: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    """Refuse words outside the bank, twice in a block, or earlier than in the block before."""
    _, first = np.unique(bases, return_index=True)
    candidates = bases[np.sort(first)]
    low, high = int(offsets.min()), int(offsets.max())
    for base in candidates[(candidates + low < 0) | (candidates + high >= config.accumulator_depth)]:
        words = wrap(base + offsets, 16)
        outside = np.flatnonzero((words < 0) | (words >= config.accumulator_depth))
        if outside.size:
            word = int(words[outside[0]])
            raise Fault(ErrorCode.CHIP_ADDRESS, f"accumulator word {word} does not exist", word % (1 << 16))
    if len(np.unique(offsets)) != len(offsets):
        raise Fault(ErrorCode.BAD_FIELD, "an accumulator word occurs twice in a block")
    for shift in np.unique(np.diff(bases)):
        _check_order(offsets, offsets + shift)


def _check_order(before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
    """Refuse a block with a word that comes earlier than in the block before: its sum may not be there yet."""
    if after.max() < before.min() or before.max() < after.min():
        return
    _, then, now = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    if (now < then).any():
        raise Fault(ErrorCode.BAD_FIELD, "an accumulator word comes earlier than in the block before")


def _stationary_places(
    config: Config, instruction: Instruction, address: NDArray[np.int64], valid: NDArray[np.bool_] | None
) -> Places:
    """``[sets, rows, lanes]`` for the vector address and, pixel vectors only, the valid lanes of each set."""
    lanes = config.lanes
    m, j = np.arange(config.rows, dtype=np.int32)[:, None], np.arange(lanes, dtype=np.int32)
    tile = address.astype(np.int32)[:, None, None] + m // lanes * np.int32(instruction["a_tile"])
    if instruction["transposed"]:
        vector = (tile + j) & (config.stationary_depth - 1)
        lane = (instruction["a_lane"] + m) % lanes
    else:
        vector = (tile + m % lanes) & (config.stationary_depth - 1)
        lane = j
    places = vector * lanes + ((lane + vector) & (lanes - 1))
    zero = config.stationary_depth * lanes
    places[:, instruction["a_rows"]:] = zero
    if valid is not None:
        places[np.broadcast_to(~valid[:, None], places.shape)] = zero
    return places


def _distinct(*columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Distinct rows of some columns, and for each row which of them it is."""
    rows, which = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
    return rows, which.reshape(-1)


def _stream_places(
    config: Config,
    instruction: Instruction,
    table: _Lanes,
    sets: NDArray[np.int64],
    stream: dict[str, NDArray[np.int64]],
) -> Places:
    """``[sets, n, lanes]`` for rows (v, row, col, n) of ``sets``."""
    lanes = config.lanes
    size = len(stream["v"])
    places = np.empty((len(sets), size + instruction["ones"], lanes), np.int32)
    zero = config.streaming_depth * lanes
    narrow = {name: values.astype(np.int32)[:, None] for name, values in stream.items()}
    everywhere = np.arange(lanes, dtype=np.int32)
    for k, (v, row, col, n) in enumerate(sets.tolist()):
        lane_v, lane_row, lane_col = (x[n].astype(np.int32) for x in (table.v, table.row, table.col))
        valid = table.valid[n]
        first = narrow["v"] + np.int32(v)
        if instruction["planar"]:
            place = (first + lane_v) & (zero - 1)
        else:
            place = (first + lane_v) & (config.streaming_depth - 1)
            place *= lanes
            place += (first + lane_v[0] + narrow["lane"] + everywhere) & (lanes - 1)
        counts = _inside(narrow["row"] + np.int32(row), lane_row, instruction["row_limit"])
        counts &= _inside(narrow["col"] + np.int32(col), lane_col, instruction["col_limit"])
        counts &= valid
        place[~counts] = zero
        places[k, :size] = place
        if instruction["ones"]:
            places[k, size] = np.where(valid, zero + 1, zero)
    return places


def _inside(origin: NDArray[np.int32], lane: NDArray[np.int32], limit: int) -> NDArray[np.bool_]:
    """Whether a coordinate, wrapped to 16 bits, lies in 0 to limit - 1; ``[n, lanes]``."""
    if (lane == lane[0]).all():
        value = (origin + (lane[0] + np.int32(1 << 15)) & 0xFFFF) - (1 << 15)
        return np.repeat((value >= 0) & (value < limit), len(lane), axis=1)
    value = (origin + (lane + np.int32(1 << 15)) & 0xFFFF) - (1 << 15)
    return (value >= 0) & (value < limit)


def plan_compute(state: State, instruction: Instruction) -> ComputePlan:
    """Check a COMPUTE instruction and work out its places. ``Fault`` where hardware would stop or a rule is broken."""
    config = state.config
    if not 1 <= instruction["a_rows"] <= config.rows:
        raise Fault(ErrorCode.BAD_FIELD, f"a_rows is {instruction['a_rows']}, not 1 to {config.rows}")
    check_bank(config, instruction["bank"])
    if instruction["lanes_total"] >= 1 << 24:
        raise Fault(ErrorCode.BAD_FIELD, f"lanes_total is {instruction['lanes_total']}, more than 24 bits")
    counts, stream_counts = nest_counts(instruction, "b", 4), nest_counts(instruction, "s", 4)
    a, v, row, col, acc = (
        nest_values(instruction, "b", counts, name, instruction[f"{name}_base"], bits)
        for name, bits in (("a", 24), ("v", 24), ("row", 16), ("col", 16), ("acc", 16))
    )
    stream = {
        name: nest_values(instruction, "s", stream_counts, name, base, bits)
        for name, base, bits in (
            ("v", 0, 24), ("row", 0, 16), ("col", 0, 16), ("lane", instruction["lane_base"], 8), ("acc", 0, 16)
        )
    }
    by_block = bool(instruction["lanes_per_block"])
    table = _lane_table(config, instruction, counts[0] if by_block else 1)
    n = np.arange(len(a)) % counts[0] * by_block
    _check_banks(config, bool(instruction["planar"]), table, stream["lane"])
    offsets = stream.pop("acc")
    if instruction["ones"]:
        offsets = np.append(offsets, instruction["ones_acc"])
    _check_words(config, acc, offsets)
    work = prod(counts)
    if work > MOST_WORK or work * len(offsets) > _MOST_VECTORS:
        raise Endless(work * len(offsets), "vectors")

    blocks, stationary_of = _distinct(a, n)
    sets, stream_of = _distinct(v, row, col, n)
    if max(len(blocks) * config.rows, len(sets) * len(offsets)) * config.lanes > _MOST_PLACES:
        raise Endless(work * len(offsets), "vectors, hardly two of them alike")
    stationary = _stationary_places(config, instruction, blocks[:, 0], table.valid[blocks[:, 1]] if by_block else None)
    streams = _stream_places(config, instruction, table, sets, stream)

    overwrites = (np.arange(len(a)) % (counts[0] * counts[1] * counts[2]) == 0) & bool(instruction["init"])
    borders = np.flatnonzero(overwrites[1:] | (np.diff(acc) != 0)) + 1
    limits = [0, *borders.tolist(), len(a)]
    runs = [(first, end, int(acc[first]), bool(overwrites[first]))
            for first, end in zip(limits[:-1], limits[1:], strict=True)]
    return ComputePlan(instruction["bank"], stationary, stationary_of, streams, stream_of, offsets, runs,
                       bool(instruction["chained"]))


def compute(state: State, plan: ComputePlan) -> None:
    """Execute a planned COMPUTE instruction."""
    config = state.config
    blocks, size = len(plan.stream_of), len(plan.offsets)
    state.count("MAC_CYCLES", blocks * size)
    memory = state.accumulators[plan.bank]
    bank, words = state.latest_words
    if plan.chained and bank == plan.bank:
        _check_order(words, wrap(plan.runs[0][2] + plan.offsets, 16))
    state.latest_words = plan.bank, wrap(plan.runs[-1][2] + plan.offsets, 16)
    step = max(1, _CHUNK // (size * config.rows))
    at = 0
    for first in range(0, blocks, step):
        last = min(first + step, blocks)
        a = state.stationary.take(plan.stationary[plan.stationary_of[first:last]])
        b = state.streaming.take(plan.streams[plan.stream_of[first:last]])
        dots, flags = block_dots(a, b, config.operand, config.window)
        state.flags |= flags
        while at < len(plan.runs) and plan.runs[at][0] < last:
            start, end, word, overwrite = plan.runs[at]
            words = wrap(word + plan.offsets, 16)
            part = dots[max(start, first) - first:min(end, last) - first]
            state.flags |= _accumulate(memory, words, part, overwrite and start >= first)
            if end > last:
                break
            at += 1


def _accumulate(
    memory: NDArray[np.float32], words: NDArray[np.int64], dots: NDArray[np.float32], overwrite: bool
) -> Flags:
    """Add ``dots [k, n, rows]`` to words one after the other, ``overwrite`` replacing them by the first."""
    value = dots[0] if overwrite else memory[words]
    rest = dots[1:] if overwrite else dots
    sums = np.empty_like(rest)
    total = value
    for k, dot in enumerate(rest):
        total = np.add(total, dot, out=sums[k])
    # Plain sums are right as long as none is subnormal, infinite or NaN.
    size = np.abs(sums)
    plain = bool(((size >= _MIN_NORMAL) | (size == 0)).all()) and bool((size < np.inf).all())
    flags = Flags()
    if not plain:
        total = value
        for dot in rest:
            total, more = float_add(total, dot)
            flags |= more
    memory[words] = total
    return flags
