"""Floating point by Python integers: the rules of ``docs/numerics.md`` written a second time, without floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.numerics import FloatFormat

__all__ = ["NAN", "nearest", "split", "value_of"]

NAN = 0x7FC00000


def nearest(magnitude: int, power: int, negative: bool) -> tuple[int, bool]:
    """FP32 bits of ``magnitude * 2**power`` (sign apart), to nearest even, and whether it overflows."""
    sign = int(negative) << 31
    if magnitude == 0:
        return sign, False
    leading = magnitude.bit_length() - 1 + power
    if leading < -126:
        return sign, False
    drop = magnitude.bit_length() - 24
    if drop <= 0:
        kept = magnitude << -drop
    else:
        kept, rest, half = magnitude >> drop, magnitude & ((1 << drop) - 1), 1 << (drop - 1)
        kept += rest > half or (rest == half and kept & 1)
    if kept == 1 << 24:
        kept, leading = kept >> 1, leading + 1
    if leading > 127:
        return sign | 0x7F800000, True
    return sign | (leading + 127) << 23 | kept & 0x7FFFFF, False


def split(x: NDArray[np.float32], fmt: FloatFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Signed significands (integers of ``fmt.significand`` bits, 0 for a subnormal) and exponents of finite values."""
    bits = np.ascontiguousarray(x).view(np.uint32).astype(np.int64)
    exponent = ((bits >> 23) & 0xFF) - 127
    significand = ((bits & 0x7FFFFF) | 0x800000) >> (23 - fmt.mantissa)
    significand = np.where(exponent < 1 - fmt.bias, 0, significand)
    return np.where(bits >> 31 != 0, -significand, significand), exponent


def value_of(bits: int) -> tuple[int, int]:
    """``(n, e)`` with the value of finite FP32 bits as ``n * 2**e``."""
    field = bits >> 23 & 0xFF
    magnitude = (bits & 0x7FFFFF | 0x800000) if field else 0
    return (-magnitude if bits >> 31 else magnitude), field - 150
