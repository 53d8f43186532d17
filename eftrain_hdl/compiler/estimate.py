"""Cycles of a whole training step by the timing model, without its full programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from eftrain_hdl.checks import boolean, check_kind
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Sequential
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.isa import Unit
from eftrain_hdl.planner.ports import DEFAULT_PORTS, PortTiming
from eftrain_hdl.planner.timing import demand, simulate_timing, transfer_beats

from .context import Context
from .sample import Detail, Gap, Gaps
from .step import Passes, Step

__all__ = ["Estimate", "PhaseEstimate", "estimate_step", "needed_memory", "quick_estimate"]

_BOUND = 0.85
"""A resource that is busy for a smaller part of the time does not bound the phase: latencies do."""


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase of one layer.

    Attributes
    ----------
    layer, phase : int, str
        Index of the layer; FP, BP or WU.
    cycles : float
        From the end of the phase before to the end of this one.
    macs : int
        Useful multiply-accumulates.
    busy : dict
        Fraction of the cycles for which ``array``, ``load``, ``store`` and ``vector`` are needed.
    bytes_read, bytes_written : int
        Traffic of the phase.
    estimated : bool
        By a closed formula (`eftrain_hdl.planner.passes`): nothing executes the layer yet.
    """

    layer: int
    phase: str
    cycles: float
    macs: int
    busy: dict[str, float]
    bytes_read: int
    bytes_written: int
    estimated: bool = False

    @property
    def bound(self) -> str:
        """What takes the phase its time: a resource, or ``latency``."""
        name = max(self.busy, key=lambda key: self.busy[key])
        return name if self.busy[name] >= _BOUND else "latency"


@dataclass(frozen=True)
class Estimate:
    """A training step.

    Attributes
    ----------
    phases : list of PhaseEstimate, in order of execution
    memory_bytes : int
        DRAM for tensors (without programs, which sampling cuts short).
    """

    config: Config
    batch: int
    phases: list[PhaseEstimate]
    memory_bytes: int

    @property
    def cycles(self) -> float:
        return sum(phase.cycles for phase in self.phases)

    @property
    def macs(self) -> int:
        return sum(phase.macs for phase in self.phases)

    @property
    def utilization(self) -> float:
        return self.macs / (self.cycles * self.config.macs)

    def gflops(self, clock_mhz: float) -> float:
        """Useful floating-point operations, two for each multiply-accumulate, per nanosecond."""
        return 2 * self.macs / self.cycles * clock_mhz / 1000


def estimate_step(
    model: Sequential, config: Config, *, batch: int, optimizer: SGD | None = None, ports: PortTiming = DEFAULT_PORTS,
    brief: bool = False,
) -> Estimate:  # fmt: skip
    """Estimate one training step: forward, backward with the update.

    Raises as ``compile_model`` does, but takes layers that can only be planned. Long phases are sampled: the beginning
    and the end are executed in time, the middle passes at the rate of the later part of the beginning. A ``brief``
    estimate takes hardly any time to look for tiles: a few per cent more cycles than there need be.
    """
    check_kind("ports", ports, PortTiming, "a PortTiming such as port_timing(memory, config, clock_mhz) returns")
    detail = Detail.BRIEF if boolean("brief", brief) else Detail.SAMPLED
    optimizer = SGD(lr=0.01, momentum=0.9) if optimizer is None else optimizer
    step = Step(model, config, batch, optimizer, detail)
    macs = step_macs(model, batch)
    phases: list[PhaseEstimate] = []
    for work in (*step.forward(), *step.backward()):
        if isinstance(work, Passes):
            phases.append(_closed(work, config, ports))
            continue
        program = work.builder.finish()
        cycles = work.cycles(simulate_timing(program, config, ports))
        needs = _totals(work, [(one.format.unit, demand(one, config, ports)) for one in program])
        beats = _totals(work, [(one.format.unit, transfer_beats(one)) for one in program])
        for label in dict.fromkeys(work.builder.labels):
            numbers = [number for number, other in enumerate(work.builder.labels) if other == label]
            need, moved = (
                {unit: sum(totals[number][unit] for number in numbers) for unit in Unit} for totals in (needs, beats)
            )
            spent = sum(cycles[number] for number in numbers)
            phases.append(_phase(config, label, spent, need, moved, macs.get(label, 0), ports))
    return Estimate(config, batch, phases, step.memory_bytes())


