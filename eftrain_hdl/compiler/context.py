"""What the phases of a compilation share."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode, Unit
from eftrain_hdl.planner.tiling import Tiling
from eftrain_hdl.planner.timing import Timeline

from .drains import Drains
from .emit import ProgramBuilder, Region, transfer
from .layouts import WeightLayout
from .memory import Tensor
from .sample import Detail, Gap, Gaps
from .stages import Stage
from .vector import Transfer, VectorEmitter


@dataclass
class Context:
    """One program under construction."""

    config: Config
    batch: int
    detail: Detail = Detail.COMPLETE
    tilings: dict[tuple[Any, ...], Tiling] = field(default_factory=dict)
    """What was chosen, by the shape of the phase; programs of one compilation share it."""
    builder: ProgramBuilder = field(default_factory=ProgramBuilder)
    gaps: dict[int, Gaps] = field(default_factory=dict)
    """What is left out, by number of the phase."""
    closed: float = 0.0
    """Cycles of all phases with weights, estimated."""

    def __post_init__(self) -> None:
        self.banks = cycle(range(self.config.accumulator_banks))
        self.emitter = VectorEmitter(self.config, self.builder)
        self.drains = Drains(self.emitter)

    def end_phase(self, stage: Stage, phase: str) -> None:
        """Everything emitted so far is one phase of ``stage``."""
        self.builder.end_phase(stage.nodes[0].index, phase)
        self.emitter.forget()

    def cycles(self, timeline: Timeline) -> list[float]:
        """Cycles of each phase, from when the program was executed in time."""
        ends: dict[Unit, list[float]] = {unit: [] for unit in Unit}
        for unit, _, _, end in timeline.spans:
            ends[unit].append(end)

        def spent(gap: Gap, whole: bool) -> float:
            # The array may run ahead of the vector unit until all banks are full: the slower one of both counts.
            times = []
            for unit in (Unit.COMPUTE, Unit.VECTOR) if whole else (Unit.COMPUTE,):
                first, last = gap.first[unit], gap.last[unit]
                if last > first > 0:
                    times.append(ends[unit][last - 1] - ends[unit][first - 1])
            return max(times, default=0.0)

        phases = list(timeline.phases)
        for number, gaps in self.gaps.items():
            phases[number] += gaps.total(spent)
        return phases

    def load(self, opcode: Opcode, source: Transfer, chip: dict[str, int], region: Region) -> None:
        """A load of ``source`` to the place that ``chip`` (`load_nest`) describes."""
        values = transfer(self.config, source.tensor.address + source.offset, source.levels) | chip
        self.builder.emit(opcode, values, [source.region(self.config.beat_bytes)], [region])

    def bias(self, stage: Stage, weights: Tensor, first: int, end: int) -> Transfer | None:
        """Bias vectors of output tiles; None without a bias."""
        layout = stage.weights
        assert layout is not None
        if not layout.bias:
            return None
        vector, beat = self.config.vector_bytes, self.config.beat_bytes
        offset = (first * layout.pitch + layout.tile_vectors) * vector
        return Transfer(weights, offset, [(self.config.vector_beats, beat), (end - first, layout.pitch * vector)])

    def weight_run(self, weights: Tensor, tile: int, tile_end: int, first: int, end: int) -> Transfer:
        """Vectors ``first`` to ``end - 1`` of output tiles ``tile`` to ``tile_end - 1``."""
        layout = weights.layout
        assert isinstance(layout, WeightLayout)
        vector, beat = self.config.vector_bytes, self.config.beat_bytes
        levels = [((end - first) * self.config.vector_beats, beat), (tile_end - tile, layout.pitch * vector)]
        return Transfer(weights, (tile * layout.pitch + first) * vector, levels)
