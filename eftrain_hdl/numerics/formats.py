"""Binary floating-point formats and conversions between them.

Every array that leaves or enters this package is ``float32``; a narrower format is represented by the ``float32``
values that it can hold. Subnormal numbers do not exist here: they read and write as a zero of the same sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eftrain_hdl.checks import shown

__all__ = [
    "BF16",
    "CANONICAL_NAN",
    "FP16",
    "FP32",
    "TF32",
    "FloatFormat",
    "flush_subnormals",
    "from_bits",
    "is_representable",
    "round_to_format",
    "to_bits",
]

CANONICAL_NAN = 0x7FC00000
"""The one FP32 NaN pattern that arithmetic ever produces."""

_FP32_EXPONENT = 8
_FP32_MANTISSA = 23
_FP32_BIAS = 127


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE-style binary format: sign, ``exponent`` bits, ``mantissa`` stored fraction bits; no subnormals.

    Attributes
    ----------
    exponent: width of the exponent field in bits, 2 to 8.
    mantissa: stored fraction bits (the hidden one not counted), 1 to 23.
    name: what messages and reports call the format.

    Raises
    ------
    TypeError: if a width is not an integer.
    ValueError: if a width is out of range; every value must also be an FP32 value.
    """

    exponent: int
    mantissa: int
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"FloatFormat name must be a text, not {shown(self.name)}")
        for field, low, high in (("exponent", 2, _FP32_EXPONENT), ("mantissa", 1, _FP32_MANTISSA)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"FloatFormat {field} must be an integer, not {shown(value)}")
            if not low <= value <= high:
                raise ValueError(f"FloatFormat {field} must be {low} to {high} bits, not {value!r}")

    @property
    def width(self) -> int:
        """Bits of one number."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field to get the power of two."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def significand(self) -> int:
        """Bits of the significand with the hidden one."""
        return self.mantissa + 1

    @property
    def min_normal(self) -> float:
        """Smallest positive number; anything smaller is flushed to zero."""
        return 2.0 ** (1 - self.bias)

    @property
    def max_normal(self) -> float:
        """Largest finite number."""
        return (2.0 - 2.0**-self.mantissa) * 2.0**self.bias

    def __str__(self) -> str:
        return self.name or f"float(e{self.exponent}m{self.mantissa})"


FP32 = FloatFormat(8, 23, "fp32")
BF16 = FloatFormat(8, 7, "bf16")
FP16 = FloatFormat(5, 10, "fp16")
TF32 = FloatFormat(8, 10, "tf32")


def _as_float32(x: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(x)
    if array.dtype != np.float32:
        raise TypeError(f"expected a float32 array, not {array.dtype}")
    return array


def flush_subnormals(x: NDArray[np.float32], fmt: FloatFormat = FP32) -> NDArray[np.float32]:
    """Values of ``x`` below the normal range of ``fmt`` replaced by a zero of the same sign; NaN and Inf pass."""
    with np.errstate(invalid="ignore"):
        return x * (np.abs(x) >= np.float32(fmt.min_normal))


def round_to_format(x: ArrayLike, fmt: FloatFormat) -> NDArray[np.float32]:
    """Round FP32 values to ``fmt``, to nearest with ties to even.

    A magnitude below the normal range of ``fmt`` (judged before rounding) becomes a zero of the same sign, one that
    rounds past the largest number becomes Inf, and every NaN becomes :data:`CANONICAL_NAN`.
    """
    values = _as_float32(x)
    drop = _FP32_MANTISSA - fmt.mantissa
    bits = np.atleast_1d(flush_subnormals(values, fmt)).view(np.uint32)
    if drop:
        # The carry of a rounded-up all-ones significand runs into the exponent, which is what rounding means.
        bits = bits + (np.uint32((1 << (drop - 1)) - 1) + ((bits >> np.uint32(drop)) & np.uint32(1)))
        bits &= np.uint32((0xFFFFFFFF >> drop) << drop)
    result = bits.view(np.float32).copy()
    if fmt.exponent < _FP32_EXPONENT:
        over = np.abs(result) > np.float32(fmt.max_normal)
        result[over] = np.copysign(np.float32(np.inf), result[over])
    result = result.reshape(values.shape)
    nan = np.isnan(values)
    if nan.any():
        result = np.where(nan, np.uint32(CANONICAL_NAN).view(np.float32), result)
    return result


def is_representable(x: ArrayLike, fmt: FloatFormat) -> bool:
    """Whether every value of ``x`` is one of ``fmt``; any NaN and any flushed subnormal counts as one."""
    values = _as_float32(x)
    drop = _FP32_MANTISSA - fmt.mantissa
    if drop and np.any((np.ascontiguousarray(values).view(np.uint32) & np.uint32((1 << drop) - 1)) != 0):
        inexact = (np.atleast_1d(values).view(np.uint32) & np.uint32((1 << drop) - 1)) != 0
        judged = np.atleast_1d(np.abs(values))[inexact]
        if np.any(judged >= np.float32(fmt.min_normal)):
            return False
    if fmt.exponent < _FP32_EXPONENT:
        magnitude = np.abs(values)
        return not np.any((magnitude > np.float32(fmt.max_normal)) & np.isfinite(values))
    return True


def to_bits(x: ArrayLike, fmt: FloatFormat = FP32) -> NDArray[np.uint32]:
    """Bit patterns of ``fmt`` (in the low bits of ``uint32``) of values that it can hold.

    Raises
    ------
    TypeError: if ``x`` is not float32.
    ValueError: if a value is not representable; round first.
    """
    values = _as_float32(x)
    if not is_representable(values, fmt):
        raise ValueError(f"array holds values that are not representable in {fmt}; use round_to_format first")
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape)
    if fmt == FP32:
        return bits.copy()
    nan = np.isnan(values)
    values = flush_subnormals(values, fmt)
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape)
    drop = np.uint32(_FP32_MANTISSA - fmt.mantissa)
    sign = bits >> np.uint32(31)
    fraction = (bits & np.uint32(0x7FFFFF)) >> drop
    exponent = (bits >> np.uint32(23)) & np.uint32(0xFF)
    ones = np.uint32((1 << fmt.exponent) - 1)
    rebased = exponent - np.uint32(_FP32_BIAS - fmt.bias)
    exponent = np.where(exponent == 0, np.uint32(0), np.where(exponent == 0xFF, ones, rebased))
    fraction = np.where(nan, np.uint32(1 << (fmt.mantissa - 1)), fraction)
    packed = (sign << np.uint32(fmt.width - 1)) | (exponent << np.uint32(fmt.mantissa)) | fraction
    return packed.astype(np.uint32)


def from_bits(bits: ArrayLike, fmt: FloatFormat = FP32) -> NDArray[np.float32]:
    """FP32 values of bit patterns of ``fmt``; subnormal patterns become zeros, except for FP32, where bits are kept."""
    patterns = np.asarray(bits).astype(np.uint32)
    if fmt == FP32:
        return np.ascontiguousarray(patterns).view(np.float32).reshape(patterns.shape)
    drop = np.uint32(_FP32_MANTISSA - fmt.mantissa)
    ones = np.uint32((1 << fmt.exponent) - 1)
    sign = (patterns >> np.uint32(fmt.width - 1)) & np.uint32(1)
    exponent = (patterns >> np.uint32(fmt.mantissa)) & ones
    fraction = (patterns & np.uint32((1 << fmt.mantissa) - 1)) << drop
    rebased = exponent + np.uint32(_FP32_BIAS - fmt.bias)
    fraction = np.where(exponent == 0, np.uint32(0), fraction)
    exponent = np.where(exponent == 0, np.uint32(0), np.where(exponent == ones, np.uint32(0xFF), rebased))
    packed = ((sign << np.uint32(31)) | (exponent << np.uint32(23)) | fraction).astype(np.uint32)
    return np.ascontiguousarray(packed).view(np.float32).reshape(patterns.shape)
