"""Sizes of tiles: candidates are enumerated, each is given an estimate in cycles, the best one is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

from eftrain_hdl.config import Config

__all__ = [
    "Need", "Tiling", "TilingError", "affordable", "choose", "in_order", "quickest", "shares", "spans", "taper",
    "tile_shapes",
]  # fmt: skip

COMPUTE_CYCLES = 3
"""What a COMPUTE costs the array beyond its work."""
VECTOR_CYCLES = 20
"""What a VECTOR costs beyond its beats."""
TURN_CYCLES = 212
"""From the end of a sum to the start of its drain and from the end of that to the next sum in the bank, together."""
LATENCY_CYCLES = 150
"""From the start of a phase until the array has the first of what it asked for."""
GOOD, GOOD_LONG = 0.002, 0.005
"""A tiling so close to what the array or a port needs in any case is good enough, and in a long phase."""
TRIED, MOST_TRIED = 8, 40
"""How many of the tilings that the estimate likes best the timing model judges, and how many in all before tapering."""
BRIEFLY = 2
"""Tilings that are judged where the search is to be brief."""
LONG, PATIENCE = 1_000_000, 3
"""Of a phase of so many cycles or more, the search ends after so many attempts in turn that were hardly better:
latencies do not matter there.
"""
LOAD_WORDS, COMPUTE_WORDS, DRAIN_WORDS = 20, 47, 70
"""Words that a load, a COMPUTE, and a VECTOR with a load and its stores are counted with. Most are short and fetch
fewer: the rest stands for the latencies that many small pieces cost.
"""


class TilingError(ValueError):
    """No way to cut a phase fits the configuration; the message names the limits and by how much they are missed."""


@dataclass(frozen=True)
class Tiling:
    """How a phase is cut.

    ``images`` and ``rows`` per tile, ``group`` channel tiles of the result per sum, ``reduce`` channel tiles per piece,
    and whether the tiles are the outer loop (or the groups). The first tile is halved ``taper[0]`` times, so that its
    drain begins soon, and the last one ``taper[1]`` times, so that its drain is short. A weight gradient's sum has
    ``chunk`` input tiles, ``reduce`` of them in a piece.
    """

    images: int
    rows: int
    group: int
    reduce: int
    tiles_outer: bool
    taper: tuple[int, int] = (0, 0)
    chunk: int = 0


class Need(NamedTuple):
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
    drain : int
        Beats of the largest drain.
    tiles, groups, pieces : int
        Counts of the three loops.
    instructions : int
        COMPUTE instructions.
    station_pieces : int
        Loads into the stationary buffer per sum.
    """

    stream: int
    station: int
    words: int
    mac: int
    stream_beats: int
    station_beats: int
    operand_beats: int
    store_beats: int
    drain: int
    tiles: int
    groups: int
    pieces: int
    instructions: int
    station_pieces: int


Span2 = tuple[tuple[int, int], tuple[int, int]]
"""Images and rows of a tile: (first, end) of each."""


