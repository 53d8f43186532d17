"""Windows that slide over maps: how many there are, and what they see, tap by tap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .errors import need
from .values import Array

Pair = tuple[int, int]


def window_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows of ``kernel`` fit into ``size`` padded on both sides (PyTorch's formula, rounded down)."""
    return (size + 2 * padding - kernel) // stride + 1


@dataclass(frozen=True)
class Windows:
    """Windows of ``kernel`` over maps of ``size``; everything is (height, width)."""

    size: Pair
    kernel: Pair
    stride: Pair
    padding: Pair

    @property
    def counts(self) -> Pair:
        """Windows below and beside one another; GraphError if there are none."""
        for name, pair, least in (("kernel", self.kernel, 1), ("stride", self.stride, 1), ("padding", self.padding, 0)):
            need(min(pair) >= least, f"{name}={pair} has to be at least {least}")
        axes = zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        rows, columns = (window_count(*axis) for axis in axes)
        need(
            rows > 0 and columns > 0,
            f"kernel={self.kernel} is larger than the map {self.size} with its padding of {self.padding}",
        )
        return rows, columns

    def padded(self, maps: Array, value: float) -> Array:
        """``maps`` (..., rows, columns) with their padding."""
        sides = [(pad, pad) for pad in self.padding]
        return np.pad(maps, [(0, 0)] * (maps.ndim - 2) + sides, constant_values=value)

    def inner(self, padded: Array) -> Array:
        """What `padded` made it from."""
        (top, left), (rows, columns) = self.padding, self.size
        return padded[..., top : top + rows, left : left + columns]

    def taps(self) -> Iterator[tuple[int, int, Any]]:
        """Row and column within the window, and the NumPy index of what all windows see there of padded maps; row by
        row.
        """
        counts = self.counts
        for tap in product(*map(range, self.kernel)):
            rows, columns = (
                slice(first, first + (count - 1) * step + 1, step)
                for first, count, step in zip(tap, counts, self.stride, strict=True)
            )
            yield tap[0], tap[1], (..., rows, columns)
