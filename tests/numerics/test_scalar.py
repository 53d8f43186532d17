"""FP32 addition, multiplication and maximum against integer arithmetic and against NumPy."""

import numpy as np
import pytest

from eftrain_hdl.numerics import (
    Flags,
    float_add,
    float_add_elements,
    float_max,
    float_mul,
    float_mul_elements,
    greater,
)
from tests.numerics.reference import NAN, nearest, value_of
from tests.numerics.vectors import scalar_vectors


def add_rule(a: int, b: int) -> tuple[int, bool]:
    (left, p), (right, q) = value_of(a), value_of(b)
    base = min(p, q)
    total = (left << (p - base)) + (right << (q - base))
    return nearest(abs(total), base, total < 0 if total else bool(a >> 31 and b >> 31))


def mul_rule(a: int, b: int) -> tuple[int, bool]:
    (left, p), (right, q) = value_of(a), value_of(b)
    return nearest(abs(left * right), p + q, (a ^ b) >> 31 == 1)


def finite_pairs(seed: int, count: int):
    a, b = scalar_vectors(np.random.default_rng(seed), count)
    keep = np.isfinite(a) & np.isfinite(b)
    return a[keep], b[keep]


@pytest.mark.parametrize(("model", "rule"), [(float_add_elements, add_rule), (float_mul_elements, mul_rule)])
def test_finite_operands(model, rule) -> None:
    a, b = finite_pairs(5, 60_000)
    value, overflow, invalid = model(a, b)
    assert not invalid.any()
    rows = zip(a.view(np.uint32).tolist(), b.view(np.uint32).tolist(), value.view(np.uint32).tolist(),
               overflow.tolist(), strict=True)
    for x, y, result, over in rows:
        assert rule(x, y) == (result, over), f"{x:08x} {y:08x}"


@pytest.mark.parametrize(("model", "operation"), [(float_add, np.add), (float_mul, np.multiply)])
def test_is_plain_numpy_on_normal_numbers(model, operation) -> None:
    rng = np.random.default_rng(11)
    a, b = (np.ldexp(rng.standard_normal(100_000), rng.integers(-30, 30, 100_000)).astype(np.float32) for _ in range(2))
    value, flags = model(a, b)
    assert np.array_equal(value, operation(a, b))
    assert flags == Flags(False, False)


INF = float("inf")


@pytest.mark.parametrize(
    ("model", "a", "b", "bits", "flags"),
    [
        (float_add, INF, -INF, NAN, Flags(False, True)),
        (float_add, INF, INF, 0x7F800000, Flags()),
        (float_add, -INF, 1.0, 0xFF800000, Flags()),
        (float_add, float("nan"), INF, NAN, Flags()),
        (float_add, 3e38, 3e38, 0x7F800000, Flags(True, False)),
        (float_add, 1.5, -1.5, 0, Flags()),
        (float_add, -0.0, -0.0, 0x80000000, Flags()),
        (float_add, -0.0, 0.0, 0, Flags()),
        (float_add, 2.0**-127, 2.0**-126, 0x00800000, Flags()),
        (float_add, -(2.0**-125), 2.0**-126 * 1.5, 0x80000000, Flags()),
        (float_mul, INF, 0.0, NAN, Flags(False, True)),
        (float_mul, INF, 2.0**-127, NAN, Flags(False, True)),
        (float_mul, -INF, 2.0, 0xFF800000, Flags()),
        (float_mul, float("nan"), 0.0, NAN, Flags()),
        (float_mul, -3e38, 2.0, 0xFF800000, Flags(True, False)),
        (float_mul, -(2.0**-63), 2.0**-64, 0x80000000, Flags()),
        # Just below the normal range, though rounding would reach it.
        (float_mul, 2.0**-63 * (1 + 2.0**-23), 2.0**-63 * (1 - 2.0**-23), 0, Flags()),
    ],
)
def test_corners(model, a: float, b: float, bits: int, flags: Flags) -> None:
    value, raised = model(np.array([a], np.float32), np.array([b], np.float32))
    assert (int(value.view(np.uint32)[0]), raised) == (bits, flags)


def test_nan_payloads_are_not_kept() -> None:
    odd = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    for model in (float_add, float_mul):
        assert model(odd, np.float32(1) * np.ones(2, np.float32))[0].view(np.uint32).tolist() == [NAN, NAN]


def test_float64_is_refused() -> None:
    with pytest.raises(TypeError, match="^expected float32 arrays, not float64$"):
        float_add(np.zeros(2), np.zeros(2, np.float32))


def test_flags_are_sticky() -> None:
    assert Flags(True, False) | Flags(False, True) == Flags(True, True)


def test_maximum_keeps_the_first_and_the_first_nan() -> None:
    nan = [0x7FC00001, 0x7FC00002]
    patterns = np.array([*nan, 0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000], np.uint32)
    values = patterns.view(np.float32)
    a, b = (grid.ravel() for grid in np.meshgrid(patterns, patterns, indexing="ij"))
    replaced = greater(a.view(np.float32), b.view(np.float32))
    chosen = float_max(a.view(np.float32), b.view(np.float32)).view(np.uint32)
    number = {pattern: float(value) for pattern, value in zip(patterns.tolist(), values.tolist(), strict=True)}
    for x, y, swap, got in zip(a.tolist(), b.tolist(), replaced.tolist(), chosen.tolist(), strict=True):
        expected = x not in nan and (y in nan or number[y] > number[x])
        assert swap == expected
        assert got == (y if expected else x)
