"""EF-Train's analytical model, restated from its published formulas, as a peer to compare with.

Cycles of the authors' 16x16 array at 100 MHz: convolutions and linear layers, without batch norm, pooling, softmax or
register set-up. A linear layer is a
convolution with R = C = K = 1 of every image by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

__all__ = ["Conv", "bp_cycles", "fp_cycles", "wu_cycles"]

_START = 400
_WORDS = 4
_SLOTS = 55
_KERNEL = 3
_TM = _TN = 16
_OUTPUT_WORDS = 2016
_INPUT_WORDS = 2486


@dataclass(frozen=True)
class Conv:
    """One layer: M output and N input channels, R x C outputs, K x K kernel, stride S."""

    m: int
    n: int
    r: int
    c: int
    k: int
    s: int = 1

    def swapped(self) -> Conv:
        """The layer as backward propagation sees it."""
        return Conv(self.n, self.m, self.r, self.c, self.k, self.s)

    def macs(self, batch: int) -> int:
        return self.m * self.n * self.r * self.c * self.k**2 * batch


def _resident(layer: Conv) -> int:
    """Output channels whose weights stay on chip."""
    per_tile = ceil(ceil(layer.n / (2 * _TN)) / max(1, _KERNEL // layer.k) ** 2)
    most = _SLOTS // per_tile * _TM
    return layer.m if layer.m <= most else most // _TM * _TM


def _row_tiles(layer: Conv) -> list[int]:
    return [
        rows
        for rows in range(1, layer.r + 1)
        if rows * layer.c <= _OUTPUT_WORDS
        and ((rows - 1) * layer.s + layer.k) * ((layer.c - 1) * layer.s + layer.k) <= _INPUT_WORDS
    ]


def _groups(layer: Conv) -> list[int]:
    resident = _resident(layer)
    full, rest = divmod(layer.m, resident)
    return [resident] * full + ([rest] if rest else [])


def _tile_times(layer: Conv, rows: int) -> tuple[int, int, int]:
    """Load, compute and store of one tile: tI, tC, tO."""
    words = ceil(layer.n / _WORDS) if layer.n <= 4 else ceil(_TN / _WORDS)
    load = _START + words * ((rows - 1) * layer.s + layer.k) * ((layer.c - 1) * layer.s + layer.k)
    return load, rows * layer.c * layer.k**2, ceil(_TM / _WORDS) * rows * layer.c


def _propagate(layer: Conv, batch: int, rows: int, backward: bool) -> int:
    load, compute, store = _tile_times(layer, rows)
    n_tiles, r_tiles = ceil(layer.n / _TN), ceil(layer.r / rows)
    total = 0
    for channels in _groups(layer):
        m_tiles = ceil(channels / _TM)
        weights = (
            (_START + ceil(channels * _TN / _WORDS) * layer.k**2) if backward else ceil(_TM * _TN / _WORDS) * layer.k**2
        )

        def pair(inner: int) -> tuple[int, int]:
            base = (n_tiles - 1) * inner + load
            return base + compute, base + max(compute, store)

        last, middle = pair(max(load, compute))
        last_w, middle_w = pair(max(load, weights, compute))
        image = (m_tiles * r_tiles - 1) * middle + last + store + _START
        if backward:
            first = (m_tiles * r_tiles - 1) * middle + last_w + store + _START
        else:
            first = m_tiles * (r_tiles - 1) * middle + (m_tiles - 1) * middle_w + last_w + store + _START
        total += (batch - 1) * image + first
    return total


def fp_cycles(layer: Conv, batch: int) -> int:
    """Forward propagation of a mini-batch."""
    return min(_propagate(layer, batch, rows, False) for rows in _row_tiles(layer))


def bp_cycles(layer: Conv, batch: int) -> int:
    """Input gradient of a mini-batch."""
    return min(_propagate(layer.swapped(), batch, rows, True) for rows in _row_tiles(layer.swapped()))


def wu_cycles(layer: Conv, batch: int) -> int:
    """Weight gradient and update of a mini-batch."""
    return min(_update(layer, batch, rows) for rows in _row_tiles(layer))


def _update(layer: Conv, batch: int, rows: int) -> int:
    load, compute, store = _tile_times(layer, rows)
    gradient = store + _START
    weights = ceil(_TM * _TN / _WORDS) * layer.k**2
    n_tiles, r_tiles = ceil(layer.n / _TN), ceil(layer.r / rows)
    total = 0
    for channels in _groups(layer):
        m_tiles = ceil(channels / _TM)
        if rows < layer.r:
            base = (r_tiles - 1) * max(load, gradient, compute) + max(load, gradient)
            total += ((batch - 1) * m_tiles * n_tiles + 1) * (base + compute)
            total += (m_tiles * n_tiles - 1) * (base + max(compute, weights)) + weights
        else:
            image = (n_tiles - 1) * max(load, compute) + max(load, gradient) + compute
            total += m_tiles * (batch * image + n_tiles * weights)
    return total
