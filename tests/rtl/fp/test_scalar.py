# amaranth: UnusedElaboratable=no
"""FP32 addition and multiplication on Verilator against their NumPy models, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest

from eftrain_hdl.numerics import float_add_elements, float_mul_elements
from eftrain_hdl.rtl.fp import FloatAdd, FloatMul
from tests.numerics.vectors import scalar_vectors
from tests.rtl.verilated import Ecp5Platform, Pipeline

UNITS = [(FloatAdd, float_add_elements), (FloatMul, float_mul_elements)]


def check(pipeline: Pipeline, model: Callable, seed: int, count: int) -> None:
    print(f"seed {seed}")
    a, b = scalar_vectors(np.random.default_rng(seed), count)
    result = pipeline.run({"a": a.view(np.uint32), "b": b.view(np.uint32)})
    value, overflow, invalid = model(a, b)
    for name, expected in (("o", value.view(np.uint32)), ("overflow", overflow), ("invalid", invalid)):
        wrong = np.flatnonzero(result[name] != expected)
        assert not wrong.size, (
            f"{wrong.size} differ in {name}, first: {result[name][wrong[0]]:#x} instead of {int(expected[wrong[0]]):#x}"
            f" for {a[wrong[0]].tobytes()[::-1].hex()} and {b[wrong[0]].tobytes()[::-1].hex()}"
        )


@pytest.mark.parametrize(("unit", "model"), UNITS)
def test_matches_the_model(unit: type, model: Callable) -> None:
    check(Pipeline(unit(), unit.latency), model, seed=3, count=200_000)


def test_the_multipliers_of_an_ecp5_give_the_same() -> None:
    pipeline = Pipeline(FloatMul(), FloatMul.latency, Ecp5Platform())
    check(pipeline, float_mul_elements, seed=4, count=200_000)


@pytest.mark.full
@pytest.mark.parametrize(("unit", "model"), UNITS)
def test_millions_of_pairs_match_the_model(unit: type, model: Callable) -> None:
    pipeline = Pipeline(unit(), unit.latency)
    for seed in range(10, 18):
        check(pipeline, model, seed, 500_000)
