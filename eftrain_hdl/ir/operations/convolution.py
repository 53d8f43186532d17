"""Convolution of maps with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import need
from ..operation import Operation, Result
from ..rules import map_shape, unbatched, weight_channels
from ..values import Array, Value
from ..windows import Pair, Windows
from .convolution_input_gradient import ConvolutionInputGradient
from .convolution_weight_gradient import ConvolutionWeightGradient

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class Convolution(Operation):
    """Cross-correlation of ``x`` (channels, rows, columns), padded with zeros, with ``w``.

    ``w`` is (outputs, ...), read as (outputs, channels, kernel height, kernel width): a linear layer is a convolution
    of kernel 1x1 whose ``w`` is (outputs, inputs).
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    operands: ClassVar[tuple[str, ...]] = ("x", "w")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        x, w = inputs
        channels, rows, columns = map_shape("x", x)
        unbatched("w", w)
        expected = weight_channels(w.shape, self.kernel)
        need(channels == expected, f"{x.name} has {channels} channels, but {w.name} {w.size} is for {expected}")
        return (Result((w.shape[0], *self._windows((rows, columns)).counts)),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        x, w = inputs
        windows = self._windows((x.shape[2], x.shape[3]))
        padded, taps = windows.padded(x, 0), w.reshape(len(w), x.shape[1], *self.kernel)
        y = np.zeros((len(w), len(x), *windows.counts), x.dtype)
        for i, j, seen in windows.taps():
            y += np.tensordot(taps[:, :, i, j], padded[seen], axes=(1, 1))
        return (np.ascontiguousarray(y.swapaxes(0, 1)),)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        x, w = node.inputs
        if position == 0:
            size = (x.shape[1], x.shape[2])
            return builder.add(ConvolutionInputGradient(self.kernel, self.stride, self.padding, size), dy, w)
        return builder.add(ConvolutionWeightGradient(self.kernel, self.stride, self.padding, w.shape), x, dy)

    def _windows(self, size: Pair) -> Windows:
        return Windows(size, self.kernel, self.stride, self.padding)
