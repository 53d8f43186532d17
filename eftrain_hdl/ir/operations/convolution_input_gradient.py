"""Gradient of a convolution by its maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import need
from ..operation import Operation, Result
from ..rules import map_shape, unbatched, weight_channels
from ..values import Array, Value
from ..windows import Pair, Windows


@dataclass(frozen=True)
class ConvolutionInputGradient(Operation):
    """Gradient of a `Convolution` by its ``x``, whose rows and columns are ``size``, from that of its result."""

    kernel: Pair
    stride: Pair
    padding: Pair
    size: Pair
    operands: ClassVar[tuple[str, ...]] = ("dy", "w")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        dy, w = inputs
        outputs, rows, columns = map_shape("dy", dy)
        unbatched("w", w)
        channels, counts = weight_channels(w.shape, self.kernel), self._windows.counts
        need(outputs == w.shape[0], f"{dy.name} has {outputs} channels, but {w.name} {w.size} makes {w.shape[0]}")
        need((rows, columns) == counts, f"dy has to have a place for each of {counts} windows: {dy.name} is {dy.size}")
        return (Result((channels, *self.size)),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        dy, w = inputs
        taps = w.reshape(len(w), -1, *self.kernel)
        dx = self._windows.padded(np.zeros((taps.shape[1], len(dy), *self.size), dy.dtype), 0)
        for i, j, seen in self._windows.taps():
            dx[seen] += np.tensordot(taps[:, :, i, j], dy, axes=(0, 1))
        return (np.ascontiguousarray(self._windows.inner(dx).swapaxes(0, 1)),)

    @property
    def _windows(self) -> Windows:
        return Windows(self.size, self.kernel, self.stride, self.padding)
