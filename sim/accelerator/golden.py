"""What the golden bench trains: configurations, networks and data, and the tolerance against the golden step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.numerics import BF16, FloatFormat

__all__ = ["CONFIGS", "MEMORY_BYTES", "NETWORKS", "OPTIMIZER", "TOP", "Golden", "samples"]

TOP = "eftrain"
"""Module of the Verilog, as `eftrain verilog` calls it."""

_DEPTHS = {"streaming_depth": 64, "stationary_depth": 64, "operand_depth": 64, "outstanding": 4}
CONFIGS = {
    "fp32": Config(rows=4, lanes=4, data_width=64, accumulator_depth=64, **_DEPTHS),
    "bf16": Config(rows=4, lanes=4, operand=BF16, data_width=64, ports=2, accumulator_depth=64, **_DEPTHS),
    "least": Config(rows=2, lanes=2, operand=BF16, data_width=32, accumulator_depth=32, **_DEPTHS),
}
"""What the bench builds: `least` is for simulators that take long."""

NETWORKS = {
    "least": Sequential(Linear(2, 2), input_shape=(2,)),
    "linear": Sequential(Linear(6, 4), ReLU(), Linear(4, 3), input_shape=(6,)),
    "planar": Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), Flatten(), Linear(64, 3), input_shape=(1, 4, 4)),
    "stride": Sequential(
        Conv2d(4, 6, 3, stride=2, padding=1), ReLU(), Conv2d(6, 4, 3, stride=2, padding=1), Flatten(), Linear(8, 3),
        input_shape=(4, 5, 4),
    ),
    "pooling": Sequential(
        Conv2d(2, 5, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(5, 4, 3), Flatten(), Linear(4, 3),
        input_shape=(2, 6, 6),
    ),
}
"""A single layer; fully connected layers alone; an image of fewer channels than lanes; strides, on more than one tile
of channels; pooling between convolutions."""

OPTIMIZER = SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
MEMORY_BYTES = 1 << 18
_FLOOR = 1e-7
"""Where float32 by chance does better than its own precision, 2**-23, this is taken instead."""
_BF16_ERROR = 2.0**-6
"""Rounding an operand to BF16 is off by up to 2**-8: two operands, in the forward and in the backward pass."""


def samples(model: Sequential, batch: int, step: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A batch of random inputs and labels."""
    generator = np.random.default_rng([batch, step])
    x = generator.standard_normal((batch, *model.input_shape)).astype(np.float32)
    return x, generator.integers(0, model.output_shape[0], batch)


class Golden:
    """The golden step in float64, which the accelerator is held against, and in float32, which tells how closely."""

    def __init__(self, model: Sequential, start: Mapping[str, NDArray[np.float32]]) -> None:
        self._start = dict(start)
        self._exact = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, start, np.float64)
        self._single = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, start, np.float32)

    def step(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        """One step of both."""
        self._exact.step(x, y)
        self._single.step(x, y)

    def assert_close(self, ours: Mapping[str, NDArray[np.float32]], operand: FloatFormat) -> None:
        """What training has changed in each parameter is that of float64: relative error of the whole tensor.

        With FP32 operands at most twice float32's, with BF16 operands as far as these are rounded.
        """
        for name, first in self._start.items():
            change = self._exact.parameters()[name] - first
            error = _relative(ours[name] - first, change)
            single = _relative(self._single.parameters()[name] - first, change)
            allowed = _BF16_ERROR if operand == BF16 else 2 * max(_FLOOR, single)
            assert error <= allowed, f"{name}: relative error {error:.3g}, more than {allowed:.3g}"


def _relative(value: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))
