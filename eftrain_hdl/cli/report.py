"""What a training run measured: loss, accuracy, cycles, and how busy the array was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from eftrain_hdl.cli.common import table
from eftrain_hdl.cli.learners import Step
from eftrain_hdl.config import Config
from eftrain_hdl.graph import Sequential
from eftrain_hdl.graph.work import step_macs

__all__ = ["PHASES", "PhaseCycles", "Report", "divide"]

PHASES = ("FP", "BP", "WU")


_FOOTNOTE = (
    "A phase lasts from the end of the phase before to its own. Phases overlap: if its multiply-accumulates take",
    "longer than that, the cycles that it lacks are taken from the phase before. All phases add up to the step, but",
    "for a few cycles in which programs end.",
)
_IDLE = (
    "A phase of 0% multiplies nothing: it is ReLU and pooling alone, as BP of the first layer, whose input needs no",
    "gradient.",
)


def divide(cycles: Sequence[float], needs: Sequence[float]) -> list[float]:
    """``cycles`` between the ends of phases, in the order of execution, with those that a phase needs at least.

    Whatever a phase lacks is taken from those before it; the sum stays. Work is done before the end of its phase, so
    that there is always enough.
    """
    ends = list(accumulate(cycles))
    for k in range(len(ends) - 1, 0, -1):
        ends[k - 1] = min(ends[k - 1], ends[k] - needs[k])
    return [end - before for before, end in pairwise([0.0, *ends])]


@dataclass(frozen=True)
class PhaseCycles:
    """One phase of one layer: mean cycles per step, and the multiply-accumulates that the network needs of it.

    The cycles of all phases add up to those of the step, but for the few between the last time stamp of a program and
    its end.
    """

    layer: int
    name: str
    phase: str
    cycles: float
    macs: int


@dataclass
class Report:
    """A training run.

    ``accuracy`` and ``test_loss``, after the training, are None if it ended early, and ``ended`` says how: complete,
    interrupted or diverged. ``utilization`` is useful multiply-accumulates (:func:`~eftrain_hdl.graph.work.step_macs`)
    over cycles times rows times lanes. Cycles are those between the start of a program and its END; the host's share of
    a step is not in them.

    Phases overlap: the array begins one while the results of the one before are still stored. A phase lasts from the
    time stamp of the phase before to its own; what the array cannot have done in that time, it did before, and so many
    cycles of the phase before are this one's (:func:`divide`). A phase without multiply-accumulates is ReLU and pooling
    alone: so is BP of the first layer.
    """

    model: Sequential
    config: Config
    batch: int
    clock_mhz: float | None
    accuracy_before: float = 0.0
    test_loss_before: float = 0.0
    steps: list[Step] = field(default_factory=list)
    accuracy: float | None = None
    test_loss: float | None = None
    ended: str = "complete"

    @property
    def losses(self) -> list[float]:
        """Loss of every step, before its update."""
        return [step.loss for step in self.steps]

    @property
    def cycles(self) -> list[int]:
        """Cycles of every step; empty without a clock."""
        return [step.cycles for step in self.steps if step.cycles is not None]

    @property
    def mean_cycles(self) -> float | None:
        """Mean cycles of a step; None without a clock."""
        return sum(self.cycles) / len(self.cycles) if self.cycles else None

    @property
    def seconds(self) -> float | None:
        """Time that all steps take on the accelerator at its clock."""
        return sum(self.cycles) / (1e6 * self.clock_mhz) if self.cycles and self.clock_mhz else None

    def phases(self) -> list[PhaseCycles]:
        """Every phase of every layer, in the order of the layers; empty where the device does not tell."""
        total: dict[tuple[int, str], int] = defaultdict(int)
        for step in self.steps:
            for key, count in step.phases.items():
                total[key] += count
        macs, steps = step_macs(self.model, self.batch), len(self.steps)
        # In the order of execution, which is that of the steps' phases.
        needs = [macs.get(key, 0) / self.config.macs for key in total]
        cycles = dict(zip(total, divide([count / steps for count in total.values()], needs), strict=True))
        order = sorted(total, key=lambda key: (key[0], PHASES.index(key[1])))
        return [
            PhaseCycles(layer, str(self.model[layer]), phase, cycles[layer, phase], macs.get((layer, phase), 0))
            for layer, phase in order
        ]

    def utilization(self) -> dict[str, float] | None:
        """Utilisation ``overall`` and, where known, by phase; None without a clock."""
        if self.mean_cycles is None:
            return None
        result = {"overall": self._share(sum(step_macs(self.model, self.batch).values()), self.mean_cycles)}
        parts = self.phases()
        for phase in PHASES:
            chosen = [part for part in parts if part.phase == phase]
            if chosen:
                result[phase] = self._share(sum(part.macs for part in chosen), sum(part.cycles for part in chosen))
        return result

    def _share(self, macs: float, cycles: float) -> float:
        return macs / (cycles * self.config.macs) if cycles else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "loss": self.losses,
            "ended": self.ended,
            "accuracy_before": self.accuracy_before,
            "accuracy": self.accuracy,
            "test_loss_before": self.test_loss_before,
            "test_loss": self.test_loss,
            "cycles": self.cycles,
            "cycles_per_step": self.mean_cycles,
            "clock_mhz": self.clock_mhz,
            "seconds": self.seconds,
            "macs_per_step": sum(step_macs(self.model, self.batch).values()),
            "utilization": self.utilization(),
            "layers": [
                {
                    "layer": part.layer,
                    "name": part.name,
                    "phase": part.phase,
                    "cycles": part.cycles,
                    "macs": part.macs,
                    "utilization": self._share(part.macs, part.cycles),
                }
                for part in self.phases()
            ],
            "config": self.config.as_dict(),
        }

    def lines(self) -> list[str]:
        """The report for people."""
        losses = self.losses
        few = max(1, min(10, len(losses) // 4))
        steps = "step" if few == 1 else f"{few} steps"
        after = "not tested" if self.accuracy is None else f"{self.accuracy:.1%}"
        out = [
            f"loss           {_mean(losses[:few]):.3f} -> {_mean(losses[-few:]):.3f} (first and last {steps})",
            f"test accuracy  {self.accuracy_before:.1%} -> {after}",
        ]
        used = self.utilization()
        if self.mean_cycles is None or used is None:
            return out
        total = ""
        if self.seconds is not None:
            total = f"; {self.seconds * 1e3:,.1f} ms for all {len(losses)} steps at {self.clock_mhz:g} MHz"
        out += [
            f"cycles         {self.mean_cycles:,.0f} a step{total}",
            f"utilisation    {used['overall']:.1%} of {self.config.macs} multiply-accumulates a cycle, whole step",
        ]
        parts = self.phases()
        if parts:
            out += ["", *self._table(parts, used)]
        return out

    def _table(self, parts: Sequence[PhaseCycles], used: dict[str, float]) -> list[str]:
        """Cycles and utilisation: a row for every layer, a column for every phase."""
        names = list(dict.fromkeys(part.name for part in parts))
        by_place = {(part.name, part.phase): part for part in parts}
        header = ["cycles a step (utilisation)", *PHASES, "all"]
        rows = []
        for name in [*names, "all"]:
            chosen = [part for part in parts if name in (part.name, "all")]
            row = [name]
            for phase in PHASES:
                here = [part for part in chosen if part.phase == phase]
                row.append(self._cell(here) if name == "all" or (name, phase) in by_place else "-")
            rows.append([*row, self._cell(chosen)])
        idle = _IDLE if any(not part.macs for part in parts) else ()
        return [*table(header, rows), *_FOOTNOTE, *idle]

    def _cell(self, parts: Sequence[PhaseCycles]) -> str:
        cycles, macs = sum(part.cycles for part in parts), sum(part.macs for part in parts)
        return f"{cycles:,.0f} ({self._share(macs, cycles):4.0%})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
