"""Training on a device: what users drive."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer
from eftrain_hdl.compiler import Plan, compile_model
from eftrain_hdl.compiler.estimate import needed_memory
from eftrain_hdl.data import Position, batches_from
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, check_trainable, cross_entropy

from .arguments import finite_parameters, labels_array, samples_array
from .checkpoint import TrainingState, initial_state, read_state, write_state, zeros
from .device import Device
from .errors import Diverged, TrainerError
from .interrupts import DeferredInterrupt
from .results import ProgramRun, StepResult, step_result
from .training_memory import TrainingMemory, check_room

__all__ = ["Diverged", "StepResult", "Trainer", "TrainerError"]

Array = NDArray[Any]
Parameters = dict[str, NDArray[np.float32]]

_PROGRESS_DELAY = 2.0
_MOST_SEED = 2**64 - 1
_MOST = 10**9  # epochs or steps of one call
_DEVICE = "a device such as EmulatorDevice(config) or SimDevice(config)"


class Trainer:
    """Trains ``model`` on ``device`` in batches of ``batch`` samples.

    Parameters start as `initial_parameters` with ``seed`` makes them. Samples are (count, *model.input_shape), floating
    point; labels are integers (count,). All data are checked before anything on the device changes: TypeError for
    types, ValueError for shapes, labels out of range, and values that are not finite as float32.

    Raises TypeError for arguments of another kind, CompileError if the network does not fit the configuration,
    ValueError if it does not fit the memory.

    Ctrl-C in `step`, `fit`, `gradients`, `update` and `predict` takes effect when the step, or the batch, is complete:
    training can go on. A second one takes effect at once.

    An exception in the midst of a program or of a write leaves a device that needs ``device.reset()``; if parameters
    were being changed, `restore` as well, which goes back to the last known state. Until then every other use raises
    TrainerError. So it does when another trainer has taken the device; `restore` takes it back.

    Threads may share trainers and devices: each step, batch or access to the state is made as a whole.

    Attributes cannot be replaced; `set_lr` changes the learning rate.
    """

    model: Sequential
    optimizer: SGD
    batch: int
    plan: Plan
    device: Device
    seed: int
    classes: int

    def __init__(
        self, model: Sequential, *, loss: CrossEntropyLoss, optimizer: SGD, batch: int, device: Device, seed: int = 0
    ) -> None:
        check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
        check_kind("loss", loss, CrossEntropyLoss, "an eftrain_hdl.CrossEntropyLoss()")
        check_kind("optimizer", optimizer, SGD, "an eftrain_hdl.SGD(lr=...)")
        check_kind("device", device, Device, _DEVICE)
        batch, seed = integer("batch", batch, 1), integer("seed", seed, 0, _MOST_SEED)
        check_trainable(model)
        # The tensors alone, at once: programs of what no memory holds take for ever.
        check_room(device, needed_memory(model, device.config, batch=batch, optimizer=optimizer))
        plan = compile_model(model, device.config, batch=batch, loss=loss, optimizer=optimizer)
        self._start(plan, device, seed)

    @classmethod
    def from_plan(cls, plan: Plan, device: Device, *, seed: int = 0) -> Trainer:
        """A trainer for a plan that is compiled already, anywhere in the device's memory.

        Raises ConfigurationMismatch if it was compiled for another configuration, ValueError if it does not fit the
        memory.
        """
        check_kind("plan", plan, Plan, "a Plan such as load_plan(path) returns")
        check_kind("device", device, Device, _DEVICE)
        trainer = cls.__new__(cls)
        trainer._start(plan, device, integer("seed", seed, 0, _MOST_SEED))
        return trainer

    def _start(self, plan: Plan, device: Device, seed: int) -> None:
        self._memory = TrainingMemory(plan, device)
        vars(self).update(
            model=plan.model, optimizer=plan.optimizer, batch=plan.batch, classes=plan.model.output_shape[0],
            plan=self._memory.plan, device=device, seed=seed,
        )  # fmt: skip
        self._checkpoint = initial_state(plan.model, seed)
        self._position = self._checkpoint.position
        self._has_gradients = self._warned = self._diverged = False
        self.restore()

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not callable(getattr(type(self), name, None)):
            advice = "set_lr(...) changes the learning rate" if name in ("optimizer", "lr") else "make another trainer"
            raise AttributeError(f"setting Trainer.{name} would change nothing of what runs: {advice}")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        at = self._position
        taken = f"{at.taken} of {at.samples} samples" if at.samples else "no sample"
        network = f"{len(self.model)} layers from {self.model.input_shape} to {self.classes} classes"
        return (
            f"Trainer({network}; {self.device!r}; batch {self.batch}; {CrossEntropyLoss()}; {self.optimizer}; "
            f"epoch {at.epoch}, {taken} taken)"
        )

    @property
    def position(self) -> Position:
        """Where `fit` is in its data, and goes on when it is called again."""
        return self._position

    def set_lr(self, lr: float) -> None:
        """Train with another learning rate from now on, also after `restore` and `load`."""
        optimizer = replace(self.optimizer, lr=lr)
        with DeferredInterrupt(), self._memory.undivided(), self._memory.changing():
            vars(self)["optimizer"] = optimizer
            self._memory.set_scalars(optimizer)

    def step(self, x: Array, y: Array) -> StepResult:
        """Train on one batch, whatever `fit` has done; its loss may be infinite or NaN.

        Raises DeviceError if the device stops.
        """
        x, y = self._whole_batch(x, y)
        with DeferredInterrupt(), self._memory.undivided():
            return self._apply(*self._differentiate(x, y))

    def gradients(self, x: Array, y: Array) -> Parameters:
        """Gradients of the mean loss of one batch by the parameters, without weight decay; nothing is updated."""
        x, y = self._whole_batch(x, y)
        with DeferredInterrupt(), self._memory.undivided():
            _, _, gradient = self._differentiate(x, y)
            self._has_gradients = False
            self._memory.write("logits_gradient", gradient)
            self._memory.run("backward")
            found = self._memory.parameters("gradient")
            self._has_gradients = True
        return found

    def update(self) -> None:
        """One step of the optimizer with the gradients that `gradients` left on the device, which are used up by it:
        together what `step` does. Raises TrainerError without such gradients.
        """
        with DeferredInterrupt(), self._memory.undivided():
            if not self._has_gradients:
                raise TrainerError("there are no gradients to update with: call gradients(x, y) before each update")
            with self._memory.changing():
                self._has_gradients = False
                self._memory.run("update")

    def fit(
        self, x: Array, y: Array, *, epochs: int | None = None, steps: int | None = None, progress: bool = True,
        stop_if_diverged: bool = True, on_step: Callable[[StepResult], object] | None = None,
    ) -> list[StepResult]:  # fmt: skip
        """Train for a number of ``epochs`` or ``steps``; returns what each step reported.

        Samples are shuffled anew in every epoch, in an order that the trainer's seed determines; those that do not fill
        a batch are left out. Called again, `fit` goes on at `position`, in the midst of an epoch or not: an epoch means
        as many steps as one has. Data of another length begin the next epoch.

        Parameters
        ----------
        progress
            Show a bar on a terminal or in a notebook when training takes longer than two seconds.
        stop_if_diverged
            Raise `Diverged` at the first loss that is not finite, before the step changes anything.
        on_step
            Called with the result of each step. Ctrl-C waits for its end; what it raises ends the training. Where it
            moves `position` (`restore`, `load`, a `fit` of its own), the next step is the one from there on.
        """
        if (epochs is None) == (steps is None):
            raise ValueError(f"epochs={epochs}, steps={steps}: give one of them")
        number = integer("epochs", epochs, 1, _MOST) if epochs is not None else integer("steps", steps, 1, _MOST)
        for name, value in (("progress", progress), ("stop_if_diverged", stop_if_diverged)):
            check_kind(name, value, bool, "True or False")
        if on_step is not None:
            check_kind("on_step", on_step, Callable, "a function of a StepResult")  # type: ignore[arg-type]
        x, y = self._checked(x, y)
        if len(x) < self.batch:
            raise ValueError(f"x has {len(x)} samples: not enough for one batch of {self.batch}")
        with self._memory.undivided():
            pass  # or say now what is wrong
        number *= len(x) // self.batch if epochs is not None else 1
        results: list[StepResult] = []
        bar = _bar(number) if progress else None
        try:
            at, stream = self._position, batches_from(self._position, x, y, self.batch)
            for _ in range(number):
                with DeferredInterrupt():
                    with self._memory.undivided():
                        if self._position is not at:  # on_step, or another thread, has moved it
                            stream = batches_from(self._position, x, y, self.batch)
                        some, labels, at = next(stream)
                        run, loss, gradient = self._differentiate(some, labels)
                        if stop_if_diverged and self._diverged:
                            raise Diverged.at(len(results), loss, self.optimizer.lr, results)
                        results.append(self._apply(run, loss, gradient, at))
                    if on_step:
                        on_step(results[-1])
                if bar is not None:
                    bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                    bar.update()
        finally:
            if bar is not None:
                bar.close()
        return results

    def predict(self, x: Array) -> NDArray[np.float32]:
        """Logits (count, classes) of any number of samples."""
        x = samples_array(x, self.model.input_shape)
        logits = np.empty((len(x), self.classes), np.float32)
        for start in range(0, len(x), self.batch):
            some = x[start : start + self.batch]
            padded = np.zeros((self.batch, *x.shape[1:]), np.float32)
            padded[: len(some)] = some
            with DeferredInterrupt(), self._memory.undivided():
                self._forward(padded)
                logits[start : start + len(some)] = self._logits()[: len(some)]
        return logits

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Accuracy and mean loss on any number of samples."""
        x, y = self._checked(x, y)
        logits = self.predict(x)
        return float((logits.argmax(axis=1) == y).mean()), cross_entropy(logits, y)[0]

    def parameters(self) -> Parameters:
        """Present parameters by name ("0.weight", "0.bias", ...), in PyTorch's shapes."""
        with self._memory.undivided(to_run=False):
            return self._memory.parameters("weights")

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace all parameters, and begin anew: without momentum, and at the start of the data.

        Raises TypeError for values that are no real numbers, GraphError for names or shapes that are not the model's,
        ValueError for values that are not finite.
        """
        given = finite_parameters(self.model, parameters)
        self._restore_from(TrainingState(given, zeros(self.model), Position(self.seed)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, the optimizer's state and the position in the data to an .npz file, which is also what
        `restore` goes back to.

        A file that was there stays until the new one is whole. Diverged, and the file stays, if values are not finite,
        or the latest loss was not: such parameters are of no use even where they are finite.
        """
        with self._memory.undivided(to_run=False):
            if self._diverged:
                reason = f"{path!s} is left as it was: the training has diverged, its latest loss is not finite"
                raise Diverged(reason, ". restore() or load() go back to a state before")
            velocity = self._memory.parameters("velocity") if self.optimizer.momentum else zeros(self.model)
            state = TrainingState(self._memory.parameters("weights"), velocity, self._position)
        write_state(path, self.model, state)
        self._checkpoint = state

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote, and go on from there: `fit` gives the same bits as if it had not been interrupted.

        The learning rate stays the trainer's. A file of parameters alone is a training at its beginning. Raises
        OSError, or FileError or GraphError (both ValueErrors) that name the file, before anything changes.
        """
        state = read_state(path, self.model, self.seed, self.optimizer)
        self._restore_from(state)

    def restore(self) -> None:
        """Write programs and the last known state to the device, and take it from another trainer if there is one.

        That state is the one of the latest `load`, `load_parameters` or `save`, or the initial one. Raises
        DeviceNotReady if the device needs a reset first.
        """
        self._restore_from(self._checkpoint)

    def _restore_from(self, state: TrainingState) -> None:
        with self.device.lock:
            self.device.check_ready()
            self._checkpoint = state
            with self._memory.changing():
                self._has_gradients = False
                self._memory.restore(state.parameters, state.velocity, self.optimizer)
                self._diverged = False
                self._position = replace(state.position)  # another object: `fit` sees that it has been set anew

    def _checked(self, x: Array, y: Array) -> tuple[NDArray[np.float32], Array]:
        x = samples_array(x, self.model.input_shape)
        return x, labels_array(y, len(x), self.classes)

    def _whole_batch(self, x: Array, y: Array) -> tuple[NDArray[np.float32], Array]:
        x, y = self._checked(x, y)
        if len(x) != self.batch:
            raise ValueError(f"x has {len(x)} samples: this trainer was made for batches of {self.batch}")
        return x, y

    def _differentiate(self, x: NDArray[np.float32], y: Array) -> tuple[ProgramRun, float, Array]:
        """The forward program's report, and the loss with its gradient by the logits."""
        run = self._forward(x)
        loss, gradient = cross_entropy(self._logits(), y)
        self._diverged = not math.isfinite(loss)
        operand = self.plan.config.operand
        lost = int(((gradient != 0) & (np.abs(gradient) < operand.min_normal)).sum())
        if lost and not self._warned:
            self._warned = True
            warnings.warn(
                f"{lost} of {gradient.size} gradients by the logits are below {operand.min_normal:.2g}, the least that "
                f"{operand} operands hold: they count as zero, and so may others. See docs/numerics.md.",
                stacklevel=3,
            )
        return run, loss, gradient

    def _apply(self, run: ProgramRun, loss: float, gradient: Array, then: Position | None = None) -> StepResult:
        """The second half of a step, behind which the data are at ``then``."""
        self._memory.write("logits_gradient", gradient)
        with self._memory.changing():
            self._has_gradients = False
            runs = [run, self._memory.run("backward_update")]
            self._position = then or self._position
        return step_result(loss, runs)

    def _logits(self) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._memory.read("logits").reshape(self.batch, self.classes)
        return logits

    def _forward(self, x: NDArray[np.float32]) -> ProgramRun:
        self._memory.write("input", x)
        return self._memory.run("forward")


def _bar(steps: int) -> Any:
    """A bar on standard error; None where nobody would see it move, and on a board without tqdm."""
    if not sys.stderr.isatty() and "ipykernel" not in sys.modules:  # a notebook is no terminal, but shows bars
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, unit="step", delay=_PROGRESS_DELAY)
