"""EF-Train's analytical model, restated from its published formulas, as a peer to compare with.

Cycles of the authors' 16x16 array at 100 MHz: convolutions and linear layers, without batch norm, pooling, softmax or
register set-up. A linear layer is a convolution with R = C = K = 1 of every image by itself.

``python -m benchmarks.eftrain_model`` prints their networks. The published script's totals are in
``tests/planner/test_eftrain_model.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

__all__ = [
    "ALEXNET", "ALEXNET_MACHINE", "NET_1X", "RELEASED", "VGG16", "Conv", "Machine", "bp_cycles", "fp_cycles",
    "network_cycles", "network_macs", "wu_cycles",
]  # fmt: skip

_START = 400
_WORDS = 4
_TM = _TN = 16


@dataclass(frozen=True)
class Machine:
    """Sizes of their buffers: weight slots of ``kernel`` x ``kernel``, words of output and input features a channel."""

    slots: int = 55
    kernel: int = 3
    output_words: int = 2016
    input_words: int = 2486


RELEASED = Machine()
"""As in the published script."""
ALEXNET_MACHINE = Machine(slots=4, kernel=11, input_words=2 * 2486)
"""An assumption: what the paper used for AlexNet is unknown, and the released buffers cannot hold it."""


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


def _resident(layer: Conv, machine: Machine) -> int:
    """Output channels whose weights stay on chip."""
    per_tile = ceil(ceil(layer.n / (2 * _TN)) / max(1, machine.kernel // layer.k) ** 2)
    most = machine.slots // per_tile * _TM
    return layer.m if layer.m <= most else most // _TM * _TM


def _row_tiles(layer: Conv, machine: Machine) -> list[int]:
    return [
        rows
        for rows in range(1, layer.r + 1)
        if rows * layer.c <= machine.output_words
        and ((rows - 1) * layer.s + layer.k) * ((layer.c - 1) * layer.s + layer.k) <= machine.input_words
    ]


def _groups(layer: Conv, machine: Machine) -> list[int]:
    resident = _resident(layer, machine)
    full, rest = divmod(layer.m, resident)
    return [resident] * full + ([rest] if rest else [])


def _tile_times(layer: Conv, rows: int) -> tuple[int, int, int]:
    """Load, compute and store of one tile: tI, tC, tO."""
    words = ceil(layer.n / _WORDS) if layer.n <= 4 else ceil(_TN / _WORDS)
    load = _START + words * ((rows - 1) * layer.s + layer.k) * ((layer.c - 1) * layer.s + layer.k)
    return load, rows * layer.c * layer.k**2, ceil(_TM / _WORDS) * rows * layer.c


def _propagate(layer: Conv, batch: int, rows: int, backward: bool, machine: Machine) -> int:
    load, compute, store = _tile_times(layer, rows)
    n_tiles, r_tiles = ceil(layer.n / _TN), ceil(layer.r / rows)
    total = 0
    for channels in _groups(layer, machine):
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


def fp_cycles(layer: Conv, batch: int, machine: Machine = RELEASED) -> int:
    """Forward propagation of a mini-batch."""
    return min(_propagate(layer, batch, rows, False, machine) for rows in _row_tiles(layer, machine))


def bp_cycles(layer: Conv, batch: int, machine: Machine = RELEASED) -> int:
    """Input gradient of a mini-batch."""
    swapped = layer.swapped()
    return min(_propagate(swapped, batch, rows, True, machine) for rows in _row_tiles(swapped, machine))


def wu_cycles(layer: Conv, batch: int, machine: Machine = RELEASED) -> int:
    """Weight gradient and update of a mini-batch."""
    return min(_update(layer, batch, rows, machine) for rows in _row_tiles(layer, machine))


def _update(layer: Conv, batch: int, rows: int, machine: Machine) -> int:
    load, compute, store = _tile_times(layer, rows)
    gradient = store + _START
    weights = ceil(_TM * _TN / _WORDS) * layer.k**2
    n_tiles, r_tiles = ceil(layer.n / _TN), ceil(layer.r / rows)
    total = 0
    for channels in _groups(layer, machine):
        m_tiles = ceil(channels / _TM)
        if rows < layer.r:
            base = (r_tiles - 1) * max(load, gradient, compute) + max(load, gradient)
            total += ((batch - 1) * m_tiles * n_tiles + 1) * (base + compute)
            total += (m_tiles * n_tiles - 1) * (base + max(compute, weights)) + weights
        else:
            image = (n_tiles - 1) * max(load, compute) + max(load, gradient) + compute
            total += m_tiles * (batch * image + n_tiles * weights)
    return total


def network_cycles(layers: Sequence[Conv], batch: int, machine: Machine = RELEASED) -> tuple[int, int, int]:
    """FP, BP and WU of a network; the first layer has no BP."""
    return (
        sum(fp_cycles(layer, batch, machine) for layer in layers),
        sum(bp_cycles(layer, batch, machine) for layer in layers[1:]),
        sum(wu_cycles(layer, batch, machine) for layer in layers),
    )


def network_macs(layers: Sequence[Conv], batch: int) -> int:
    """Multiply-accumulates of a training step."""
    return 3 * sum(layer.macs(batch) for layer in layers) - layers[0].macs(batch)


VGG16 = tuple(
    Conv(m, n, size, size, 3)
    for size, widths in (
        (224, (3, 64, 64)),
        (112, (64, 128, 128)),
        (56, (128, 256, 256, 256)),
        (28, (256, 512, 512, 512)),
        (14, (512, 512, 512, 512)),
    )
    for n, m in pairwise(widths)
)
"""Its convolutions."""
NET_1X = (
    Conv(16, 3, 32, 32, 3), Conv(16, 16, 32, 32, 3), Conv(32, 16, 16, 16, 3), Conv(32, 32, 16, 16, 3),
    Conv(64, 32, 8, 8, 3), Conv(64, 64, 8, 8, 3), Conv(10, 1024, 1, 1, 1),
)  # fmt: skip
"""The CIFAR-10 network "1X", with its linear layer."""
ALEXNET = (
    Conv(96, 3, 55, 55, 11, 4), Conv(256, 96, 27, 27, 5), Conv(384, 256, 13, 13, 3), Conv(384, 384, 13, 13, 3),
    Conv(256, 384, 13, 13, 3),
)  # fmt: skip
"""Its convolutions."""


if __name__ == "__main__":
    for name, layers, machine in (
        ("VGG-16, convolutions", VGG16, RELEASED), ("1X", NET_1X, RELEASED),
        ("AlexNet, convolutions", ALEXNET, ALEXNET_MACHINE),
    ):  # fmt: skip
        for batch in (1, 4, 16, 64):
            total = sum(network_cycles(layers, batch, machine))
            gflops = network_macs(layers, batch) / total / 5
            print(f"{name:22} batch {batch:2}: {total:14,} cycles, {gflops:.2f} GFLOPS")
