"""What trains behind ``eftrain train``: one small interface, whatever does the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, cross_entropy, initial_parameters
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.trainer import Trainer

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

    def step(self, x: Array, y: Array) -> Step:
        """Train on one batch."""

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Accuracy and mean loss."""

    def save(self, path: Path) -> None:
        """Write the parameters."""

    def flags(self) -> dict[str, bool]:
        """Floating-point flags raised so far, by name; empty if there are none to read."""


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

    def __init__(self, model: Sequential, optimizer: SGD, seed: int) -> None:
        from eftrain_hdl.golden import GoldenStep

        parameters = initial_parameters(model, seed)
        self._golden = GoldenStep(model, CrossEntropyLoss(), optimizer, parameters, dtype=np.float32)

    def step(self, x: Array, y: Array) -> Step:
        with np.errstate(all="ignore"):
            return Step(self._golden.step(x, y))

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        starts = range(0, len(x), _GOLDEN_BATCH)
        with np.errstate(all="ignore"):
            logits = np.concatenate([self._golden.forward(x[start : start + _GOLDEN_BATCH]) for start in starts])
        return float((logits.argmax(axis=1) == y).mean()), cross_entropy(logits, y)[0]

    def save(self, path: Path) -> None:
        np.savez(path, **self._golden.parameters())  # type: ignore[arg-type]

    def flags(self) -> dict[str, bool]:
        return {}


class DeviceLearner:
    """A :class:`~eftrain_hdl.Trainer`, whatever its device."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def step(self, x: Array, y: Array) -> Step:
        result = self._trainer.step(x, y)
        return Step(result.loss, result.cycles, result.phases)

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        return self._trainer.evaluate(x, y)

    def save(self, path: Path) -> None:
        self._trainer.save(path)

    def flags(self) -> dict[str, bool]:
        return self._trainer.device.flags()
