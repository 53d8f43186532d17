"""Training on a device: what users drive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.compiler import Plan, compile_model
from eftrain_hdl.config import Config
from eftrain_hdl.data import batches
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, check_parameters, cross_entropy, initial_parameters

from .device import Device
from .errors import ConfigurationMismatch, DeviceError

__all__ = ["StepResult", "Trainer", "TrainerError"]

Array = NDArray[Any]
Parameters = dict[str, NDArray[np.float32]]

_PAGE = 4096
_VELOCITY = "velocity/"
_PROGRESS_DELAY = 2.0


class TrainerError(RuntimeError):
    """The trainer cannot go on until its user has done something; the message says what."""


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


class Trainer:
    """Trains ``model`` on ``device`` in batches of ``batch`` samples.

    Parameters start as `initial_parameters` with ``seed`` makes them. Samples are (count, *model.input_shape), floating
    point; labels are integers (count,). All data are checked before anything on the device changes: TypeError for
    types,
    ValueError for shapes, labels out of range, and values that are not finite as float32.

    Raises CompileError if the network does not fit the configuration, ValueError if it does not fit the memory.
    A DeviceError means that the device's memory may be half changed: call ``device.reset()`` and then `restore`; until
    then every other use raises TrainerError.
    """

    def __init__(
        self, model: Sequential, *, loss: CrossEntropyLoss, optimizer: SGD, batch: int, device: Device, seed: int = 0
    ) -> None:
        plan = compile_model(model, device.config, batch=batch, loss=loss, optimizer=optimizer)
        self._start(plan, device, seed)

    @classmethod
    def from_plan(cls, plan: Plan, device: Device, *, seed: int = 0) -> Trainer:
        """A trainer for a plan that is compiled already, anywhere in the device's memory.

        Raises ConfigurationMismatch if it was compiled for another configuration, ValueError if it does not fit the
        memory.
        """
        trainer = cls.__new__(cls)
        trainer._start(plan, device, seed)
        return trainer

    def _start(self, plan: Plan, device: Device, seed: int) -> None:
        _check_config(plan.config, device.config)
        plan = plan.relocated(-(-device.window_base // _PAGE) * _PAGE)
        end = plan.memory_base + plan.memory_bytes
        if end > device.window_limit:
            raise ValueError(
                f"training needs {plan.memory_bytes} bytes of device memory, "
                f"{end - device.window_limit} more than the device has"
            )
        self.model, self.optimizer, self.batch = plan.model, plan.optimizer, plan.batch
        self.plan, self.device, self.seed = plan, device, seed
        self.classes = plan.model.output_shape[0]
        self._checkpoint = (initial_parameters(plan.model, seed), self._zeros())
        self._broken = False
        self.restore()

    def step(self, x: Array, y: Array) -> StepResult:
        """Train on one batch. Raises DeviceError if the device stops."""
        x, y = self._checked(x, y)
        if len(x) != self.batch:
            raise ValueError(f"x has {len(x)} samples: this trainer was made for batches of {self.batch}")
        self._check_usable()
        runs = [self._forward(x)]
        loss, gradient = cross_entropy(self._logits(), y)
        self._write("logits_gradient", gradient)
        runs.append(self._run("backward_update"))
        return _summary(loss, runs)

    def gradients(self, x: Array, y: Array) -> Parameters:
        """Gradients of the mean loss of one batch by the parameters, without weight decay; nothing is updated."""
        x, y = self._checked(x, y)
        if len(x) != self.batch:
            raise ValueError(f"x has {len(x)} samples: this trainer was made for batches of {self.batch}")
        self._check_usable()
        self._forward(x)
        self._write("logits_gradient", cross_entropy(self._logits(), y)[1])
        self._run("backward")
        return self._read_parameters("gradient")

    def update(self) -> None:
        """One step of the optimizer with the gradients that `gradients` left on the device:
        together what `step` does.
        """
        self._check_usable()
        self._run("update")

    def fit(
        self, x: Array, y: Array, *, epochs: int | None = None, steps: int | None = None, progress: bool = True
    ) -> list[StepResult]:
        """Train for a number of ``epochs`` or ``steps``; returns what each step reported.

        Samples are shuffled anew in every epoch, in an order that the trainer's seed determines; those that do not fill
        a batch are left out. ``progress`` shows a bar when training takes longer than two seconds.
        """
        if (epochs is None) == (steps is None):
            raise ValueError("give epochs or steps, one of them")
        x, y = self._checked(x, y)
        if len(x) < self.batch:
            raise ValueError(f"x has {len(x)} samples: not enough for one batch of {self.batch}")
        from tqdm import tqdm  # a board that runs plans need not have it

        count = steps if steps is not None else (epochs or 0) * (len(x) // self.batch)
        if count < 1:
            raise ValueError(f"epochs={epochs}, steps={steps}: must be at least 1")
        results: list[StepResult] = []
        epoch = 0
        with tqdm(total=count, unit="step", disable=not progress, delay=_PROGRESS_DELAY) as bar:
            while len(results) < count:
                for some, labels in batches(x, y, self.batch, self.seed, epoch):
                    results.append(self.step(some, labels))
                    bar.set_postfix(loss=f"{results[-1].loss:.4f}", refresh=False)
                    bar.update()
                    if len(results) == count:
                        break
                epoch += 1
        return results

    def predict(self, x: Array) -> NDArray[np.float32]:
        """Logits (count, classes) of any number of samples."""
        x = self._checked_samples(x)
        self._check_usable()
        logits = np.empty((len(x), self.classes), np.float32)
        for start in range(0, len(x), self.batch):
            some = x[start : start + self.batch]
            padded = np.zeros((self.batch, *x.shape[1:]), np.float32)
            padded[: len(some)] = some
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
        self._check_usable()
        return self._read_parameters("weights")

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace all parameters and forget the optimizer's state.

        Raises GraphError for names or shapes that are not the model's, ValueError for values that are not finite.
        """
        self._restore_from(self._finite(parameters), self._zeros())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and the optimizer's state to an .npz file, which is also what `restore` goes back to."""
        state = self.parameters(), self._velocity()
        arrays = state[0] | {_VELOCITY + name: value for name, value in state[1].items()}
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        partial.replace(target)
        self._checkpoint = state

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote; without optimizer state in the file the optimizer starts afresh.

        Raises FileNotFoundError, and ValueError or GraphError, before anything changes, if the file does not fit.
        """
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        velocity = {
            name.removeprefix(_VELOCITY): arrays.pop(name) for name in list(arrays) if name.startswith(_VELOCITY)
        }
        self._restore_from(self._finite(arrays), self._finite(velocity) if velocity else self._zeros())

    def restore(self) -> None:
        """Write programs and the last known state to the device.

        That state is the one of the latest `load`, `load_parameters` or `save`, or the initial one.
        """
        for program in self.plan.programs.values():
            self.device.write(program.address, program.words)
        parameters, velocity = self._checkpoint
        states = {"weights": parameters}
        if self.optimizer.momentum:
            states["velocity"] = velocity
        for prefix, values in states.items():
            for name, words in self.plan.pack_parameters(values, prefix).items():
                self.device.write(self.plan.tensors[name].address, words)
        self.device.set_scalars(self.optimizer.lr, self.optimizer.weight_decay, self.optimizer.momentum)
        self._broken = False

    def _restore_from(self, parameters: Parameters, velocity: Parameters) -> None:
        self._checkpoint = parameters, velocity
        self.restore()

    def _zeros(self) -> Parameters:
        return {name: np.zeros(shape, np.float32) for name, shape in self.model.parameter_shapes().items()}

    def _finite(self, values: Mapping[str, Array]) -> Parameters:
        check_parameters(self.model, values)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused just below
            arrays = {name: np.array(values[name], np.float32) for name in self.model.parameter_shapes()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has values that are not finite as float32")
        return arrays

    def _checked_samples(self, x: Array) -> NDArray[np.float32]:
        x = np.asarray(x)
        if not np.issubdtype(x.dtype, np.floating):
            raise TypeError(f"x has dtype {x.dtype}: expected a floating type")
        if x.shape[1:] != self.model.input_shape or x.ndim == 0 or len(x) == 0:
            raise ValueError(f"x has shape {x.shape}: expected (count, {', '.join(map(str, self.model.input_shape))})")
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError(f"x has {int((~np.isfinite(x)).sum())} values that are not finite as float32")
        return x

    def _checked(self, x: Array, y: Array) -> tuple[NDArray[np.float32], Array]:
        x, y = self._checked_samples(x), np.asarray(y)
        if not np.issubdtype(y.dtype, np.integer):
            raise TypeError(f"y has dtype {y.dtype}: expected integers")
        if y.shape != (len(x),):
            raise ValueError(f"y has shape {y.shape}: expected ({len(x)},), one label for each sample")
        if y.min() < 0 or y.max() >= self.classes:
            raise ValueError(f"labels range from {y.min()} to {y.max()}: expected 0 to {self.classes - 1}")
        return x, y

    def _check_usable(self) -> None:
        if self._broken:
            raise TrainerError("the device stopped with an error: call device.reset() and then restore()")

    def _write(self, name: str, array: Array) -> None:
        tensor = self.plan.tensors[name]
        self.device.write(tensor.address, tensor.pack(array))

    def _read(self, name: str) -> Any:
        tensor = self.plan.tensors[name]
        return tensor.unpack(self.device.read(tensor.address, tensor.nbytes))

    def _read_parameters(self, prefix: str) -> Parameters:
        tensors = {name: tensor for name, tensor in self.plan.tensors.items() if name.startswith(f"{prefix}.")}
        words = {name: self.device.read(tensor.address, tensor.nbytes) for name, tensor in tensors.items()}
        return self.plan.unpack_parameters(words, prefix)

    def _velocity(self) -> Parameters:
        return self._read_parameters("velocity") if self.optimizer.momentum else self._zeros()

    def _logits(self) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._read("logits").reshape(self.batch, self.classes)
        return logits

    def _forward(self, x: NDArray[np.float32]) -> _Run:
        self._write("input", x)
        return self._run("forward")

    def _run(self, name: str) -> _Run:
        program = self.plan.programs[name]
        try:
            result = self.device.run(program.address, program.nbytes)
        except DeviceError:
            self._broken = True
            raise
        phases: Counter[tuple[int, str]] = Counter()
        before = 0
        for label, stamp in zip(program.labels, result.timestamps, strict=False):
            phases[label] += stamp - before
            before = stamp
        return _Run(result.cycles, result.counters, phases)


def _check_config(plan: Config, device: Config) -> None:
    ours, theirs = plan.as_dict(), device.as_dict()
    differ = [f"{name} {ours[name]}, the device's {theirs[name]}" for name in ours if ours[name] != theirs[name]]
    if differ:
        raise ConfigurationMismatch(f"the plan was compiled for another configuration: {'; '.join(differ)}")


@dataclass(frozen=True)
class _Run:
    cycles: int | None
    counters: Mapping[str, int]
    phases: Mapping[tuple[int, str], int]


def _summary(loss: float, runs: list[_Run]) -> StepResult:
    counters: Counter[str] = Counter()
    phases: Counter[tuple[int, str]] = Counter()
    cycles = [run.cycles for run in runs if run.cycles is not None]
    for run in runs:
        counters.update(run.counters)
        phases.update(run.phases)
    return StepResult(loss, sum(cycles) if cycles else None, dict(counters), dict(phases))
