"""What every unit did in every cycle of a training step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import Unit

from .activity import BUSY, Activity, State, activity
from .verilator import Changes

__all__ = ["Lane", "Phase", "Program", "Span", "Timeline", "joined", "running_lanes"]


@dataclass(frozen=True)
class Span:
    """Cycles ``start`` to ``end - 1`` of a unit."""

    start: int
    end: int
    activity: Activity


@dataclass(frozen=True)
class Lane:
    """One unit over time, without gaps.

    Attributes
    ----------
    unit : Unit
    activities : tuple of Activity
    codes : array of n
        Index in ``activities`` of each span; neighbours differ.
    edges : array of n + 1
        Span k lasts from cycle ``edges[k]`` to ``edges[k + 1] - 1``.
    """

    unit: Unit
    activities: tuple[Activity, ...]
    codes: NDArray[np.int64]
    edges: NDArray[np.int64]

    def spans(self) -> Iterator[Span]:
        """All spans in order."""
        for code, start, end in zip(self.codes, self.edges, self.edges[1:], strict=False):
            yield Span(int(start), int(end), self.activities[code])

    def cycles(self, start: int = 0, end: int | None = None) -> dict[Activity, int]:
        """Cycles of each activity that occurs between two cycles, by default in all."""
        edges = np.clip(self.edges, start, self.edges[-1] if end is None else end)
        sums = np.bincount(self.codes, weights=np.diff(edges), minlength=len(self.activities))
        return {what: int(count) for what, count in zip(self.activities, sums, strict=True) if count}

    def states(self, start: int = 0, end: int | None = None) -> Counter[State]:
        """The same by state."""
        counts: Counter[State] = Counter()
        for what, count in self.cycles(start, end).items():
            counts[what.state] += count
        return counts

    def busy(self, start: int = 0, end: int | None = None) -> int:
        """Cycles in which the unit executes an instruction; of COMMAND, in which a program runs."""
        return sum(count for state, count in self.states(start, end).items() if state in BUSY)


@dataclass(frozen=True)
class Program:
    """One run of the machine: cycles ``start`` to ``end - 1`` of the timeline."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Phase:
    """One phase ("FP", "BP" or "WU") of a layer: from the stamp of the phase before to its own."""

    layer: int
    name: str
    phase: str
    start: int
    end: int


@dataclass(frozen=True)
class Timeline:
    """A training step, without the host's part: the programs follow each other at once.

    Attributes
    ----------
    clock_mhz : float
    programs : sequence of Program
    phases : sequence of Phase
        Phases overlap: units that have finished with one go on with the next.
    lanes : mapping of Unit to Lane
    counters : mapping
        The RTL's performance counters, summed over the programs.
    """

    clock_mhz: float
    programs: Sequence[Program]
    phases: Sequence[Phase]
    lanes: Mapping[Unit, Lane]
    counters: Mapping[str, int]

    @property
    def cycles(self) -> int:
        """Cycles of all programs."""
        return self.programs[-1].end

    def microseconds(self, cycles: float) -> float:
        """Time that cycles take at the clock."""
        return cycles / self.clock_mhz

    @staticmethod
    def label(what: Activity) -> str:
        """An activity in words: its state, and what it waits for."""
        names = ", ".join(unit.name for unit in what.units)
        if what.state is State.DRAIN and names:
            return f"{what.state.value}, next waits: {names}"
        return f"{what.state.value}: {names}" if names else what.state.value

    def totals(self, unit: Unit) -> Counter[str]:
        """Cycles of a unit by label."""
        counts: Counter[str] = Counter()
        for program in self.programs:
            for what, cycles in self.lanes[unit].cycles(program.start, program.end).items():
                counts[self.label(what)] += cycles
        return counts


def running_lanes(changes: Mapping[Unit, Changes]) -> dict[Unit, Lane]:
    """Lanes of one run: cycle 0 is the first in which a program runs, and the last is the last one.

    Raises ValueError if the recording has no run, or more than one.
    """
    spans = list(_lane(Unit.COMMAND, changes[Unit.COMMAND]).spans())
    runs = [span for span in spans if span.activity.state is not State.IDLE]
    gaps = any(after.start != before.end for before, after in zip(runs, runs[1:], strict=False))
    if not runs or runs[-1] is spans[-1] or gaps:
        raise ValueError("the recording must hold one run of a program from its start to its end")
    start, end = runs[0].start, runs[-1].end
    return {unit: _cut(_lane(unit, changes[unit]), start, end) for unit in changes}


def _lane(unit: Unit, changes: Changes) -> Lane:
    """The lane of a recorded word. The last span, whose end is not known, has no length."""
    words, codes = np.unique(changes.words, return_inverse=True)
    of_words = [activity(unit, int(word)) for word in words]
    activities = tuple(dict.fromkeys(of_words))
    table = np.array([activities.index(what) for what in of_words], np.int64)
    cycles = changes.cycles.astype(np.int64)
    return _merged(unit, activities, table[codes], np.append(cycles, cycles[-1:]))


def _merged(
    unit: Unit, activities: tuple[Activity, ...], codes: NDArray[np.int64], edges: NDArray[np.int64]
) -> Lane:
    """A lane whose neighbours differ."""
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    return Lane(unit, activities, codes[begins], np.append(edges[begins], edges[-1:]))


def _cut(lane: Lane, start: int, end: int) -> Lane:
    """Cycles ``start`` to ``end - 1`` of a lane, counted from ``start``; what it did last it does until then."""
    first = int(np.searchsorted(lane.edges[:-1], start, "right")) - 1
    last = int(np.searchsorted(lane.edges[:-1], end, "left"))
    edges = np.append(lane.edges[first:last], end)
    edges[0] = start
    return Lane(lane.unit, lane.activities, lane.codes[first:last], edges - start)


def joined(unit: Unit, lanes: Sequence[Lane]) -> Lane:
    """Lanes one after the other."""
    activities = tuple(dict.fromkeys(what for lane in lanes for what in lane.activities))
    codes, edges, start = [], [np.zeros(1, np.int64)], 0
    for lane in lanes:
        table = np.array([activities.index(what) for what in lane.activities], np.int64)
        codes.append(table[lane.codes])
        edges.append(lane.edges[1:] + start)
        start += int(lane.edges[-1])
    return _merged(unit, activities, np.concatenate(codes), np.concatenate(edges))
