"""The training loop of commands: test, train with progress, test, say how it went, and keep what there is."""

from __future__ import annotations

import argparse
import contextlib
import math
from pathlib import Path

from eftrain_hdl.cli.arguments import CliError, given, input_file, output_file, step_count
from eftrain_hdl.cli.common import Activity, Output, progress_bar
from eftrain_hdl.cli.learners import Learner, Step
from eftrain_hdl.cli.report import Report
from eftrain_hdl.data import Dataset
from eftrain_hdl.runtime.interrupts import DeferredInterrupt
from eftrain_hdl.runtime.trainer import Diverged, TrainerError

__all__ = ["add_state_options", "check_state_options", "load_state", "train_and_report"]


def add_state_options(group: argparse._ActionsContainer) -> None:
    """``--load``, ``--save`` and ``--checkpoint-every``."""
    group.add_argument(
        "--load", type=input_file, metavar="FILE",
        help="go on from what --save wrote: parameters, momentum and the place in the data (which has its seed)",
    )  # fmt: skip
    group.add_argument(
        "--save", type=output_file(".npz"), metavar="FILE",
        help="write the training to an .npz file at its end, also after Ctrl-C; a diverged one is not written",
    )  # fmt: skip
    group.add_argument(
        "--checkpoint-every", type=step_count, metavar="N", help="write the file of --save after every N steps, too"
    )


def check_state_options(options: argparse.Namespace) -> None:
    """CliError for checkpoints that have no place."""
    if options.checkpoint_every is not None and options.save is None:
        raise CliError("--checkpoint-every needs --save, which says where")


def load_state(learner: Learner, options: argparse.Namespace, output: Output) -> None:
    """``--load``, and where in the data the training goes on: the file's seed counts, if it has one."""
    learner.load(options.load)
    at = learner.position
    other = f", not {options.seed} of --seed" if "--seed" in given(options) and options.seed != at.seed else ""
    place = f"{at.taken} of {at.samples} samples of epoch {at.epoch + 1}, seed {at.seed}{other}"
    output.line(f"goes on from   {options.load}: {place}")


def train_and_report(
    learner: Learner, data: Dataset, report: Report, output: Output, *, steps: int, save: Path | None,
    checkpoint_every: int | None,
) -> BaseException | None:  # fmt: skip
    """Train in the report's batches, fill the report, print it, and write the training to ``save``.

    Returns what went wrong, to be raised when everything else is written: KeyboardInterrupt, a CliError if the training
    diverged, an OSError if the file could not be written.
    """
    report.accuracy_before, report.test_loss_before = _evaluate(learner, data, "testing before training")
    ended: BaseException | None = None
    unsaved: OSError | None = None
    saved = ""
    try:
        _train(learner, data, report, steps, save if checkpoint_every else None, checkpoint_every or steps)
        report.accuracy, report.test_loss = _evaluate(learner, data, "testing after training")
        _check_loss(report.test_loss)
    except (KeyboardInterrupt, Diverged) as error:
        ended = error
    except BaseException:
        # The device, or the disk: what was trained before is kept where it can be read.
        if save and report.steps:
            with contextlib.suppress(TrainerError, OSError):
                learner.save(save)
        raise
    if save and not isinstance(ended, Diverged):
        try:
            with DeferredInterrupt():
                if report.test_loss is None:
                    _check(learner, data, report.batch)
                learner.save(save)
                saved = f"parameters     {save}"
        except Diverged as error:
            ended = error
        except OSError as error:
            unsaved = error
        except KeyboardInterrupt as error:
            ended, saved = error, saved or f"not saved: {save} is as it was"
        except TrainerError:
            saved = "A step was cut off while it changed the parameters: they are lost."
    output.keep_going()
    report.ended = {type(None): "complete", Diverged: "diverged"}.get(type(ended), "interrupted")
    for line in report.lines() if report.steps else ():
        output.line(line)
    if ended is not None:
        what = "diverged" if report.ended == "diverged" else "was interrupted"
        output.line(f"The training {what} after {len(report.steps)} of {steps} steps.")
    flags = learner.flags()
    if any(flags.values()):
        output.line(f"floating-point flags: {', '.join(name for name, raised in flags.items() if raised)}")
    if saved:
        output.line(saved)
    return CliError(f"{ended.reason}; a smaller --lr may help") if isinstance(ended, Diverged) else ended or unsaved


def _train(
    learner: Learner, data: Dataset, report: Report, steps: int, checkpoint: Path | None, every: int
) -> None:
    """All steps, each into the report, and a checkpoint after ``every`` so many."""
    with progress_bar(steps, "training", "step") as bar:

        def on_step(step: Step) -> None:
            report.steps.append(step)
            if checkpoint and len(report.steps) % every == 0:
                _check(learner, data, report.batch)
                learner.save(checkpoint)
            bar.set_postfix(loss=f"{step.loss:.3f}", refresh=False)
            bar.update()

        learner.fit(data.x_train, data.y_train, steps, on_step)


def _check(learner: Learner, data: Dataset, batch: int) -> None:
    """Diverged if a batch of the test data has no finite loss: the loss of a step does not know what the step did."""
    _check_loss(learner.evaluate(data.x_test[:batch], data.y_test[:batch])[1])


def _check_loss(loss: float) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the training has diverged: the loss on test data is {loss:g} after the latest step")


def _evaluate(learner: Learner, data: Dataset, what: str) -> tuple[float, float]:
    with Activity(what):
        return learner.evaluate(data.x_test, data.y_test)
