"""Leaving out the middle of long phases where only their timing is of interest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from eftrain_hdl.isa import Unit

from .emit import Marks

if TYPE_CHECKING:
    from .context import Context
    from .sweep import Piece

__all__ = ["Detail", "Gap", "Gaps", "Sample"]

_PROBE, _MOST_PROBE = 200, 400
"""Instructions after which a sampled phase is cut short when two rounds of its inner loop are over, and in any case."""
_STEADY = 16
"""Pieces of a sum, after the buffers have been filled once, that stand for those left out behind them."""


class Detail(Enum):
    """What is made of the phases."""

    COMPLETE = auto()
    """Programs to run."""
    SAMPLED = auto()
    """Programs without the middle of long phases, for their timing."""
    BRIEF = auto()
    """As SAMPLED, with tiles from a brief search."""
    CLOSED = auto()
    """No programs: the estimate that ranks tilings, in ``Context.closed``."""
    TENSORS = auto()
    """Nothing but their tensors."""

    @property
    def sampled(self) -> bool:
        """Whether the middle of long phases is left out."""
        return self in (Detail.SAMPLED, Detail.BRIEF)


@dataclass(frozen=True)
class Gap:
    """What is left out: ``ratio`` times what lies between two places of the program."""

    first: Marks
    last: Marks
    ratio: float

    def surrounds(self, other: Gap) -> bool:
        """Whether ``other`` was measured between the two places."""
        unit = Unit.COMPUTE
        return self.first[unit] <= other.first[unit] and other.last[unit] <= self.last[unit]


@dataclass
class Gaps:
    """What a phase leaves out: pieces of some of its sums, and whole sums or other steps of a sequence."""

    pieces: list[Gap] = field(default_factory=list)
    steps: list[Gap] = field(default_factory=list)

    def total(self, measure: Callable[[Gap, bool], float]) -> float:
        """All that is left out of a quantity; ``measure(gap, whole)`` is what lies between the places of a gap, of
        whole steps or else of pieces.
        """
        inside = [gap.ratio * measure(gap, False) for gap in self.pieces]
        total = sum(inside)
        for step in self.steps:
            within = sum(amount for gap, amount in zip(self.pieces, inside, strict=True) if step.surrounds(gap))
            total += step.ratio * (measure(step, True) + within)
        return total


class Sample:
    """Passes on what a phase is made of: all of it or, if the context is sampled, its beginning and its end."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._gaps = Gaps()

    def take(self, items: Sequence[Any], weights: Sequence[int], inner: int = 1) -> Iterator[Any]:
        """The items, or the first and the last two of them; ``inner`` of them are a period."""
        builder, count = self._context.builder, len(items)
        start = builder.count()
        marks: list[Marks] = []
        k, cut = 0, False
        sampled = self._context.detail.sampled
        while k < count:
            marks.append(builder.marks())
            done = builder.count() - start
            enough = done > (_PROBE if k >= 2 * inner else _MOST_PROBE)
            if sampled and enough and not cut and count - 2 > k > 3:
                period = inner if 2 * inner <= k else 1
                first = k - max(1, k // 3 // period) * period
                ratio = sum(weights[k : count - 2]) / sum(weights[first:k])
                self._gaps.steps.append(Gap(marks[first], marks[k], ratio))
                k, cut = count - 2, True
            yield items[k]
            k += 1

    def run(self, steps: Iterable[Callable[[], None]]) -> None:
        """Take steps that are equal work, apart from the last, one after the other."""
        if self._context.detail in (Detail.CLOSED, Detail.TENSORS):
            return
        steps = list(steps)
        for step in self.take(steps, [1] * len(steps)):
            step()

    def pieces(self, pieces: Sequence[Piece], slots: int) -> Iterator[tuple[Piece, int]]:
        """Pieces of a sum, with how many come from this one on; or the first and the last two of them.

        The first ones are those that fill the buffers, which have up to ``slots`` slots, and as many again as show the
        pace behind them.
        """
        count, first = len(pieces), slots + _STEADY
        if not self._context.detail.sampled or count < first + _STEADY:
            for k, piece in enumerate(pieces):
                yield piece, count - k
            return
        marks = self._context.builder.marks()
        for k in range(first):
            if k == slots:
                marks = self._context.builder.marks()
            yield pieces[k], first + 2 - k
        self._gaps.pieces.append(Gap(marks, self._context.builder.marks(), (count - 2 - first) / _STEADY))
        yield pieces[-2], 2
        yield pieces[-1], 1

    def end(self) -> None:
        """Tell the context what was left out."""
        if self._gaps.pieces or self._gaps.steps:
            self._context.gaps[len(self._context.builder.labels)] = self._gaps
