"""What trains behind ``eftrain train``: one small interface, whatever does the arithmetic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.data import Position, batches_from
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, cross_entropy
from eftrain_hdl.runtime.checkpoint import TrainingState, initial_state, read_state, write_state, zeros
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.interrupts import DeferredInterrupt
from eftrain_hdl.runtime.trainer import Diverged, StepResult, Trainer

__all__ = ["DeviceLearner", "GoldenLearner", "Learner", "Step", "simulated_device"]

Array = NDArray[Any]

_GOLDEN_BATCH = 256


@dataclass(frozen=True)
class Step:
    """One training step.

    ``cycles`` and ``phases`` (cycles by layer index and "FP", "BP" or "WU") are None and empty where there is no clock.
    """

    loss: float
    cycles: int | None = None
    phases: Mapping[tuple[int, str], int] = field(default_factory=dict)


class Learner(Protocol):
    """A network with its parameters that can be trained."""

    def fit(self, x: Array, y: Array, steps: int, on_step: Callable[[Step], None]) -> None:
        """Train on, from where it is in the data, and tell of each step; Diverged as `Trainer.fit` raises it."""

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Accuracy and mean loss."""

    def save(self, path: Path) -> None:
        """Write parameters, momentum and place in the data, as `Trainer.save` does."""

    def load(self, path: Path) -> None:
        """Read what `save` of any learner wrote."""

    def flags(self) -> dict[str, bool]:
        """Floating-point flags raised so far, by name; empty if there are none to read."""

    @property
    def position(self) -> Position:
        """Where it is in the data."""


def simulated_device(
    kind: str, config: Config, *, memory: str, clock_mhz: float, memory_bytes: int, progress: Callable[[str], None]
) -> Device:
    """The ``sim`` or the ``emulator``; the latter has neither memory model nor clock."""
    from eftrain_hdl.runtime.emulator import EmulatorDevice

    if kind == "emulator":
        return EmulatorDevice(config, memory_bytes=memory_bytes)
    from eftrain_hdl.runtime.sim import SimDevice

    return SimDevice(config, memory=memory, clock_mhz=clock_mhz, memory_bytes=memory_bytes, progress=progress)


class GoldenLearner:
    """NumPy float32: no compiler, no device; what the others are compared with."""

    _position: Position

    def __init__(self, model: Sequential, optimizer: SGD, batch: int, seed: int) -> None:
        self._model, self._optimizer, self._batch, self._seed = model, optimizer, batch, seed
        self._start(initial_state(model, seed))

    def fit(self, x: Array, y: Array, steps: int, on_step: Callable[[Step], None]) -> None:
        stream = itertools.islice(batches_from(self._position, x, y, self._batch), steps)
        for number, (some, labels, then) in enumerate(stream):
            with DeferredInterrupt(), np.errstate(all="ignore"):
                loss, gradient = cross_entropy(self._golden.forward(some), labels)
                if not math.isfinite(loss):
                    raise Diverged.at(number, loss, self._optimizer.lr)
                self._golden.backward(gradient)
                self._golden.update()
                self._position = then
                on_step(Step(loss))

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        starts = range(0, len(x), _GOLDEN_BATCH)
        with np.errstate(all="ignore"):
            logits = np.concatenate([self._golden.forward(x[start : start + _GOLDEN_BATCH]) for start in starts])
        return float((logits.argmax(axis=1) == y).mean()), cross_entropy(logits, y)[0]

    def save(self, path: Path) -> None:
        velocity = self._golden.state or zeros(self._model)
        write_state(path, self._model, TrainingState(self._golden.parameters(), velocity, self._position))

    def load(self, path: Path) -> None:
        self._start(read_state(path, self._model, self._seed, self._optimizer))

    def _start(self, state: TrainingState) -> None:
        from eftrain_hdl.golden import GoldenStep

        self._golden = GoldenStep(
            self._model, CrossEntropyLoss(), self._optimizer, state.parameters, dtype=np.float32
        )
        if state.has_velocity:
            self._golden.state = dict(state.velocity)
        self._position = state.position

    def flags(self) -> dict[str, bool]:
        return {}

    @property
    def position(self) -> Position:
        return self._position


class DeviceLearner:
    """A :class:`~eftrain_hdl.Trainer`, whatever its device."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def fit(self, x: Array, y: Array, steps: int, on_step: Callable[[Step], None]) -> None:
        def tell(result: StepResult) -> None:
            on_step(Step(result.loss, result.cycles, result.phases))

        self._trainer.fit(x, y, steps=steps, progress=False, on_step=tell)

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        # Behind a Ctrl-C that has cut a program off: parameters that it has not changed can be tested, and kept.
        if self._trainer.device.needs_reset:
            self._trainer.device.reset()
        return self._trainer.evaluate(x, y)

    def save(self, path: Path) -> None:
        self._trainer.save(path)

    def load(self, path: Path) -> None:
        self._trainer.load(path)

    def flags(self) -> dict[str, bool]:
        return self._trainer.device.flags()

    @property
    def position(self) -> Position:
        return self._trainer.position
