# amaranth: UnusedElaboratable=no
"""The fused dot product on Verilator against its NumPy model, bit for bit."""

import numpy as np
import pytest

from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat, fused_dot_elements, to_bits
from eftrain_hdl.rtl.fp import DecodedDot, FusedDot, OperandDecoder
from tests.numerics.vectors import KINDS, pair_vectors
from tests.rtl.verilated import Ecp5Platform, Pipeline


def check(dot: FusedDot, pipeline: Pipeline, seed: int, count: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        a, b = pair_vectors(rng, count, dot.lanes, dot.operand, kind)
        result = pipeline.run({"a": to_bits(a, dot.operand), "b": to_bits(b, dot.operand)})
        value, overflow, invalid = fused_dot_elements(a, b, dot.operand, dot.window)
        for name, expected in (("o", value.view(np.uint32)), ("overflow", overflow), ("invalid", invalid)):
            wrong = np.flatnonzero(result[name] != expected)
            assert not wrong.size, (
                f"{kind}: {wrong.size} of {count} differ in {name}, first {result[name][wrong[0]]:#x}"
                f" instead of {int(expected[wrong[0]]):#x} for a={a[wrong[0]].tolist()} b={b[wrong[0]].tolist()}"
            )


FAST = [(2, FP32, None), (16, FP32, None), (16, BF16, None), (4, FP16, 20), (2, FloatFormat(2, 1), 44)]
MORE = [(4, FP32, 44), (64, BF16, 16), (2, TF32, None)]


@pytest.mark.parametrize(
    ("lanes", "operand", "window"), [*FAST, *(pytest.param(*case, marks=pytest.mark.full) for case in MORE)]
)
def test_matches_the_model(lanes: int, operand: FloatFormat, window: int | None) -> None:
    dot = FusedDot(lanes, operand, window)
    check(dot, Pipeline(dot, dot.latency), seed=20 + lanes, count=4000)


@pytest.mark.parametrize("lanes", [2, pytest.param(8, marks=pytest.mark.full)])
def test_the_multipliers_of_an_ecp5_give_the_same(lanes: int) -> None:
    dot = FusedDot(lanes)
    check(dot, Pipeline(dot, dot.latency, Ecp5Platform()), seed=40 + lanes, count=4000)


@pytest.mark.full
@pytest.mark.parametrize("operand", [FP32, BF16], ids=str)
@pytest.mark.parametrize("lanes", [2, 4, 16, 64])
def test_a_million_vectors_match_the_model(lanes: int, operand: FloatFormat) -> None:
    dot = FusedDot(lanes, operand)
    pipeline = Pipeline(dot, dot.latency)
    rounds = 8
    for seed in range(rounds):
        check(dot, pipeline, seed, -(-1_000_000 // (rounds * len(KINDS))))


@pytest.mark.parametrize("kind", [FusedDot, DecodedDot])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), ValueError, "lanes must be a power of two from 2 to 64, not 3"),
        ((1,), ValueError, "lanes must be a power of two from 2 to 64, not 1"),
        ((128,), ValueError, "lanes must be a power of two from 2 to 64, not 128"),
        (("4",), TypeError, "lanes must be an integer, not '4'"),
        ((4, "fp32"), TypeError, "operand must be a FloatFormat, not 'fp32'"),
        ((4, FP32, 45), ValueError, "window must be 8 to 44 bits, not 45"),
        ((4, FP32, 7), ValueError, "window must be 8 to 44 bits, not 7"),
        ((4, FP32, 30.0), TypeError, "window must be an integer or None, not 30.0"),
    ],
)
def test_constructor_errors(kind: type, arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        kind(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, "lanes must be at least 1, not 0"),
        ((2.0,), TypeError, "lanes must be an integer, not 2.0"),
        ((2, 8), TypeError, "operand must be a FloatFormat, not 8"),
    ],
)
def test_decoder_errors(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        OperandDecoder(*arguments)
