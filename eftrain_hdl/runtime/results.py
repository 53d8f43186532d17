"""What a training step reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eftrain_hdl.compiler.plan import PlannedProgram

from .device import RunResult

__all__ = ["ProgramRun", "StepResult", "program_run", "step_result"]


@dataclass(frozen=True)
class StepResult:
    """One training step.

    Attributes
    ----------
    loss : float
        Mean cross-entropy of the batch before the update.
    cycles : int or None
        Clock cycles of the programs; None on a device without a clock.
    counters : dict
        Sums of the device's performance counters over the programs.
    phases : dict
        Cycles by (layer index, "FP", "BP" or "WU"); empty on a device without a clock.
    """

    loss: float
    cycles: int | None = None
    counters: dict[str, int] = field(default_factory=dict)
    phases: dict[tuple[int, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramRun:
    """One program's share of a step."""

    cycles: int | None
    counters: Mapping[str, int]
    phases: Mapping[tuple[int, str], int]


def program_run(program: PlannedProgram, result: RunResult) -> ProgramRun:
    """A device's result with its time stamps as phases."""
    phases: Counter[tuple[int, str]] = Counter()
    before = 0
    for label, stamp in zip(program.labels, result.timestamps, strict=False):
        phases[label] += stamp - before
        before = stamp
    return ProgramRun(result.cycles, result.counters, phases)


def step_result(loss: float, runs: Iterable[ProgramRun]) -> StepResult:
    """The sum of the programs of a step."""
    counters: Counter[str] = Counter()
    phases: Counter[tuple[int, str]] = Counter()
    cycles = []
    for run in runs:
        counters.update(run.counters)
        phases.update(run.phases)
        if run.cycles is not None:
            cycles.append(run.cycles)
    return StepResult(loss, sum(cycles) if cycles else None, dict(counters), dict(phases))
