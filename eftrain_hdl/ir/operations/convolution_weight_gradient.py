"""Gradient of a convolution by its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import need
from ..operation import Operation, Result
from ..rules import map_shape, weight_channels
from ..values import Array, Shape, Value
from ..windows import Pair, Windows


@dataclass(frozen=True)
class ConvolutionWeightGradient(Operation):
    """Gradient of a `Convolution` by its ``w``, which is of ``shape``, summed over batch and places."""

    kernel: Pair
    stride: Pair
    padding: Pair
    shape: Shape
    operands: ClassVar[tuple[str, ...]] = ("x", "dy")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        x, dy = inputs
        channels, *size = map_shape("x", x)
        outputs, *places = map_shape("dy", dy)
        expected = weight_channels(self.shape, self.kernel)
        need(channels == expected, f"{x.name} has {channels} channels, but weights of {self.shape} are for {expected}")
        need(outputs == self.shape[0], f"{dy.name} has {outputs} channels, but weights of {self.shape} another number")
        counts = self._windows((size[0], size[1])).counts
        need(tuple(places) == counts, f"dy has to have a place for each of {counts} windows: {dy.name} is {dy.size}")
        return (Result(self.shape, batched=False),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        x, dy = inputs
        windows = self._windows((x.shape[2], x.shape[3]))
        padded = windows.padded(x, 0)
        dw = np.zeros((dy.shape[1], x.shape[1], *self.kernel), x.dtype)
        for i, j, seen in windows.taps():
            dw[:, :, i, j] = np.tensordot(dy, padded[seen], axes=((0, 2, 3), (0, 2, 3)))
        return (dw.reshape(self.shape),)

    def _windows(self, size: Pair) -> Windows:
        return Windows(size, self.kernel, self.stride, self.padding)
