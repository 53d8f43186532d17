"""Sizes of tiles: candidates are enumerated, each is given an estimate in cycles, the best one is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eftrain_hdl.config import Config

from .errors import CompileError

COMPUTE_CYCLES = 12
"""What a COMPUTE costs the array beyond its work."""
LATENCY_CYCLES = 60
"""What a load, or a VECTOR with its store, costs its unit beyond its beats."""
FETCH_CYCLES = 20
"""What fetching and issuing an instruction costs."""


@dataclass(frozen=True)
class Tiling:
    """How a phase is cut.

    ``images`` and ``rows`` per tile, ``group`` channel tiles of the result per sum, ``reduce`` channel tiles per piece,
    and whether the tiles are the outer loop (or the groups).
    """

    images: int
    rows: int
    group: int
    reduce: int
    tiles_outer: bool


@dataclass(frozen=True)
class Need:
    """What a tiling asks for, in vectors and words, and its work in cycles; per phase where nothing else is said.

    Attributes
    ----------
    stream, station : int
        Vectors of one piece in the streaming and in the stationary buffer.
    words : int
        Accumulator words of one sum.
    mac : int
        Cycles of the array.
    stream_beats, station_beats : int
        Beats that load every distinct piece once.
    operand_beats, store_beats : int
        Beats into the operand memories and out of the vector unit.
    last_drain : int
        Beats of the last drain, which nothing hides.
    tiles, groups, pieces : int
        Counts of the three loops.
    instructions : int
        COMPUTE instructions.
    """

    stream: int
    station: int
    words: int
    mac: int
    stream_beats: int
    station_beats: int
    operand_beats: int
    store_beats: int
    last_drain: int
    tiles: int
    groups: int
    pieces: int
    instructions: int


def shares(total: int) -> list[int]:
    """Sizes that cut ``total`` into 1, 2, 3, 4, 6, 8, 12, ... parts, and single ones; largest first."""
    parts = sorted(
        {1, total, *(3 << k for k in range(total.bit_length())), *(1 << k for k in range(total.bit_length()))}
    )
    return sorted({-(-total // part) for part in parts if part <= total}, reverse=True)


def tile_shapes(batch: int, rows: int) -> Iterator[tuple[int, int]]:
    """(images, rows) of tiles: several whole images, or rows of a single one."""
    for images in shares(batch):
        yield images, rows
    for part in shares(rows)[1:]:
        yield 1, part


def spans(total: int, size: int) -> list[tuple[int, int]]:
    """Cut 0 to total into (first, end) of at most ``size``, as equal as possible."""
    count = -(-total // size)
    return [(total * k // count, total * (k + 1) // count) for k in range(count)]


def cycles(config: Config, tiling: Tiling, need: Need) -> int | None:
    """Estimated cycles of a phase, or None if the tiling does not fit."""
    fits = need.stream <= config.streaming_depth and need.station <= config.stationary_depth
    if not fits or need.words > config.accumulator_depth:
        return None
    stream_slots = config.streaming_depth // need.stream
    station_slots = config.stationary_depth // need.station
    if tiling.tiles_outer:
        stream_times = 1 if need.pieces <= stream_slots else need.groups
        station_times = 1 if need.groups * need.pieces <= station_slots else need.tiles
    else:
        stream_times = 1 if need.tiles * need.pieces <= stream_slots else need.groups
        station_times = 1 if need.pieces <= station_slots else need.tiles
    stream, station = need.stream_beats * stream_times, need.station_beats * station_times
    stream_loads = need.tiles * need.pieces * stream_times
    station_loads = need.groups * need.pieces * station_times
    sums = need.tiles * need.groups
    drains = max(sums, -(-2 * need.operand_beats // config.operand_depth))
    fetch = FETCH_CYCLES * (stream_loads + station_loads + need.instructions + 3 * drains)
    loads_x = stream + stream_loads * LATENCY_CYCLES
    loads_a = station + need.operand_beats + (station_loads + drains) * LATENCY_CYCLES
    reads = stream + station + need.operand_beats + fetch
    mac = need.mac + need.instructions * COMPUTE_CYCLES
    # A single slot is loaded while the array waits for it.
    mac += loads_x * (stream_slots == 1) + loads_a * (station_slots == 1)
    busy = [mac, fetch, loads_x, loads_a, need.store_beats + drains * LATENCY_CYCLES]
    if config.ports < 3:
        busy.append(reads)
    prologue = (need.stream + need.station) * config.vector_beats + 2 * LATENCY_CYCLES
    return max(busy) + prologue + need.last_drain


def choose(config: Config, what: str, candidates: Iterable[tuple[Tiling, Need]]) -> Tiling:
    """The quickest candidate. Raises CompileError, naming ``what`` and the limit, if none fits."""
    best: tuple[int, Tiling] | None = None
    least: dict[str, int] = {}
    for tiling, need in candidates:
        for name in ("stream", "station", "words"):
            least[name] = min(least.get(name, getattr(need, name)), getattr(need, name))
        estimate = cycles(config, tiling, need)
        if estimate is not None and (best is None or estimate < best[0]):
            best = estimate, tiling
    if best is not None:
        return best[1]
    limits = {
        "stream": ("streaming_depth", config.streaming_depth),
        "station": ("stationary_depth", config.stationary_depth),
        "words": ("accumulator_depth", config.accumulator_depth),
    }
    missed = [
        f"needs {name} {least[key]}, {least[key] - depth} more than the {depth} there are"
        for key, (name, depth) in limits.items()
        if least.get(key, 0) > depth
    ]
    raise CompileError(f"{what}: {'; '.join(missed) or 'no tile fits streaming, stationary and accumulators at once'}")
