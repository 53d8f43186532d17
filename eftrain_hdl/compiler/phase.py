"""What the phases of a stage with weights have in common: they choose how to cut their work, and emit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from eftrain_hdl.isa import Unit
from eftrain_hdl.planner.timing import simulate_timing

from .context import Context
from .errors import CompileError
from .stages import Stage
from .sweep import Slots, Sum, sweep
from .tiling import Need, Tiling, choose

__all__ = ["Phase", "Work"]

_PROBE, _MOST_PROBE = 240, 720
"""Instructions after which a phase is cut short when two rounds of its inner loop are over, and in any case."""


@dataclass(frozen=True)
class Work:
    """A phase cut by a tiling.

    Attributes
    ----------
    streaming, stationary : Slots
        The two buffers.
    places : sequence
        One for each sum, in order.
    weights : sequence of int
        Work of each place, in any unit.
    inner : int
        Places of the inner loop.
    sum : callable
        The sum of a place.
    """

    streaming: Slots
    stationary: Slots
    places: Sequence[Any]
    weights: Sequence[int]
    inner: int
    sum: Callable[[Any], Sum]


class Phase(ABC):
    """One phase of one stage."""

    label: ClassVar[str]
    """FP, BP or WU."""
    what: ClassVar[str]
    halvings: ClassVar[Sequence[int]] = (1, 2)
    """How often the first and the last tile may be halved."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.config, self.stage = context, context.config, stage
        assert stage.weights is not None
        self.layout = stage.weights
        self.kernel_h, self.kernel_w = stage.kernel
        self.stride_h, self.stride_w = stage.stride
        self.pad_h, self.pad_w = stage.padding

    @abstractmethod
    def _candidates(self) -> Iterator[tuple[Tiling, Need]]:
        """Ways to cut the phase."""

    @abstractmethod
    def _work(self, tiling: Tiling) -> Work:
        """The phase, cut."""

    def emit(self) -> None:
        """Choose tiles, unless another program of the same compilation did, and emit the phase."""
        name = f"{self.stage.name}: {self.what}"
        if name not in self.context.tilings:
            self.context.tilings[name] = choose(self.config, name, self._candidates(), self.cycles, self.halvings)
        work = self._work(self.context.tilings[name])
        sweep(map(work.sum, work.places), work.streaming, work.stationary, self.context.banks)
        self.context.end_phase(self.stage, self.label)

    def cycles(self, tiling: Tiling) -> float | None:
        """What the timing model says of a tiling; None if it cannot be emitted.

        Of a long phase only the beginning and the last sums are simulated. In between time passes as it does in the
        later part of the beginning.
        """
        probe = copy(self)
        probe.context = Context(self.config, self.context.batch)
        try:
            return probe._simulate(tiling)
        except CompileError:
            return None

    def _simulate(self, tiling: Tiling) -> float:
        work, builder = self._work(tiling), self.context.builder
        count = len(work.places)
        marks: list[dict[Unit, int]] = []
        """Instructions of the array and the vector unit before each sum."""
        resume = count

        def places() -> Iterator[Any]:
            nonlocal resume
            k = 0
            while k < count:
                marks.append({unit: builder.count(unit) for unit in (Unit.COMPUTE, Unit.VECTOR)})
                enough = builder.count() > (_PROBE if k >= 2 * work.inner else _MOST_PROBE)
                if enough and resume == count and count - 2 > k > 3:
                    resume = k = count - 2
                yield work.places[k]
                k += 1

        sweep(map(work.sum, places()), work.streaming, work.stationary, self.context.banks)
        self.context.end_phase(self.stage, self.label)
        timeline = simulate_timing(builder.finish(), self.config)
        total = timeline.phases[0]
        if resume == count:
            return total
        last = len(marks) - 2
        """Sums before the gap."""
        period = work.inner if 2 * work.inner <= last else 1
        first = last - max(1, last // 3 // period) * period
        # The array may run ahead of the vector unit for a while, until all banks are full; not the other way round.
        spent = 0.0
        for unit in (Unit.COMPUTE, Unit.VECTOR):
            ends = [end for who, _, _, end in timeline.spans if who is unit]
            spent = max(spent, ends[marks[last][unit] - 1] - ends[marks[first][unit] - 1])
        return total + spent * sum(work.weights[last:resume]) / sum(work.weights[first:last])
