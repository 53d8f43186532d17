"""The fused dot product's model against integer arithmetic: its rules bit for bit, and its error bound."""

from collections.abc import Callable

import numpy as np
import pytest

from eftrain_hdl.numerics import (
    BF16,
    FP16,
    FP32,
    TF32,
    Flags,
    FloatFormat,
    default_window,
    from_bits,
    fused_dot,
    fused_dot_elements,
    fused_dot_matrix,
)
from tests.numerics.reference import NAN, nearest, split, value_of
from tests.numerics.vectors import KINDS, pair_vectors

FINITE = [kind for kind in KINDS if kind not in ("special", "bits")]


def exact_products(a, b, fmt):
    """Signed integer products, their exponents, and each vector's largest exponent among the products that count."""
    (left, left_exponent), (right, right_exponent) = split(a, fmt), split(b, fmt)
    products, exponents = left * right, left_exponent + right_exponent
    largest = np.where(products != 0, exponents, -10_000).max(-1)
    return products, exponents, largest


def check_finite(a, b, fmt: FloatFormat, window: int) -> None:
    value, overflow, invalid = fused_dot_elements(a, b, fmt, window)
    assert not invalid.any()
    products, exponents, largest = exact_products(a, b, fmt)
    bits = 2 * fmt.significand
    # Rules: cut each magnitude to a multiple of 2**(largest + 2 - window).
    shift = np.clip(largest[:, None] - exponents + bits - window, -bits, 63)
    cut = np.where(shift >= 0, np.abs(products) >> np.maximum(shift, 0), np.abs(products) << np.maximum(-shift, 0))
    sums = (np.sign(products) * np.where(products == 0, 0, cut)).sum(-1)
    # Bound: against the exact sum, in units of the lowest place of the lowest product.
    lowest = np.where(products != 0, exponents, 10_000).min(-1)
    scaled = products.astype(object) << np.where(products != 0, exponents - lowest[:, None], 0).astype(object)
    exact = scaled.sum(-1)
    lanes = a.shape[-1]
    rows = zip(sums.tolist(), largest.tolist(), lowest.tolist(), exact.tolist(), value.view(np.uint32).tolist(),
               overflow.tolist(), strict=True)
    for total, top, low, true, result, over in rows:
        assert nearest(abs(total), top + 2 - window, total < 0) == (result, over)
        if over or not total:
            continue
        # |result - exact| <= lanes * 2**(top + 2 - window) + max(2**-24 * |cut sum|, 2**-126 if flushed), in integers.
        number, power = value_of(result)
        base = min(power, top + 2 - window - 24, low - bits + 2, -126)
        cut_sum = abs(total) << (top + 2 - window - base)
        error = abs((number << (power - base)) - (true << (low - bits + 2 - base)))
        rounding = cut_sum >> 24 if number else 1 << (-126 - base)
        assert error <= (lanes << (top + 2 - window - base)) + rounding


CASES = [(FP32, 16, None), (FP32, 2, None), (FP32, 64, None), (FP32, 4, 44), (BF16, 16, None), (BF16, 4, 8),
         (FP16, 8, None), (TF32, 4, None)]


@pytest.mark.parametrize(("fmt", "lanes", "window"), CASES, ids=str)
def test_rules_and_bound(fmt: FloatFormat, lanes: int, window: int | None) -> None:
    seed = lanes + fmt.width
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for kind in FINITE:
        check_finite(*pair_vectors(rng, 1000, lanes, fmt, kind), fmt, window or default_window(fmt))


