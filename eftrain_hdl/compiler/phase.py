"""What the phases of a stage with weights have in common: they choose how to cut their work, and emit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from eftrain_hdl.planner.tiling import Need, Tiling, TilingError, choose, quickest
from eftrain_hdl.planner.timing import simulate_timing

from .context import Context
from .errors import CompileError
from .limits import naming
from .sample import Detail, Sample
from .stages import Stage
from .sweep import Slots, Sum, sweep

__all__ = ["Phase", "Work"]


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
        """Choose tiles, unless that was done for equal work of the same compilation, and emit the phase."""
        if self.context.detail is Detail.TENSORS:
            return
        key, tilings = (self.label, *self._shape()), self.context.tilings
        self._refusals: list[str] = []
        try:
            if self.context.detail is Detail.CLOSED:
                self.context.closed += quickest(self.config, self._candidates())
                return
            if key not in tilings:
                brief = self.context.detail is Detail.BRIEF
                tilings[key] = choose(self.config, self._candidates(), self.cycles, self.halvings, brief=brief)
        except TilingError as error:
            refused = self._refusals[0] if self._refusals else f"{self.stage.name}: {self.what}: {error}"
            raise CompileError(refused) from None
        self._emit(tilings[key])

    @abstractmethod
    def _shape(self) -> tuple[Any, ...]:
        """Equal for phases that are equal work."""

    def cycles(self, tiling: Tiling) -> float | None:
        """What the timing model says of a tiling; None if it cannot be emitted."""
        probe = copy(self)
        probe.context = Context(self.config, self.context.batch, Detail.SAMPLED)
        try:
            probe._emit(tiling)
        except CompileError as error:
            self._refusals.append(str(error))
            return None
        return sum(probe.context.cycles(simulate_timing(probe.context.builder.finish(), self.config)))

    def _emit(self, tiling: Tiling) -> None:
        work, sample = self._work(tiling), Sample(self.context)
        places = sample.take(work.places, work.weights, work.inner)
        with naming(f"{self.stage.name}: {self.what}"):
            sweep(map(work.sum, places), work.streaming, work.stationary, self.context.banks, sample.pieces)
        sample.end()
        self.context.end_phase(self.stage, self.label)


