"""The order of work inside a phase: which piece is loaded when, and where on the chip it lies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .drains import Step
from .emit import Region

_MOST_SLOTS, _ENOUGH_SLOTS = 64, 16
"""Slots of a buffer that may keep all that a sum needs for the next one, and of one that cannot."""


class Piece(NamedTuple):
    """One step of a reduction: what has to be in the streaming and the stationary buffer, and the sum over it.

    ``stream`` and ``station`` name the data; ``load_stream`` and ``load_station`` load them at a vector address;
    ``compute(stream address, stationary address, bank, first)`` adds up, or starts if ``first``.
    """

    stream: Hashable
    station: Hashable
    load_stream: Callable[[int], None]
    load_station: Callable[[int], None]
    compute: Callable[[int, int, int, bool], None]


class Pieces(Sequence[Piece]):
    """The ``count`` pieces of a sum, each made when it is asked for: a sampled phase takes few of many."""

    def __init__(self, count: int, make: Callable[[int], Piece]) -> None:
        self._numbers = range(count)
        self._make = make

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Piece:  # type: ignore[override]
        return self._make(self._numbers[index])


@dataclass(frozen=True)
class Sum:
    """Everything that is added up in one accumulator bank before ``drain(bank)`` says how it leaves."""

    pieces: Sequence[Piece]
    drain: Callable[[int], Iterable[Step]]


class Slots:
    """A buffer cut into equal slots, each of which holds what it got last until it is the least recently used.

    ``pieces`` is how many different ones a sum needs.
    """

    def __init__(self, depth: int, size: int, pieces: int) -> None:
        self.count = min(_MOST_SLOTS if pieces <= _MOST_SLOTS else _ENOUGH_SLOTS, depth // size)
        self._free = [k * size for k in range(self.count)]
        self._held: OrderedDict[Hashable, int] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[int], None]) -> int:
        """Address of ``key``, loaded unless it is there."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        address = self._free.pop(0) if self._free else self._held.popitem(last=False)[1]
        load(address)
        self._held[key] = address
        return address


def slot(space: str, address: int, size: int) -> Region:
    """The region of a slot."""
    return Region(space, address, address + size)


def sweep(
    sums: Iterable[Sum], streaming: Slots, stationary: Slots, banks: Iterator[int],
    take: Callable[[Sequence[Piece], int], Iterable[tuple[Piece, int]]],
) -> None:  # fmt: skip
    """Emit sums in order, ``banks`` in turn, each drain interleaved with the pieces of the next sum.

    Loads of operands would otherwise stand before loads that the array needs: one unit does both. ``take(pieces,
    slots)`` gives the pieces of a sum to emit, each with how many are left from it on.
    """
    waiting: list[Step] = []
    for total in sums:
        bank = next(banks)
        first = True
        for piece, left in take(total.pieces, max(streaming.count, stationary.count)):
            stream = streaming.get(piece.stream, piece.load_stream)
            station = stationary.get(piece.station, piece.load_station)
            piece.compute(stream, station, bank, first)
            first = False
            for _ in range(-(-len(waiting) // left)):
                waiting.pop(0)()
        waiting = list(total.drain(bank))
    for step in waiting:
        step()