def shares(total: int) -> list[int]:
    """Sizes that cut ``total`` into 1, 2, 3, 4, 6, 8, 12, ... parts, and single ones; largest first."""
    parts = sorted(
        {1, total, *(3 << k for k in range(total.bit_length())), *(1 << k for k in range(total.bit_length()))}
    )
    return sorted({-(-total // part) for part in parts if part <= total}, reverse=True)


def affordable(needs: Mapping[int, int], limit: int) -> list[int]:
    """Sizes that need no more than there is; if there is none, the smallest, to say what is missing."""
    return [size for size, need in needs.items() if need <= limit] or [min(needs)]


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


def _halves(tile: Span2) -> list[Span2]:
    """The tile cut in two, or alone if it is a single row."""
    (image, image_end), (row, row_end) = tile
    if image_end - image > 1:
        middle = (image + image_end + 1) // 2
        return [((image, middle), (row, row_end)), ((middle, image_end), (row, row_end))]
    if row_end - row > 1:
        middle = (row + row_end + 1) // 2
        return [((image, image_end), (row, middle)), ((image, image_end), (middle, row_end))]
    return [tile]


def in_order(tiles: Sequence[Any], groups: Sequence[Any], tiles_outer: bool) -> list[tuple[Any, Any]]:
    """Pairs of both, the tiles in the outer or in the inner loop."""
    if tiles_outer:
        return [(tile, group) for tile in tiles for group in groups]
    return [(tile, group) for group in groups for tile in tiles]


def taper(tiles: list[Span2], times: tuple[int, int]) -> list[Span2]:
    """Halve the first and the last of some (images, rows), as often as ``times`` says or as they can be."""
    for _ in range(times[0]):
        tiles = [*_halves(tiles[0]), *tiles[1:]]
    for _ in range(times[1]):
        tiles = [*tiles[:-1], *_halves(tiles[-1])]
    return tiles


def cycles(config: Config, tiling: Tiling, need: Need) -> int | None:
    """Estimated cycles of a phase, or None if the tiling does not fit."""
    fits = need.stream <= config.streaming_depth and need.station <= config.stationary_depth
    if not fits or need.words > config.accumulator_depth:
        return None
    beats, words = config.vector_beats, config.vector_lanes
    stream_slots = config.streaming_depth // need.stream
    station_slots = config.stationary_depth // need.station
    lead, tail = tiling.taper
    tiles = need.tiles + lead + tail
    if tiling.tiles_outer:
        stream_times = 1 if need.pieces <= stream_slots else need.groups
        station_times = 1 if need.groups * need.station_pieces <= station_slots else tiles
    else:
        stream_times = 1 if tiles * need.pieces <= stream_slots else need.groups
        station_times = 1 if need.station_pieces <= station_slots else tiles
    stream, station = need.stream_beats * stream_times, need.station_beats * station_times
    extra = tiles / need.tiles
    instructions = int(need.instructions * extra)
    sums = tiles * need.groups
    drains = max(sums, -(-2 * need.operand_beats // config.operand_depth))
    loads = tiles * need.pieces * stream_times + need.groups * need.station_pieces * station_times
    fetch = (LOAD_WORDS * loads + COMPUTE_WORDS * instructions + DRAIN_WORDS * drains) // words
    loads_a = station + need.operand_beats

    piece_mac = need.mac // (need.tiles * need.groups * need.pieces)
    sum_mac = piece_mac * need.pieces
    mac = need.mac + instructions * COMPUTE_CYCLES
    # A bank is summed up and drained in turns, the others meanwhile.
    turns = need.tiles * need.groups * (sum_mac + need.drain) + sums * TURN_CYCLES
    turns //= config.accumulator_banks
    # A single slot is loaded while the array waits for it.
    mac += stream * (stream_slots == 1) + loads_a * (station_slots == 1)
    first = LATENCY_CYCLES + ((need.stream >> lead) + need.station) * beats
    piece = ((need.stream >> lead) + need.station * need.station_pieces // need.pieces) * beats
    start = first + (need.pieces - 1) * max(0, piece - (piece_mac >> lead))
    # What is held for all groups leaves little room to load the next tile meanwhile; or the other way round.
    stall = 0
    if tiling.tiles_outer and need.groups > 1 and stream_times == 1:
        stall = (tiles - 1) * max(0, (2 * need.pieces - stream_slots) * need.stream * beats - sum_mac)
    elif not tiling.tiles_outer and tiles > 1 and station_times == 1:
        stall = (need.groups - 1) * max(0, (2 * need.station_pieces - station_slots) * need.station * beats - sum_mac)
    last_drain, last_piece = need.drain >> tail, piece_mac >> tail
    ends = [
        start + mac + stall + last_drain, start + turns + need.drain, start + fetch,
        start + (sum_mac >> lead) + need.store_beats + drains * VECTOR_CYCLES,
    ]  # fmt: skip
    reads = stream + loads_a + fetch
    if config.ports > 2:
        # With three ports the program comes through that of LOAD_A.
        reads = max(stream, loads_a + (fetch if config.ports == 3 else 0))
    elif tiling.tiles_outer and station_times == 1:
        # Both loads share the port; the first tile needs all of the stationary data, the others come after it.
        shared = station + min(station, stream, stream_slots * need.stream * beats)
        ends.append(shared + need.mac * (tiles - 1) // tiles + last_piece + last_drain)
    ends.append(LATENCY_CYCLES + reads + stall + last_piece + last_drain)
    # What comes last is needed by all groups (or tiles), one after the other.
    others = need.groups if stream_times == 1 else 1
    if not tiling.tiles_outer:
        others = tiles if station_times == 1 else 1
    ends.append(LATENCY_CYCLES + reads - need.operand_beats + (others - 1) * sum_mac + last_piece + last_drain)
    # Of equals, the one that starts sooner: large pieces are hard to overlap.
    return max(ends) + first // 8


def quickest(config: Config, candidates: Iterable[tuple[Tiling, Need]]) -> int:
    """The closed estimate of the best candidate. Raises TilingError if none fits."""
    return _ranked(config, candidates)[0][0][0]


def choose(
    config: Config, candidates: Iterable[tuple[Tiling, Need]], timing: Callable[[Tiling], float | None],
    halvings: Sequence[int], *, brief: bool = False,
) -> Tiling:  # fmt: skip
    """The quickest candidate, and how often to halve its first and last tile.

    ``halvings`` are the numbers to try. ``timing`` gives cycles, or None for a tiling that is not possible after all;
    it judges those that the estimate likes best; in a ``brief`` search only the first two, and nothing is halved.
    Raises TilingError if none fits.
    """
    candidates = list(candidates)
    estimates, bound = _ranked(config, candidates)
    alike = {tiling for tiling, need in candidates if 1 in (need.tiles, need.groups)}
    judged: dict[Tiling, float | None] = {}

    def judge(tiling: Tiling) -> float | None:
        # Of loops over one tile or one group, either may be the outer one: that is the same work.
        work = replace(tiling, tiles_outer=True) if tiling in alike else tiling
        if work not in judged:
            judged[work] = timing(tiling)
        return judged[work]

    looking = _Search([tiling for _, tiling in estimates], judge, bound)
    return looking.first(BRIEFLY) if brief else looking.run(halvings)


def _ranked(
    config: Config, candidates: Iterable[tuple[Tiling, Need]]
) -> tuple[list[tuple[int, Tiling]], int]:
    """Candidates that fit with their closed estimates, best first, and cycles that no candidate undercuts."""
    estimates: list[tuple[int, Tiling]] = []
    needs = []
    for tiling, need in candidates:
        needs.append(need)
        estimate = cycles(config, tiling, need)
        if estimate is not None:
            estimates.append((estimate, tiling))
    if estimates:
        return sorted(estimates, key=lambda pair: pair[0]), min(_bound(config, need) for need in needs)
    missed = []
    for key, name in (("stream", "streaming_depth"), ("station", "stationary_depth"), ("words", "accumulator_depth")):
        least, depth = min(getattr(need, key) for need in needs), getattr(config, name)
        if least > depth:
            would = 1 << (least - 1).bit_length()
            missed.append(f"needs {name} {least}, {least - depth} more than the {depth} there are; {would} would do")
    raise TilingError("; ".join(missed) or "no tile fits streaming, stationary and accumulators at once")


def _bound(config: Config, need: Need) -> int:
    """Cycles that a phase takes at least: of the array, of a port, of the vector unit."""
    loads = need.stream_beats, need.station_beats + need.operand_beats
    return max(need.mac, need.store_beats, max(loads) if config.ports > 2 else sum(loads))


class _Search:
    """Looks for the quickest tiling: among those that the estimate likes best, then around the best of them."""

    def __init__(self, tilings: Sequence[Tiling], timing: Callable[[Tiling], float | None], bound: float) -> None:
        self._tilings = tilings
        self._good = bound * (1 + (GOOD_LONG if bound >= LONG else GOOD))
        self._patience = PATIENCE if bound >= LONG else MOST_TRIED
        self._failed = 0
        self._timing = timing
        self._known: dict[Tiling, float] = {}
        self.tiling = tilings[0]

    def attempt(self, tiling: Tiling) -> bool:
        """Judge a tiling, unless the best one is good enough, and keep it if it is better; whether it is."""
        best = self._known.get(self.tiling, inf)
        if tiling in self._known or self._over:
            return False
        cycles = self._timing(tiling)
        self._known[tiling] = inf if cycles is None else cycles
        better = self._known[tiling] < best
        if better:
            self.tiling = tiling
        self._failed = 0 if self._known[tiling] < best * (1 - GOOD) or best == inf else self._failed + 1
        return better

    @property
    def _over(self) -> bool:
        return self._known.get(self.tiling, inf) <= self._good or self._failed >= self._patience

    def first(self, count: int) -> Tiling:
        """The best of the first ``count`` tilings that are possible."""
        for tiling in self._tilings:
            self.attempt(tiling)
            if self._over or sum(cycles < inf for cycles in self._known.values()) == count:
                break
        if self._known.get(self.tiling, inf) == inf:
            raise TilingError("none of the ways to cut it can be emitted")
        return self.tiling

    def run(self, halvings: Sequence[int]) -> Tiling:
        """Search."""
        self.first(TRIED)
        while not self._over and len(self._known) < MOST_TRIED:
            if not any(self.attempt(tiling) for tiling in self._around()):
                break
        base = self.tiling
        for times in halvings:
            self.attempt(replace(base, taper=(times, 0)))
        base = self.tiling
        for times in halvings:
            self.attempt(replace(base, taper=(base.taper[0], times)))
        return self.tiling

    def _around(self) -> list[Tiling]:
        """Tilings that differ from the best in one respect, by one step; pieces of the sum as alike as possible."""

        def place(tiling: Tiling) -> dict[str, Any]:
            shape = (tiling.images, tiling.rows)
            return {"shape": shape, "group": tiling.group, "chunk": tiling.chunk, "outer": tiling.tiles_outer}

        here = place(self.tiling)
        found = [
            tiling for tiling in self._tilings
            if place(tiling) == here and tiling.reduce in self._beside("reduce", self.tiling.reduce)
        ]  # fmt: skip
        for name, value in here.items():
            values = sorted({place(tiling)[name] for tiling in self._tilings})
            at = values.index(value)
            for other in values[max(0, at - 1) : at] + values[at + 1 : at + 2]:
                same = [tiling for tiling in self._tilings if place(tiling) == here | {name: other}]
                if same:
                    found.append(min(same, key=lambda tiling: abs(tiling.reduce - self.tiling.reduce)))
        return found

    def _beside(self, name: str, value: int) -> list[int]:
        values = sorted({getattr(tiling, name) for tiling in self._tilings})
        at = values.index(value)
        return values[max(0, at - 1) : at] + values[at + 1 : at + 2]
