"""Operand vectors that reach the corners of floating-point units; the same set serves models and gateware."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.numerics import FP32, FloatFormat, from_bits, round_to_format

__all__ = ["KINDS", "pair_vectors", "scalar_vectors"]

KINDS = ("plain", "spread", "cancel", "near", "huge", "tiny", "sparse", "special", "bits")
"""Ways in which :func:`pair_vectors` draws: see there."""


def _draw(
    rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int, fmt: FloatFormat
) -> NDArray[np.float32]:
    """Random significands and signs with exponents from ``low`` to ``high``, in ``fmt``."""
    low, high = max(low, 1 - fmt.bias), min(high, fmt.bias)
    mantissa = rng.integers(1 << fmt.mantissa, 2 << fmt.mantissa, shape)
    # Long runs of equal bits make the carries and the ties that uniform significands hardly ever do.
    runs = ((2 << fmt.mantissa) - 1) ^ ((1 << rng.integers(0, fmt.mantissa + 1, shape)) - 1)
    mantissa = np.where(rng.random(shape) < 0.2, runs, mantissa)
    values = np.ldexp(mantissa.astype(np.float64), rng.integers(low, high + 1, shape) - fmt.mantissa)
    return (values * rng.choice([-1.0, 1.0], shape)).astype(np.float32)


def pair_vectors(
    rng: np.random.Generator, count: int, lanes: int, fmt: FloatFormat, kind: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two arrays ``[count, lanes]`` of values of ``fmt``.

    plain: exponents within a few of each other. spread: product exponents all over and past the window. cancel: half of
    the lanes negate the other half, mostly but for one. near: the same, that one off by its last place. huge, tiny:
    results around overflow and underflow. sparse: many zeros and subnormals. special: Inf and NaN among them. bits: any
    pattern.
    """
    shape = (count, lanes)
    if kind == "plain":
        return _draw(rng, shape, -3, 3, fmt), _draw(rng, shape, -3, 3, fmt)
    if kind == "spread":
        return _draw(rng, shape, -20, 20, fmt), _draw(rng, shape, -20, 20, fmt)
    if kind in ("cancel", "near"):
        a, b = _draw(rng, shape, -6, 6, fmt), _draw(rng, shape, -6, 6, fmt)
        half = lanes // 2
        order = rng.permuted(np.broadcast_to(np.arange(half), (count, half)), axis=1)
        a[:, half:] = -np.take_along_axis(a[:, :half], order, 1)
        b[:, half:] = np.take_along_axis(b[:, :half], order, 1)
        lane = rng.integers(0, lanes, count)
        rows = np.flatnonzero(rng.random(count) < 0.8)
        if kind == "cancel":
            a[rows, lane[rows]] = _draw(rng, (len(rows),), -26, 0, fmt)
        else:
            step = np.ldexp(1.0, np.frexp(a)[1] - 1 - fmt.mantissa)
            a[rows, lane[rows]] = (a + step)[rows, lane[rows]]
        return round_to_format(a.astype(np.float32), fmt), b
    if kind == "huge":
        top = min(fmt.bias, 64)
        return _draw(rng, shape, top - 3, top, fmt), _draw(rng, shape, top - 4, min(top, 63), fmt)
    if kind == "tiny":
        bottom = max(1 - fmt.bias, -64)
        return _draw(rng, shape, bottom, bottom + 4, fmt), _draw(rng, shape, bottom, bottom + 4, fmt)
    a, b = _draw(rng, shape, -8, 8, fmt), _draw(rng, shape, -8, 8, fmt)
    if kind == "sparse":
        for values in (a, b):
            small = np.ldexp(rng.integers(0, 1 << fmt.mantissa, shape).astype(np.float64), 1 - fmt.bias - fmt.mantissa)
            empty = rng.random(shape) < rng.random((count, 1))
            values[empty] = np.copysign(np.where(rng.random(shape) < 0.5, 0.0, small), values)[empty]
        return a, b
    if kind == "special":
        for values in (a, b):
            chosen = rng.random(shape) < 1.0 / lanes
            values[chosen] = rng.choice(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32), shape,
                                        p=[0.35, 0.35, 0.1, 0.1, 0.1])[chosen]
        return a, b
    if kind == "bits":
        patterns = rng.integers(0, 1 << fmt.width, (2, *shape), dtype=np.uint64).astype(np.uint32)
        a, b = from_bits(patterns, fmt)
        return a, b
    raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")


def scalar_vectors(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Operands ``[count]`` for one addition or product: all kinds of :func:`pair_vectors` and near-cancellations."""
    lists: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    each = max(count // 16, 1)
    for kind in KINDS:
        a, b = pair_vectors(rng, each, 2, FP32, kind)
        lists += [(a[:, 0], b[:, 0]), (a[:, 0], a[:, 1])]
    a = _draw(rng, (each,), -126, 127, FP32)
    bits = a.view(np.uint32).astype(np.int64)
    for scale in (4, 1 << 22, 1 << 24, 1 << 26):
        other = np.clip((bits & 0x7FFFFFFF) + rng.integers(-scale, scale + 1, each), 0, 0x7F7FFFFF)
        sign = rng.integers(0, 2, each) << 31
        lists.append((a, (other | sign).astype(np.uint32).view(np.float32)))
    corners = np.array([0, 1, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x3F800001, 0x7F7FFFFF, 0x7F800000, 0x7F800001,
                        0x7FC00000, 0x7FFFFFFF, 0x33800000, 0x33800001, 0x34000000, 0x7E800000, 0x00FFFFFF], np.uint32)
    corners = np.concatenate([corners, corners | 0x80000000])
    left, right = (grid.ravel().view(np.float32) for grid in np.meshgrid(corners, corners))
    lists.append((left, right))
    return np.concatenate([a for a, _ in lists]), np.concatenate([b for _, b in lists])
