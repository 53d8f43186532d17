"""An operation from elsewhere: differentiated, verified, evaluated and printed as those of the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from eftrain_hdl.graph import Conv2d, Flatten, Layer, Linear, Sequential, Shape, trace
from eftrain_hdl.ir import (
    Array,
    GraphBuilder,
    GraphError,
    MaxPool,
    Node,
    Operation,
    Result,
    Role,
    Unpool,
    Value,
    differentiate,
    evaluate,
)
from eftrain_hdl.ir.rules import same
from tests.ir.numerical import numerical_gradient
from tests.ir.random_graphs import output_gradients, random_values


@dataclass(frozen=True)
class Multiply(Operation):
    """``factor`` * ``a`` * ``b``, element by element."""

    factor: int = 1
    operands: ClassVar[tuple[str, ...]] = ("a", "b")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        return (same("a", inputs[0], "b", inputs[1]),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        return (self.factor * inputs[0] * inputs[1],)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return builder.add(self, dy, node.inputs[1 - position])


@dataclass(frozen=True)
class Cube(Layer):
    """x * x * x: one value with three readers."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        return builder.add(Multiply(), builder.add(Multiply(), x, x), x)


MODEL = Sequential(Conv2d(1, 2, 3), Cube(), Flatten(), Linear(8, 2), Cube(), input_shape=(1, 4, 4))


def test_its_gradient() -> None:
    forward = trace(MODEL)
    graph = differentiate(forward, output_gradients(forward))
    values = random_values(graph, 1)
    found = evaluate(graph, values)
    given = {value.name: values[value.name] for value in forward.inputs}
    weights = {value.name: values[f"d.{value.name}"] for value in forward.outputs}
    for value, gradient in graph.gradients:
        if value.role is Role.PARAMETER:
            places, slopes = numerical_gradient(forward, given, weights, value.name, 30)
            ours = np.array([found[gradient.name][place] for place in places])
            np.testing.assert_allclose(ours, slopes, rtol=1e-6, atol=1e-6 * np.abs(slopes).max())
    assert len(graph.users(forward.value("0.add_bias"), "FP")) == 2
    assert len(graph.users(forward.value("0.add_bias"), "BP")) == 3


def test_its_text_and_its_errors() -> None:
    forward = trace(MODEL)
    text = "layer 4 (Cube), FP: 4.multiply.2 ACTIVATION (batch, 2) = Multiply[factor=1](4.multiply, 3.reshape.2)"
    assert text in str(forward).splitlines()
    builder = GraphBuilder()
    a, b = builder.input("a", (2,)), builder.input("b", (3,))
    with builder.layer("0", "Cube"):
        rule = (
            r"layer 0 \(Cube\), FP: Multiply\[factor=2\]: a and b have to be of one shape, but a is \(batch, 2\) and b"
        )
        with pytest.raises(GraphError, match=rule):
            builder.add(Multiply(2), a, b)


class Wrong(Multiply):
    """Evaluation that does not keep to the rule."""

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        return (inputs[0][:, :1],)


def test_an_evaluation_that_breaks_its_own_rule() -> None:
    builder = GraphBuilder()
    a = builder.input("a", (2,))
    with builder.layer("0", "Test"):
        graph = builder.finish([builder.add(Wrong(), a, a)])
    rule = r"layer 0 \(Test\), FP: Wrong 0.wrong: .* made float64 \(3, 1\) where its rule says \(3, 2\)"
    with pytest.raises(GraphError, match=rule):
        evaluate(graph, {"a": np.ones((3, 2))})


@dataclass(frozen=True)
class WithStatistics(Operation):
    """An operation with a by-product."""

    operands: ClassVar[tuple[str, ...]] = ("x",)

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        result = Result(inputs[0].shape)
        return result, result

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        return inputs[0] * 1, inputs[0] * 2

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return dy


def test_no_gradient_flows_through_a_by_product_unseen() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 3, 3))
    with builder.layer("0", "Conv2d"):
        y = Conv2d(2, 2, 1).trace(builder, x)
    with builder.layer("1", "Test"):
        first, second = builder.add_all(WithStatistics(), y)
        graph = builder.finish([first, second, builder.add(Multiply(), first, second)])
    rule = r"layer 1 \(Test\), FP: Multiply 1.multiply: reads 1.with_statistics.activation, a by-product"
    with pytest.raises(GraphError, match=rule):
        differentiate(graph, output_gradients(graph))
    assert differentiate(graph, {first.name: "dy"}).gradient(y) == Value("dy", first.shape, Role.INPUT)


@dataclass(frozen=True)
class Aside(Operation):
    """``x``, with an INDEX looked at."""

    operands: ClassVar[tuple[str, ...]] = ("x", "index")
    index_operands: ClassVar[frozenset[str]] = frozenset({"index"})

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        return (same("x", inputs[0], "index", inputs[1]),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        return (inputs[0] + 0 * inputs[1],)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return dy


def test_an_index_has_no_gradient_that_could_be_missed() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 4, 4))
    with builder.layer("0", "Conv2d"):
        y = Conv2d(2, 2, 1).trace(builder, x)
    with builder.layer("1", "Test"):
        maxima, index = builder.add_all(MaxPool((2, 2), (2, 2)), y)
        graph = builder.finish([builder.add(Aside(), maxima, index)])
    graph = differentiate(graph, output_gradients(graph))
    assert graph.gradient(maxima) == graph.value("d.1.aside") and graph.gradient(index) is None
    assert [one.operation for one in graph.users(index)] == [Aside(), Unpool((2, 2), (2, 2), (0, 0), (4, 4))]