def quick_estimate(model: Sequential, config: Config, *, batch: int, optimizer: SGD) -> float:
    """Cycles of a training step, roughly and soon: by the closed estimate that ranks tilings, phase after phase."""
    step = Step(model, config, batch, optimizer, Detail.CLOSED)
    total = 0.0
    for work in (*step.forward(), *step.backward()):
        if isinstance(work, Passes):
            total += sum(one.cycles(config, DEFAULT_PORTS) for one in work.passes)
        else:
            total += work.closed
    return total


def needed_memory(model: Sequential, config: Config, *, batch: int, optimizer: SGD) -> int:
    """Bytes of DRAM that training needs for its tensors."""
    step = Step(model, config, batch, optimizer, Detail.TENSORS)
    for _ in (*step.forward(), *step.backward()):
        pass
    return step.memory_bytes()


def _closed(work: Passes, config: Config, ports: PortTiming) -> PhaseEstimate:
    """A phase of a layer that is planned only."""
    cycles = sum(one.cycles(config, ports) for one in work.passes)
    reads, writes = sum(one.reads for one in work.passes), sum(one.writes for one in work.passes)
    busy = {
        "array": 0.0, "load": reads / ports.read_rate / cycles, "store": writes / ports.write_rate / cycles,
        "vector": sum(one.vector for one in work.passes) / cycles,
    }  # fmt: skip
    return PhaseEstimate(
        work.node.index, work.phase, cycles, 0, busy, reads * config.beat_bytes, writes * config.beat_bytes, True
    )


def _phase(
    config: Config, label: tuple[int, str], cycles: float, need: Mapping[Unit, float], moved: Mapping[Unit, float],
    macs: int, ports: PortTiming,
) -> PhaseEstimate:  # fmt: skip
    """A phase, whose units are needed for ``need`` cycles and move so many beats."""
    reads, writes = need[Unit.LOAD_X] + need[Unit.LOAD_A], need[Unit.STORE_0] + need[Unit.STORE_1]
    load = reads if config.ports < 3 else max(need[Unit.LOAD_X], need[Unit.LOAD_A])
    busy = {
        "array": need[Unit.COMPUTE] / cycles,
        "load": load / ports.read_rate / cycles,
        "store": writes / ports.write_rate / cycles,
        "vector": need[Unit.VECTOR] / cycles,
    }
    read, written = moved[Unit.LOAD_X] + moved[Unit.LOAD_A], moved[Unit.STORE_0] + moved[Unit.STORE_1]
    return PhaseEstimate(
        *label, cycles, macs, busy, round(read * config.beat_bytes), round(written * config.beat_bytes)
    )


def _totals(context: Context, amounts: Sequence[tuple[Unit, float]]) -> list[dict[Unit, float]]:
    """By phase, sums over each unit's instructions of what each has, with those that sampling left out."""
    sums = {unit: [0.0] for unit in Unit}
    for unit, amount in amounts:
        sums[unit].append(sums[unit][-1] + amount)

    def between(unit: Unit, gap: Gap, whole: bool) -> float:
        if not whole and unit not in (Unit.COMPUTE, Unit.LOAD_X, Unit.LOAD_A):
            return 0.0  # drains are all there
        return sums[unit][gap.last[unit]] - sums[unit][gap.first[unit]]

    totals = []
    starts = dict.fromkeys(Unit, 0)
    for number, ends in enumerate(context.builder.ends):
        gaps = context.gaps.get(number, Gaps())
        totals.append({
            unit: sums[unit][ends[unit]] - sums[unit][starts[unit]] + gaps.total(partial(between, unit))
            for unit in Unit
        })  # fmt: skip
        starts = ends
    return totals
