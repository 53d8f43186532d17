"""Runs a training step on the RTL and records what every unit does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from eftrain_hdl.isa import Unit
from eftrain_hdl.runtime.device import RunResult
from eftrain_hdl.runtime.sim import SimDevice
from eftrain_hdl.runtime.timeline import Lane, Phase, Program, Timeline, joined, running_lanes
from eftrain_hdl.runtime.trainer import StepResult, Trainer
from eftrain_hdl.runtime.verilator import RecordingModel, VerilatedModel

__all__ = ["Recording", "TracedSimDevice", "trace_step"]

_STAMP_LATENCY = 1
"""Cycles by which the counter that is stamped lags behind: it shows 0 in cycle 1 of a run."""


@dataclass(frozen=True)
class Recording:
    """One run of a program on a traced device."""

    program_address: int
    lanes: Mapping[Unit, Lane]
    result: RunResult


class TracedSimDevice(SimDevice):
    """A :class:`~eftrain_hdl.runtime.sim.SimDevice` that records every run; parameters are the same.

    The gateware is the same as well, with outputs for what the units do; it is compiled separately, and the simulation
    takes a little longer. ``recordings`` holds the runs since it was last cleared.
    """

    _model: ClassVar[type[VerilatedModel]] = RecordingModel
    _probed: ClassVar[bool] = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.recordings: list[Recording] = []
        super().__init__(*arguments, **settings)

    def _run(self, program_address: int, program_bytes: int) -> RunResult:
        assert isinstance(self.model, RecordingModel)
        self.model.start_recording()
        try:
            result = super()._run(program_address, program_bytes)
        finally:
            lanes = running_lanes(self.model.stop_recording())
        self.recordings.append(Recording(program_address, lanes, result))
        return result


def trace_step(trainer: Trainer, x: NDArray[Any], y: NDArray[Any]) -> tuple[StepResult, Timeline]:
    """One training step of a trainer whose device is a :class:`TracedSimDevice`, and what happened in it.

    Raises TypeError for another device, and what :meth:`Trainer.step` raises.
    """
    device = trainer.device
    if not isinstance(device, TracedSimDevice):
        raise TypeError(f"device must be a TracedSimDevice, not {type(device).__name__}")
    device.recordings.clear()
    result = trainer.step(x, y)
    planned = {program.address: program for program in trainer.plan.programs.values()}
    programs: list[Program] = []
    phases: list[Phase] = []
    counters: Counter[str] = Counter()
    start = 0
    for recording in device.recordings:
        program = planned[recording.program_address]
        end = start + int(recording.lanes[Unit.COMMAND].edges[-1])
        programs.append(Program(program.name, start, end))
        before = start
        for (layer, phase), stamp in zip(program.labels, recording.result.timestamps, strict=False):
            then = start + stamp + _STAMP_LATENCY
            phases.append(Phase(layer, str(trainer.model.nodes[layer]), phase, before, then))
            before = then
        counters.update(recording.result.counters)
        start = end
    lanes = {unit: joined(unit, [recording.lanes[unit] for recording in device.recordings]) for unit in Unit}
    return result, Timeline(device.model.clock_mhz, programs, phases, lanes, dict(counters))
