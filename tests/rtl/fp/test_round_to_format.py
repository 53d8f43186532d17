# amaranth: UnusedElaboratable=no
"""Rounding to an operand format on Verilator against its NumPy model, bit for bit."""

import numpy as np
import pytest

from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat, round_to_format, to_bits
from eftrain_hdl.rtl.fp import RoundToFormat
from tests.rtl.verilated import Pipeline


def patterns(rng: np.random.Generator, fmt: FloatFormat, count: int) -> np.ndarray:
    """FP32 bits: any, those with an exponent around the ends of ``fmt``, and those close to a tie."""
    anything = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    ends = [127 - fmt.bias, 127 + fmt.bias, 0, 255]
    near = np.clip(rng.choice(ends, count) + rng.integers(-2, 3, count), 0, 255).astype(np.uint32)
    extreme = (anything & np.uint32(0x807F_FFFF)) | (near << np.uint32(23))
    drop = 23 - fmt.mantissa
    tie = (1 << drop) >> 1
    low = (tie + rng.integers(-1, 2, count)) & ((1 << drop) - 1)
    ties = (extreme >> np.uint32(drop) << np.uint32(drop)) | low.astype(np.uint32)
    whole = np.array([0, 1, 0x7F80_0000, 0x7F80_0001, 0x7FFF_FFFF, 0x007F_FFFF, 0x7F7F_FFFF], np.uint32)
    return np.concatenate([anything, extreme, ties, whole, whole | np.uint32(1 << 31)])


FAST = [BF16, FP16]
MORE = [TF32, FP32, FloatFormat(2, 1)]


@pytest.mark.parametrize("fmt", [*FAST, *(pytest.param(fmt, marks=pytest.mark.full) for fmt in MORE)], ids=str)
def test_matches_the_model(fmt: FloatFormat) -> None:
    bits = patterns(np.random.default_rng(fmt.width), fmt, 50_000)
    found = Pipeline(RoundToFormat(fmt), RoundToFormat.latency).run({"i": bits})["o"]
    expected = to_bits(round_to_format(bits.view(np.float32), fmt), fmt)
    wrong = np.flatnonzero(found != expected)
    assert not wrong.size, (
        f"{wrong.size} differ, first {found[wrong[0]]:#x} instead of {expected[wrong[0]]:#x} for {bits[wrong[0]]:#010x}"
    )


def test_format_is_checked() -> None:
    with pytest.raises(TypeError, match="^fmt must be a FloatFormat, not 'bf16'$"):
        RoundToFormat("bf16")  # type: ignore[arg-type]
