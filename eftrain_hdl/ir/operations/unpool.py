"""Gradient of the maximum over windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import need
from ..operation import Operation, Result
from ..rules import map_shape, same
from ..values import Array, Value
from ..windows import Pair, Windows


@dataclass(frozen=True)
class Unpool(Operation):
    """Maps of ``size`` rows and columns with ``dy`` at the places that won in a `MaxPool`, else 0.

    Where windows overlap, what comes to one place is added in the order of places within the window.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    size: Pair
    operands: ClassVar[tuple[str, ...]] = ("dy", "index")
    index_operands: ClassVar[frozenset[str]] = frozenset({"index"})

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        dy, index = inputs
        channels, rows, columns = map_shape("dy", dy)
        same("dy", dy, "index", index)
        counts = self._windows.counts
        need((rows, columns) == counts, f"dy has to have a place for each of {counts} windows: {dy.name} is {dy.size}")
        return (Result((channels, *self.size)),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        dy, index = inputs
        dx = self._windows.padded(np.zeros((*dy.shape[:2], *self.size), dy.dtype), 0)
        for i, j, seen in self._windows.taps():
            dx[seen] += np.where(index == i * self.kernel[1] + j, dy, dy.dtype.type(0))
        return (np.ascontiguousarray(self._windows.inner(dx)),)

    @property
    def _windows(self) -> Windows:
        return Windows(self.size, self.kernel, self.stride, self.padding)
