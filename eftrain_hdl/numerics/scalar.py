"""FP32 addition, multiplication and comparison, bit for bit as the gateware computes them.

Source: IEEE 754-2019 round-to-nearest-even, with subnormal operands and results replaced by a zero of the same sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import CANONICAL_NAN, flush_subnormals

__all__ = ["Flags", "float_add", "float_add_elements", "float_max", "float_mul", "float_mul_elements", "greater"]

_NAN = np.uint32(CANONICAL_NAN).view(np.float32)
_MIN_NORMAL = np.float32(2.0**-126)

Elements = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


class Flags(NamedTuple):
    """What went wrong anywhere in an array operation.

    ``overflow``: a finite result was too large and became Inf. ``invalid``: Inf * 0 or Inf - Inf made a NaN
    (a NaN operand alone raises nothing).
    """

    overflow: bool = False
    invalid: bool = False

    def __or__(self, other: object) -> Flags:
        if not isinstance(other, Flags):
            return NotImplemented
        return Flags(self.overflow or other.overflow, self.invalid or other.invalid)


def _operands(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    left, right = np.asarray(a), np.asarray(b)
    for array in (left, right):
        if array.dtype != np.float32:
            raise TypeError(f"expected float32 arrays, not {array.dtype}")
    return flush_subnormals(left), flush_subnormals(right)


def _judge(
    result: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]
) -> Elements:
    nan = np.isnan(result)
    invalid = nan & ~np.isnan(a) & ~np.isnan(b)
    overflow = np.isinf(result) & np.isfinite(a) & np.isfinite(b)
    return np.where(nan, _NAN, result), overflow, invalid


def _add(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        # A sum of normal numbers that falls below the normal range is exact, so rounding comes too late to matter.
        return flush_subnormals(a + b)


def _mul(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        # Tininess is judged before rounding: a product of FP32 numbers is exact in float64.
        exact = np.multiply(a, b, dtype=np.float64)
        return exact.astype(np.float32) * ~(np.abs(exact) < 2.0**-126)


def _finish(
    result: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Flags]:
    if np.isfinite(result).all():
        return result, Flags()
    result, overflow, invalid = _judge(result, a, b)
    return result, Flags(bool(overflow.any()), bool(invalid.any()))


def float_add(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float32], Flags]:
    """Sum of two FP32 arrays (broadcast), and flags over all elements. An exact cancellation is +0, -0 + -0 is -0."""
    left, right = _operands(a, b)
    return _finish(_add(left, right), left, right)


def float_mul(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float32], Flags]:
    """Product of two FP32 arrays (broadcast), and flags over all elements. A product below 2**-126 is a signed zero."""
    left, right = _operands(a, b)
    return _finish(_mul(left, right), left, right)


def float_add_elements(a: ArrayLike, b: ArrayLike) -> Elements:
    """As :func:`float_add`, with the overflow and invalid flag of each element."""
    left, right = _operands(a, b)
    return _judge(_add(left, right), left, right)


def float_mul_elements(a: ArrayLike, b: ArrayLike) -> Elements:
    """As :func:`float_mul`, with the overflow and invalid flag of each element."""
    left, right = _operands(a, b)
    return _judge(_mul(left, right), left, right)


def greater(a: ArrayLike, b: ArrayLike) -> NDArray[np.bool_]:
    """Whether ``b`` replaces ``a`` as a running maximum: ``b > a``, or ``b`` is NaN and ``a`` is not.

    Equal values, and zeros of either sign, leave the first in place; a NaN, once in, stays. Subnormals are compared as
    the numbers that they are.
    """
    left, right = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
    return (right > left) | (np.isnan(right) & ~np.isnan(left))


def float_max(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """Maximum by :func:`greater`; the bits of the chosen operand are passed unchanged."""
    left, right = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
    return np.where(greater(left, right), right, left)
