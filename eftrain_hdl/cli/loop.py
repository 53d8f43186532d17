"""The training loop of commands: test, train with progress, test, say how it went."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from eftrain_hdl.cli.common import Activity, Output, progress_bar
from eftrain_hdl.cli.learners import Learner
from eftrain_hdl.cli.report import Report
from eftrain_hdl.data import Dataset, batches

__all__ = ["train_and_report"]


def train_and_report(
    learner: Learner, data: Dataset, report: Report, output: Output, *, steps: int, seed: int, save: Path | None
) -> None:
    """Train in the report's batches, fill the report, print it, and write the parameters to ``save``."""
    report.accuracy_before, report.test_loss_before = _evaluate(learner, data, "testing before training")
    epochs = (batches(data.x_train, data.y_train, report.batch, seed, epoch) for epoch in itertools.count())
    with progress_bar(steps, "training", "step") as bar:
        for x, y in itertools.islice(itertools.chain.from_iterable(epochs), steps):
            step = learner.step(x, y)
            report.steps.append(step)
            bar.set_postfix(loss=f"{step.loss:.3f}", refresh=False)
            bar.update()
    report.accuracy, report.test_loss = _evaluate(learner, data, "testing after training")
    for line in report.lines():
        output.line(line)
    bad = next((k for k, loss in enumerate(report.losses) if not math.isfinite(loss)), None)
    if bad is not None:
        output.line(f"The training diverged: the loss of step {bad + 1} is not finite. A smaller --lr may help.")
    flags = learner.flags()
    if any(flags.values()):
        output.line(f"floating-point flags: {', '.join(name for name, raised in flags.items() if raised)}")
    if save:
        save.parent.mkdir(parents=True, exist_ok=True)
        learner.save(save)
        output.line(f"parameters     {save}")


def _evaluate(learner: Learner, data: Dataset, what: str) -> tuple[float, float]:
    with Activity(what):
        return learner.evaluate(data.x_test, data.y_test)
