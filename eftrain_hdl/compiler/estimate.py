"""Cycles of a whole training step by the timing model, without its full programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Sequential
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.isa import Instruction, Unit
from eftrain_hdl.planner.ports import DEFAULT_PORTS, PortTiming
from eftrain_hdl.planner.timing import demand, simulate_timing

from .context import Context
from .step import Passes, Step

__all__ = ["Estimate", "PhaseEstimate", "estimate_step"]

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
    model: Sequential, config: Config, *, batch: int, optimizer: SGD | None = None, ports: PortTiming = DEFAULT_PORTS
) -> Estimate:
    """Estimate one training step: forward, backward with the update.

    Raises as ``compile_model`` does, but takes layers that can only be planned. Long phases are sampled: the beginning
    and the end are executed in time, the middle passes at the rate of the later part of the beginning.
    """
    step = Step(model, config, batch, optimizer or SGD(lr=0.01, momentum=0.9))
    macs = step_macs(model, batch)
    phases: list[PhaseEstimate] = []
    for work in (*step.forward(), *step.backward()):
        if isinstance(work, Passes):
            phases.append(_closed(work, config, ports))
            continue
        program = work.builder.finish()
        cycles = work.cycles(simulate_timing(program, config, ports))
        for label in dict.fromkeys(work.builder.labels):
            phases.append(_phase(work, program, label, cycles, macs.get(label, 0), ports))
    return Estimate(config, batch, phases, step.memory_bytes())


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
    context: Context, program: Sequence[Instruction], label: tuple[int, str], all_cycles: Sequence[float], macs: int,
    ports: PortTiming,
) -> PhaseEstimate:  # fmt: skip
    """A phase, which may have been emitted in several parts."""
    config = context.config
    numbers = [number for number, other in enumerate(context.builder.labels) if other == label]
    cycles = sum(all_cycles[number] for number in numbers)
    needs = {
        unit: sum(_needs(context, program, number, unit, ports) for number in numbers)
        for unit in Unit if unit is not Unit.COMMAND
    }  # fmt: skip
    reads, writes = needs[Unit.LOAD_X] + needs[Unit.LOAD_A], needs[Unit.STORE_0] + needs[Unit.STORE_1]
    load = reads if config.ports < 3 else max(needs[Unit.LOAD_X], needs[Unit.LOAD_A])
    busy = {
        "array": needs[Unit.COMPUTE] / cycles,
        "load": load / ports.read_rate / cycles,
        "store": writes / ports.write_rate / cycles,
        "vector": needs[Unit.VECTOR] / cycles,
    }
    return PhaseEstimate(
        *label, cycles, macs, busy, round(reads * config.beat_bytes), round(writes * config.beat_bytes)
    )


def _needs(
    context: Context, program: Sequence[Instruction], number: int, unit: Unit, ports: PortTiming
) -> float:
    """Cycles of a unit's instructions in a phase, what sampling left out included."""
    own = [demand(one, context.config, ports) for one in program if one.format.unit is unit]
    ends = context.builder.ends
    first = ends[number - 1][unit] if number else 0
    total = sum(own[first : ends[number][unit]])
    gap = context.gaps.get(number)
    if gap is not None:
        total += gap.ratio * sum(own[gap.first[unit] : gap.last[unit]])
    return total