@pytest.mark.full
@pytest.mark.parametrize(("fmt", "lanes"), [(FP32, 4), (FP32, 16), (BF16, 16)], ids=str)
def test_rules_and_bound_for_a_million_vectors(fmt: FloatFormat, lanes: int) -> None:
    chunk = 10_000
    for seed in range(-(-1_000_000 // (chunk * len(FINITE)))):
        print(f"seed {seed}")
        rng = np.random.default_rng(seed)
        for kind in FINITE:
            check_finite(*pair_vectors(rng, chunk, lanes, fmt, kind), fmt, default_window(fmt))


def special_rule(a: list[float], b: list[float]) -> tuple[int, bool] | None:
    """Bits and invalid flag where Inf or NaN takes part, else ``None``."""
    tiny = 2.0**-126
    infinities, nan, invalid = set(), False, False
    for x, y in zip(a, b, strict=True):
        if x != x or y != y:
            nan = True
        elif float("inf") in (abs(x), abs(y)):
            if min(abs(x), abs(y)) < tiny:
                invalid = True
            else:
                infinities.add((x < 0) != (y < 0))
    invalid = invalid or len(infinities) == 2
    if nan or invalid:
        return NAN, invalid
    if infinities:
        return 0xFF800000 if True in infinities else 0x7F800000, False
    return None


@pytest.mark.parametrize("kind", ["special", "bits"])
@pytest.mark.parametrize(("fmt", "lanes"), [(FP32, 2), (FP32, 16), (BF16, 8)], ids=str)
def test_infinities_and_nan(fmt: FloatFormat, lanes: int, kind: str) -> None:
    rng = np.random.default_rng(7)
    a, b = pair_vectors(rng, 3000, lanes, fmt, kind)
    value, overflow, invalid = fused_dot_elements(a, b, fmt)
    touched = 0
    for i in range(len(a)):
        expected = special_rule(a[i].tolist(), b[i].tolist())
        if expected is not None:
            touched += 1
            assert (int(value.view(np.uint32)[i]), bool(invalid[i]), bool(overflow[i])) == (*expected, False)
        else:
            assert not invalid[i]
            check_finite(a[i : i + 1], b[i : i + 1], fmt, default_window(fmt))
    assert touched > 30


@pytest.mark.parametrize("shape", [(16, 1500), (64, 20), (1, 1), (3, 2), (40, 1030), (2, 0)])
@pytest.mark.parametrize(("fmt", "lanes"), [(FP32, 16), (BF16, 4)], ids=str)
def test_matrix_has_the_same_bits(fmt: FloatFormat, lanes: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[0])
    for kind in KINDS:
        a, b = (pair_vectors(rng, n, lanes, fmt, kind)[i] for i, n in enumerate(shape))
        value, flags = fused_dot_matrix(a, b, fmt)
        expected, expected_flags = fused_dot(a[None, :, :], b[:, None, :], fmt)
        assert value.shape == (shape[1], shape[0])
        assert np.array_equal(value.view(np.uint32), expected.view(np.uint32)), kind
        assert flags == expected_flags, kind


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # The lowest place kept under a largest exponent of 0 is 2**(0 + 2 - 30).
        ([1, 1], [1, 2.0**-28], 1.0),
        ([1, -1, 2.0**-28, 0], [1, 1, 1, 1], 2.0**-28),
        ([1, -1, 2.0**-29, 0], [1, 1, 1, 1], 0.0),
        ([-1, 1, -(2.0**-29), 0], [1, 1, 1, 1], 0.0),
        ([2.0**-29, 2.0**-29, 2.0**-29, 2.0**-29], [1, 1, 1, 1], 2.0**-27),
        # A zero product does not count, however large the other factor.
        ([2.0**100, 2.0**-20], [0, 1], 2.0**-20),
        ([2.0**100, 2.0**-20], [2.0**-127, 1], 2.0**-20),
        ([0, -0.0], [-1, 1], 0.0),
        # Tininess is judged before rounding.
        ([2.0**-63 * (1 + 2.0**-23), 0], [-(2.0**-63) * (1 - 2.0**-23), 0], -0.0),
    ],
)
def test_worked_examples(a: list[float], b: list[float], expected: float) -> None:
    value, flags = fused_dot(vector(*a), vector(*b))
    assert value.view(np.uint32) == np.float32(expected).view(np.uint32)
    assert flags == Flags(False, False)


@pytest.mark.parametrize(
    ("a", "b", "bits", "flags"),
    [
        ([2.0**127, 2.0**127], [1, 1], 0x7F800000, Flags(True, False)),
        ([2.0**127, 2.0**127], [-1, -1], 0xFF800000, Flags(True, False)),
        ([2.0**127, 2.0**127], [2, -2], 0, Flags(False, False)),
        ([np.inf, 1], [0, 1], NAN, Flags(False, True)),
        ([np.inf, np.inf], [1, -1], NAN, Flags(False, True)),
        ([np.inf, np.nan], [1, 1], NAN, Flags(False, False)),
        ([np.inf, 2.0**127], [-1, 2], 0xFF800000, Flags(False, False)),
    ],
)
def test_flags(a: list[float], b: list[float], bits: int, flags: Flags) -> None:
    value, raised = fused_dot(vector(*a), vector(*b))
    assert (int(value.view(np.uint32)), raised) == (bits, flags)


ONES = np.ones((1, 4), np.float32)
ERRORS = [
    (np.zeros((1, 4)), ONES, {}, TypeError, "a must be a float32 array, not float64"),
    (ONES[:, :3], ONES[:, :3], {}, ValueError, "lanes must be a power of two from 2 to 64"),
    (ONES, ONES * np.float32(1.001), {"fmt": BF16}, ValueError, "b holds values that are not"),
    (ONES, ONES, {"window": 7}, ValueError, "window must be 8 to 44 bits, not 7"),
    (ONES, ONES, {"window": 2.5}, TypeError, "window must be an integer or"),
]


@pytest.mark.parametrize("function", [fused_dot, fused_dot_matrix])
@pytest.mark.parametrize(("a", "b", "options", "error", "message"), ERRORS)
def test_errors(function: Callable, a, b, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        function(a, b, **options)


def test_matrix_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^a and b must be \[R, lanes\] and \[n, lanes\], not \(1, 4\) and \(1, 8\)$"):
        fused_dot_matrix(np.ones((1, 4), np.float32), np.ones((1, 8), np.float32))


def test_subnormal_operands_of_a_narrow_format_are_zero() -> None:
    small = from_bits(np.array([1, 0x3FF, 0x400, 0x3C00], np.uint32), FP16)
    values = vector(2.0**-24, 2.0**-15, 2.0**-14, 1)
    assert small.tolist() == [0, 0, 2.0**-14, 1]
    for i, expected in enumerate([1.0, 1.0, 1.0 + 2.0**-14, 2.0]):
        assert fused_dot(vector(values[i], 1), vector(1, 1), FP16)[0] == expected
