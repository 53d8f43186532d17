"""Every gradient rule against finite differences, on operations of random sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from eftrain_hdl.ir import (
    OPERATIONS,
    Add,
    AddBias,
    Convolution,
    GraphBuilder,
    MaxPool,
    Operation,
    Origin,
    Rectify,
    Reshape,
    Shape,
    evaluate,
)
from tests.ir.numerical import numerical_gradient

Draw = Callable[[int, int], int]
Case = tuple[Operation, list[tuple[Shape, bool]]]
"""An operation, and shapes of its inputs with whether they are batched."""


def convolution(draw: Draw) -> Case:
    kernel = (draw(1, 4), draw(1, 4))
    padding = (draw(0, 3), draw(0, 3))
    channels, outputs = draw(1, 3), draw(1, 3)
    size = tuple(max(draw(1, 7), side - 2 * pad) for side, pad in zip(kernel, padding, strict=True))
    shapes = ((outputs, channels, *kernel), (outputs, channels * kernel[0] * kernel[1]))
    operation = Convolution(kernel, (draw(1, 3), draw(1, 3)), padding)
    return operation, [((channels, *size), True), (shapes[draw(0, 1)], False)]


def max_pool(draw: Draw) -> Case:
    kernel = (draw(1, 4), draw(1, 4))
    padding = (draw(0, kernel[0] // 2), draw(0, kernel[1] // 2))
    size = tuple(max(draw(1, 7), side - 2 * pad) for side, pad in zip(kernel, padding, strict=True))
    return MaxPool(kernel, (draw(1, 4), draw(1, 4)), padding), [((draw(1, 3), *size), True)]


def any_shape(draw: Draw) -> Shape:
    return tuple(draw(1, 4) for _ in range(draw(1, 4)))


def add_bias(draw: Draw) -> Case:
    shape = any_shape(draw)
    return AddBias(), [(shape, True), (shape[:1], False)]


def rectify(draw: Draw) -> Case:
    return Rectify(), [(any_shape(draw), bool(draw(0, 1)))]


def reshape(draw: Draw) -> Case:
    shape = any_shape(draw)
    return Reshape((*shape[::-1], 1)), [(shape, True)]


def add(draw: Draw) -> Case:
    return Add(), [(any_shape(draw), bool(draw(0, 1)))] * 2


CASES: dict[type[Operation], Callable[[Draw], Case]] = {
    Convolution: convolution,
    MaxPool: max_pool,
    AddBias: add_bias,
    Rectify: rectify,
    Reshape: reshape,
    Add: add,
}


def test_every_rule_is_tried() -> None:
    assert {kind for kind in OPERATIONS if kind.gradient is not Operation.gradient} == set(CASES)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("seed", range(12))
def test_rule(kind: type[Operation], seed: int) -> None:
    generator = np.random.default_rng(seed)
    operation, shapes = CASES[kind](lambda low, high: int(generator.integers(low, high + 1)))
    print(f"seed {seed}: {operation} of {shapes}")
    builder = GraphBuilder()
    inputs = [
        builder.input(name, shape, batched=batched)
        for name, (shape, batched) in zip(operation.operands, shapes, strict=True)
    ]
    with builder.layer("0", "Test"):
        y = builder.add(operation, *inputs)
    forward = builder.finish([y])
    dy = builder.input("dy", y.shape, batched=y.batched)
    with builder.at(Origin("layer 0 (Test)", "BP"), "gradient"):
        gradients = [operation.gradient(k, forward.nodes[0], dy, builder) for k in range(len(inputs))]
    graph = builder.finish([y, *gradients])

    batch = int(generator.integers(1, 4))
    values = {
        value.name: generator.standard_normal(((batch,) if value.batched else ()) + value.shape)
        for value in graph.inputs
    }
    found = evaluate(graph, values)
    given = {value.name: values[value.name] for value in inputs}
    for value, gradient in zip(inputs, gradients, strict=True):
        assert (gradient.shape, gradient.batched) == (value.shape, value.batched)
        places, slopes = numerical_gradient(forward, given, {y.name: values["dy"]}, value.name, 60)
        ours = np.array([found[gradient.name][place] for place in places])
        np.testing.assert_allclose(ours, slopes, rtol=1e-6, atol=1e-7, err_msg=value.name)
