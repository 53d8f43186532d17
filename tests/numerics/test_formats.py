"""Formats: rounding, bit patterns, representability."""

from fractions import Fraction

import numpy as np
import pytest

from eftrain_hdl.numerics import (
    BF16,
    FP16,
    FP32,
    TF32,
    FloatFormat,
    flush_subnormals,
    from_bits,
    is_representable,
    round_to_format,
    to_bits,
)

FORMATS = [FP32, BF16, FP16, TF32, FloatFormat(4, 3, "fp8")]


@pytest.mark.parametrize(
    ("fmt", "width", "bias"), [(FP32, 32, 127), (BF16, 16, 127), (FP16, 16, 15), (TF32, 19, 127)], ids=str
)
def test_sizes(fmt: FloatFormat, width: int, bias: int) -> None:
    assert (fmt.width, fmt.bias) == (width, bias)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((9, 23), ValueError, "FloatFormat exponent must be 2 to 8 bits, not 9"),
        ((8, 24), ValueError, "FloatFormat mantissa must be 1 to 23 bits, not 24"),
        ((8, 0), ValueError, "FloatFormat mantissa must be 1 to 23 bits, not 0"),
        ((8.0, 7), TypeError, "FloatFormat exponent must be an integer, not 8.0"),
    ],
)
def test_constructor_errors(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        FloatFormat(*arguments)


def rounded(value: float, fmt: FloatFormat) -> float:
    """``value`` (finite) in ``fmt`` by rational arithmetic."""
    sign = -1.0 if np.signbit(value) else 1.0
    exact = abs(Fraction(value))
    if exact < Fraction(fmt.min_normal):
        return sign * 0.0
    exponent = int(np.frexp(abs(value))[1]) - 1
    step = Fraction(2) ** (exponent - fmt.mantissa)
    result = round(exact / step) * step
    return sign * (float("inf") if result > Fraction(fmt.max_normal) else float(result))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_rounding_is_to_nearest_even(fmt: FloatFormat) -> None:
    rng = np.random.default_rng(fmt.width)
    bits = rng.integers(0, 1 << 32, 4000, dtype=np.uint64).astype(np.uint32)
    near = np.ldexp(rng.uniform(-2, 2, 4000), rng.integers(-fmt.bias - 2, fmt.bias + 2, 4000))
    ties = from_bits(rng.integers(0, 1 << fmt.width, 2000, dtype=np.uint64), fmt).view(np.uint32)
    ties = ties ^ np.uint32(1 << max(22 - fmt.mantissa, 0))
    top = np.array([fmt.max_normal * (1 + 2.0**-k) for k in range(1, 24)], np.float64)
    with np.errstate(over="ignore"):
        others = [x.astype(np.float32) for x in (near, top)]
    values = np.concatenate([bits.view(np.float32), ties.view(np.float32), *others])
    values = values[np.isfinite(values)]
    result = round_to_format(values, fmt)
    expected = np.array([rounded(float(value), fmt) for value in values], np.float32)
    assert np.array_equal(result.view(np.uint32), expected.view(np.uint32))
    assert is_representable(result, fmt)
    assert np.array_equal(round_to_format(result, fmt).view(np.uint32), result.view(np.uint32))


def test_half_precision_is_numpy_s() -> None:
    values = np.random.default_rng(1).uniform(-70_000, 70_000, 10_000).astype(np.float32)
    values = np.concatenate([values, np.array([65519, 65520, 65504, -65520], np.float32)])
    with np.errstate(over="ignore"):
        assert np.array_equal(round_to_format(values, FP16), values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_infinity_and_nan(fmt: FloatFormat) -> None:
    values = np.array([0x7F800000, 0xFF800000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    result = round_to_format(values, fmt)
    assert result.view(np.uint32).tolist() == [0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC00000]
    assert np.array_equal(from_bits(to_bits(result, fmt), fmt).view(np.uint32), result.view(np.uint32))


@pytest.mark.parametrize("fmt", [BF16, FP16, TF32], ids=str)
def test_every_pattern_survives(fmt: FloatFormat) -> None:
    patterns = np.arange(1 << fmt.width, dtype=np.uint32)
    values = from_bits(patterns, fmt)
    exponent = patterns >> fmt.mantissa & ((1 << fmt.exponent) - 1)
    fraction = patterns & ((1 << fmt.mantissa) - 1)
    normal = (exponent != 0) & ~((exponent == (1 << fmt.exponent) - 1) & (fraction != 0))
    assert np.array_equal(to_bits(values, fmt)[normal], patterns[normal])
    assert np.all(values[exponent == 0] == 0)
    assert np.array_equal(np.signbit(values), patterns >> (fmt.width - 1) != 0)


def test_shapes_are_kept() -> None:
    for shape in ((), (0,), (2, 3), (2, 0, 4)):
        values = np.ones(shape, np.float32)
        for fmt in FORMATS:
            assert round_to_format(values, fmt).shape == shape
            assert from_bits(to_bits(values, fmt), fmt).shape == shape


def test_values_out_of_a_format_have_no_pattern() -> None:
    for value, fmt in ((1.001, BF16), (1e5, FP16), (1.0 + 2.0**-11, TF32)):
        assert not is_representable(np.array([value], np.float32), fmt)
        with pytest.raises(ValueError, match="not representable in"):
            to_bits(np.array([value], np.float32), fmt)
    assert is_representable(np.array([1e-8, np.inf, np.nan], np.float32), FP16)


def test_flushing_keeps_the_sign() -> None:
    values = np.array([2.0**-127, -(2.0**-127), 2.0**-126, np.inf, -1.0], np.float32)
    expected = np.array([0.0, -0.0, 2.0**-126, np.inf, -1.0], np.float32)
    assert flush_subnormals(values).view(np.uint32).tolist() == expected.view(np.uint32).tolist()
