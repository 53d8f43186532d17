"""Fused dot products of many stationary blocks at once, with the bits of :func:`eftrain_hdl.numerics.fused_dot`.

:func:`~eftrain_hdl.numerics.fused_dot_matrix` has one matrix of rows; a program has thousands of blocks, each with rows
of its own and sometimes a stream of only a few vectors, so the loops here run over blocks as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.numerics import Flags, FloatFormat, check_window, fused_dot

__all__ = ["block_dots"]

_ZERO_EXPONENT = -2000
_LOWEST_EXPONENT = -300
_MIN_NORMAL = 2.0**-126
_CHUNK = 16384
"""Results worked on at once, so that the four arrays of a pass over the lanes stay in the processor's cache."""

Array = NDArray[np.float32]


def _lanes_first(
    values: Array, order: tuple[int, int, int], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Values and exponents of ``values`` with its axes in ``order`` and a new one; a zero's exponent never counts."""
    values = np.expand_dims(np.ascontiguousarray(values.transpose(order)), axis)
    field = ((values.view(np.int32) >> 23) & 0xFF).astype(np.int16)
    exponents = np.where(field == 0, np.int16(_ZERO_EXPONENT), field - np.int16(127))
    return values.astype(np.float64), exponents


def _power(exponent: NDArray[np.int16]) -> NDArray[np.float64]:
    """``2.0**exponent``, by building the bits."""
    bits = exponent.astype(np.int64)
    bits += 1023
    bits <<= 52
    return bits.view(np.float64)


def _reduce(
    a: NDArray[np.float64], a_exponents: NDArray[np.int16],
    b: NDArray[np.float64], b_exponents: NDArray[np.int16], shape: tuple[int, ...], window: int,
) -> Array:
    """Dot products over axis 0 of two operands that broadcast to ``shape`` elsewhere."""
    exponent, term = np.empty(shape, np.int16), np.empty(shape)
    largest, total = np.full(shape, _LOWEST_EXPONENT, np.int16), np.zeros(shape)
    for lane in range(a.shape[0]):
        np.add(a_exponents[lane], b_exponents[lane], out=exponent)
        np.maximum(largest, exponent, out=largest)
    scale = _power(np.int16(window - 2) - largest)
    for lane in range(a.shape[0]):
        np.multiply(a[lane], b[lane], out=term)
        np.multiply(term, scale, out=term)
        np.trunc(term, out=term)
        np.add(total, term, out=total)
    np.multiply(total, _power(largest + np.int16(2 - window)), out=total)
    total += 0.0  # a sum of negative zeros is +0
    with np.errstate(over="ignore"):
        result = total.astype(np.float32)
    result *= np.abs(total, out=term) >= _MIN_NORMAL
    return result


def _finite_dots(a: Array, b: Array, window: int) -> Array:
    blocks, rows, _ = a.shape
    size = b.shape[1]
    out = np.empty((blocks, size, rows), np.float32)
    if blocks > 2 * size:
        # Short streams: the blocks make the long inner loop.
        a_values, a_exponents = _lanes_first(a, (2, 1, 0), 2)
        b_values, b_exponents = _lanes_first(b, (2, 1, 0), 1)
        step = max(1, _CHUNK // (rows * size))
        for k in range(0, blocks, step):
            g = slice(k, min(k + step, blocks))
            part = _reduce(a_values[..., g], a_exponents[..., g], b_values[..., g], b_exponents[..., g],
                           (rows, size, g.stop - g.start), window)
            out[g] = part.transpose(2, 1, 0)
        return out
    a_values, a_exponents = _lanes_first(a, (2, 0, 1), 3)
    b_values, b_exponents = _lanes_first(b, (2, 0, 1), 2)
    inner = min(size, max(1, _CHUNK // rows))
    step = max(1, _CHUNK // (rows * inner))
    for k in range(0, blocks, step):
        g = slice(k, min(k + step, blocks))
        for first in range(0, size, inner):
            c = slice(first, min(first + inner, size))
            part = _reduce(a_values[:, g], a_exponents[:, g], b_values[:, g, :, c], b_exponents[:, g, :, c],
                           (g.stop - g.start, rows, c.stop - c.start), window)
            out[g, c] = part.transpose(0, 2, 1)
    return out


def block_dots(a: Array, b: Array, fmt: FloatFormat, window: int | None = None) -> tuple[Array, Flags]:
    """Every row of ``a[k]`` with every vector of ``b[k]``, for all blocks k.

    Parameters
    ----------
    a, b : float32 ``[blocks, rows, lanes]`` and ``[blocks, n, lanes]``, values that ``fmt`` can hold, no subnormals.
    fmt, window : as for :func:`~eftrain_hdl.numerics.fused_dot`.

    Returns float32 ``[blocks, n, rows]`` and the flags over all of them.
    """
    width = check_window(window, fmt)
    if np.isfinite(a).all() and np.isfinite(b).all():
        out = _finite_dots(a, b, width)
        return out, Flags(bool(np.isinf(out).any()), False)
    special = ~(np.isfinite(a).all((1, 2)) & np.isfinite(b).all((1, 2)))
    out = np.empty((len(a), b.shape[1], a.shape[1]), np.float32)
    out[~special] = _finite_dots(a[~special], b[~special], width)
    flags = Flags(bool(np.isinf(out[~special]).any()), False)
    for k in np.flatnonzero(special):
        out[k], more = fused_dot(a[k][None], b[k][:, None], fmt, width)
        flags |= more
    return out, flags
