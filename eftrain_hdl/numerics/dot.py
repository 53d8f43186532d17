"""The fused dot product, bit for bit as the gateware computes it (``docs/numerics.md`` states the rules).

With ``e(x)`` the exponent of ``x`` (``2**e <= |x| < 2**(e+1)``), ``E`` the largest ``e(a) + e(b)`` over the lanes whose
product is not zero and ``w`` the window: every product is cut toward zero to a multiple of ``2**(E + 2 - w)``, the cut
products are summed exactly and the sum is rounded once to FP32. All intermediate values are integers below ``2**53``
times a power of two, so float64 arithmetic reproduces them exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import CANONICAL_NAN, FP32, FloatFormat, flush_subnormals, is_representable
from .scalar import Elements, Flags

__all__ = [
    "MAX_LANES",
    "MAX_WINDOW",
    "MIN_WINDOW",
    "check_lanes",
    "check_window",
    "default_window",
    "fused_dot",
    "fused_dot_elements",
    "fused_dot_matrix",
]

MAX_LANES = 64
MIN_WINDOW = 8
MAX_WINDOW = 44

_NAN = np.uint32(CANONICAL_NAN).view(np.float32)
_ZERO_EXPONENT = -2000
_LOWEST_EXPONENT = -300
_MIN_NORMAL = 2.0**-126
_BLOCK = 8192
_INNER = 1024


def default_window(fmt: FloatFormat) -> int:
    """Bits of the alignment window unless told otherwise: those of a product, from 8 to 30."""
    return max(MIN_WINDOW, min(30, 2 * fmt.significand))


def check_lanes(lanes: int) -> None:
    """Raise unless ``lanes`` is a power of two from 2 to 64."""
    if not isinstance(lanes, int) or isinstance(lanes, bool):
        raise TypeError(f"lanes must be an integer, not {lanes!r}")
    if not 2 <= lanes <= MAX_LANES or lanes & (lanes - 1):
        raise ValueError(f"lanes must be a power of two from 2 to {MAX_LANES}, not {lanes!r}")


def check_window(window: int | None, fmt: FloatFormat) -> int:
    """The window in bits: ``window``, or the default of ``fmt`` for ``None``. Raises if it is out of range."""
    if window is None:
        return default_window(fmt)
    if not isinstance(window, int) or isinstance(window, bool):
        raise TypeError(f"window must be an integer or None, not {window!r}")
    if not MIN_WINDOW <= window <= MAX_WINDOW:
        raise ValueError(f"window must be {MIN_WINDOW} to {MAX_WINDOW} bits, not {window!r}")
    return window


def _operand(x: ArrayLike, fmt: FloatFormat, name: str) -> NDArray[np.float32]:
    array = np.asarray(x)
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be a float32 array, not {array.dtype}")
    if not is_representable(array, fmt):
        raise ValueError(f"{name} holds values that are not representable in {fmt}; use round_to_format first")
    return flush_subnormals(array, fmt)


def _exponents(x: NDArray[np.float32]) -> NDArray[np.int16]:
    """Powers of two of flushed values; zeros lie so low that no sum with them is ever the largest."""
    field = ((np.ascontiguousarray(x).view(np.int32) >> 23) & 0xFF).astype(np.int16)
    return np.where(field == 0, np.int16(_ZERO_EXPONENT), field - np.int16(127))


def _power(exponent: NDArray[np.int16]) -> NDArray[np.float64]:
    """``2.0**exponent`` for normal powers, by building the bits."""
    return ((exponent.astype(np.int64) + 1023) << 52).view(np.float64)


def _round(total: NDArray[np.float64], emax: NDArray[np.int16], window: int) -> NDArray[np.float32]:
    """FP32 of ``total * 2**(emax + 2 - window)``; tininess before rounding, a zero total is +0."""
    value = total * _power(emax + np.int16(2 - window)) + 0.0
    with np.errstate(over="ignore"):
        return value.astype(np.float32) * ~(np.abs(value) < _MIN_NORMAL)


def _special(a: NDArray[np.float32], b: NDArray[np.float32]) -> Elements:
    """Result, whether it replaces the finite one, and invalid, of vectors (last axis) with Inf or NaN in them."""
    nan = np.isnan(a) | np.isnan(b)
    infinite = (np.isinf(a) | np.isinf(b)) & ~nan
    undefined = (infinite & ((a == 0) | (b == 0))).any(-1)
    negative = np.signbit(a) ^ np.signbit(b)
    plus, minus = (infinite & ~negative).any(-1), (infinite & negative).any(-1)
    invalid = undefined | (plus & minus)
    value = np.where(minus, np.float32(-np.inf), np.float32(np.inf))
    value = np.where(nan.any(-1) | invalid, _NAN, value)
    return value, np.asarray(nan.any(-1) | plus | minus), np.asarray(invalid)


def fused_dot_elements(
    a: ArrayLike, b: ArrayLike, fmt: FloatFormat = FP32, window: int | None = None
) -> Elements:
    """As :func:`fused_dot`, with the overflow and invalid flag of each element."""
    width = check_window(window, fmt)
    left, right = _operand(a, fmt, "a"), _operand(b, fmt, "b")
    left, right = np.broadcast_arrays(left, right)
    if left.ndim < 1:
        raise ValueError("a and b must have a lane axis")
    check_lanes(left.shape[-1])
    finite_left, finite_right, special = left, right, False
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        special = True
        finite_left = np.where(np.isfinite(left), left, np.float32(0))
        finite_right = np.where(np.isfinite(right), right, np.float32(0))
    emax = np.maximum((_exponents(finite_left) + _exponents(finite_right)).max(-1), np.int16(_LOWEST_EXPONENT))
    products = np.multiply(finite_left, finite_right, dtype=np.float64)
    products *= _power(np.int16(width - 2) - emax)[..., None]
    total = np.trunc(products, out=products).sum(-1)
    value = _round(total, emax, width)
    overflow, invalid = np.isinf(value), np.zeros(value.shape, dtype=np.bool_)
    if special:
        other, replaces, undefined = _special(left, right)
        value = np.where(replaces, other, value)
        overflow, invalid = overflow & ~replaces, undefined
    return value, overflow, invalid


def fused_dot(
    a: ArrayLike, b: ArrayLike, fmt: FloatFormat = FP32, window: int | None = None
) -> tuple[NDArray[np.float32], Flags]:
    """Dot products over the last axis.

    Parameters
    ----------
    a, b: float32 arrays ``(..., lanes)``, broadcast against each other, of values that ``fmt`` can hold; ``lanes`` is a
        power of two from 2 to 64.
    fmt: operand format.
    window: bits of a product that are kept, counted from the largest exponent sum; the format's default for ``None``.

    Returns the float32 results ``(...)`` and the flags over all of them.

    Raises
    ------
    TypeError: if an array is not float32 or the window no integer.
    ValueError: if a value is not representable, or lanes or window are out of range.
    """
    value, overflow, invalid = fused_dot_elements(a, b, fmt, window)
    return value, Flags(bool(overflow.any()), bool(invalid.any()))


def _finite_matrix(
    rows: NDArray[np.float32], columns: NDArray[np.float32], window: int
) -> NDArray[np.float32]:
    """Dot products ``[R, n]`` of finite ``rows [R, L]`` and ``columns [n, L]``, best with n the larger."""
    count, lanes = rows.shape
    row_exponents, column_exponents = _exponents(rows), np.ascontiguousarray(_exponents(columns).T)
    row_values, column_values = rows.astype(np.float64), np.ascontiguousarray(columns.T, dtype=np.float64)
    size = columns.shape[0]
    result = np.empty((count, size), dtype=np.float32)
    inner = min(_INNER, size) or 1
    outer = min(count, max(1, _BLOCK // inner)) or 1
    shape = (outer, inner)
    sums, emaxes = np.empty(shape, np.int16), np.empty(shape, np.int16)
    terms, totals = np.empty(shape, np.float64), np.empty(shape, np.float64)
    for top in range(0, count, outer):
        r = slice(top, min(top + outer, count))
        for first in range(0, size, inner):
            c = slice(first, min(first + inner, size))
            used = (slice(0, r.stop - r.start), slice(0, c.stop - c.start))
            total, emax, esum, term = totals[used], emaxes[used], sums[used], terms[used]
            emax.fill(_LOWEST_EXPONENT)
            for lane in range(lanes):
                np.add(row_exponents[r, lane, None], column_exponents[lane, c], out=esum)
                np.maximum(emax, esum, out=emax)
            scale = _power(np.int16(window - 2) - emax)
            total.fill(0.0)
            for lane in range(lanes):
                np.multiply(row_values[r, lane, None], column_values[lane, c], out=term)
                np.multiply(term, scale, out=term)
                np.trunc(term, out=term)
                np.add(total, term, out=total)
            result[r, c] = _round(total, emax, window)
    return result


def fused_dot_matrix(
    a: ArrayLike, b: ArrayLike, fmt: FloatFormat = FP32, window: int | None = None
) -> tuple[NDArray[np.float32], Flags]:
    """Every row of ``a[R, lanes]`` with every row of ``b[n, lanes]``: float32 ``[n, R]`` and the flags over all.

    The bits are those of :func:`fused_dot`; this is the fast path for whole layers. Errors as there.
    """
    width = check_window(window, fmt)
    left, right = _operand(a, fmt, "a"), _operand(b, fmt, "b")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(f"a and b must be [R, lanes] and [n, lanes], not {left.shape} and {right.shape}")
    check_lanes(left.shape[1])
    left_finite, right_finite = np.isfinite(left), np.isfinite(right)
    left_special, right_special = (np.asarray(~finite.all(-1)) for finite in (left_finite, right_finite))
    finite_left = np.where(left_finite, left, np.float32(0)) if left_special.any() else left
    finite_right = np.where(right_finite, right, np.float32(0)) if right_special.any() else right
    if left.shape[0] > right.shape[0]:
        value = np.ascontiguousarray(_finite_matrix(finite_right, finite_left, width))
    else:
        value = np.ascontiguousarray(_finite_matrix(finite_left, finite_right, width).T)
    overflow: NDArray[np.bool_] = np.asarray(np.isinf(value))
    invalid = False
    if left_special.any() or right_special.any():
        for index in range(right.shape[0]):
            touched = np.flatnonzero(left_special | right_special[index])
            if touched.size:
                other, replaces, undefined = _special(left[touched], right[index])
                value[index, touched] = np.where(replaces, other, value[index, touched])
                overflow[index, touched] &= ~replaces
                invalid = invalid or bool(undefined.any())
    return value, Flags(bool(overflow.any()), invalid)
