"""Maximum over windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import need
from ..operation import Operation, Result
from ..rules import map_shape
from ..values import Array, Role, Value
from ..windows import Pair, Windows
from .unpool import Unpool

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class MaxPool(Operation):
    """Maxima of windows, and as INDEX their places within the windows, counted row by row.

    Padding never wins. Of equal maxima the first one counts, and the first NaN counts as the maximum: PyTorch's rules.
    Where nobody reads the INDEX nobody has to store it.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    operands: ClassVar[tuple[str, ...]] = ("x",)

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        (x,) = inputs
        channels, rows, columns = map_shape("x", x)
        some = all(2 * pad <= size for pad, size in zip(self.padding, self.kernel, strict=True))
        need(some, f"padding={self.padding} is more than half of kernel={self.kernel}: a window could see nothing else")
        shape = (channels, *self._windows((rows, columns)).counts)
        return Result(shape), Result(shape, role=Role.INDEX)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        (x,) = inputs
        windows = self._windows((x.shape[2], x.shape[3]))
        padded, real = windows.padded(x, -np.inf), windows.padded(np.ones(x.shape[2:], bool), False)
        maxima = np.full((*x.shape[:2], *windows.counts), -np.inf, x.dtype)
        places = np.full(maxima.shape, -1)
        for i, j, seen in windows.taps():
            here = padded[seen]
            wins = (places < 0) | (here > maxima) | (np.isnan(here) & ~np.isnan(maxima))
            wins &= real[seen]
            maxima, places = np.where(wins, here, maxima), np.where(wins, i * self.kernel[1] + j, places)
        return maxima, places

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        _, rows, columns = node.inputs[0].shape
        return builder.add(Unpool(self.kernel, self.stride, self.padding, (rows, columns)), dy, node.outputs[1])

    def _windows(self, size: Pair) -> Windows:
        return Windows(size, self.kernel, self.stride, self.padding)
