"""Differentiation of graphs with branches: several readers, shared parameters, several outputs, frozen parts."""

from __future__ import annotations

import numpy as np
import pytest

from eftrain_hdl.graph import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Residual, Sequential, trace
from eftrain_hdl.ir import (
    Add,
    Convolution,
    Graph,
    GraphBuilder,
    GraphError,
    Mask,
    Operation,
    Rectify,
    Role,
    Value,
    differentiate,
    evaluate,
)
from tests.ir.numerical import numerical_gradient
from tests.ir.random_graphs import output_gradients, random_graph, random_values

RESIDUAL = Sequential(
    Conv2d(2, 3, 3, padding=1), ReLU(),
    Residual([Conv2d(3, 3, 3, padding=1), ReLU(), Conv2d(3, 3, 1)]), ReLU(),
    Residual([MaxPool2d(2), Residual([ReLU(), Conv2d(3, 3, 1)])], [Conv2d(3, 3, 1, stride=2, bias=False)]), ReLU(),
    Flatten(), Linear(18, 3), input_shape=(2, 4, 6),
)  # fmt: skip


def check_numerically(forward: Graph, graph: Graph, seed: int) -> int:
    """Gradients of all trained parameters of ``graph``; returns how many there are."""
    values = random_values(graph, seed)
    found = evaluate(graph, values)
    given = {value.name: values[value.name] for value in forward.inputs}
    weights = {value.name: values[f"d.{value.name}"] for value in forward.outputs if f"d.{value.name}" in values}
    pairs = [(value, gradient) for value, gradient in graph.gradients if value.role is Role.PARAMETER]
    for value, gradient in pairs:
        places, slopes = numerical_gradient(forward, given, weights, value.name, 12)
        ours = np.array([found[gradient.name][place] for place in places])
        np.testing.assert_allclose(ours, slopes, rtol=1e-5, atol=1e-6, err_msg=value.name)
    return len(pairs)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    print(f"random_graph({seed})")
    forward = random_graph(seed)
    graph = differentiate(forward, output_gradients(forward))
    assert check_numerically(forward, graph, seed) == len(forward.parameters)


def test_blocks_within_blocks() -> None:
    forward = trace(RESIDUAL)
    graph = differentiate(forward, output_gradients(forward))
    assert check_numerically(forward, graph, 1) == len(RESIDUAL.parameter_shapes())
    assert [value.name for value in forward.parameters] == list(RESIDUAL.parameter_shapes())


def two_readers() -> tuple[GraphBuilder, Value, Value]:
    """A rectified convolution that one more convolution reads, and their sum."""
    builder = GraphBuilder()
    x = builder.input("x", (2, 3, 3))
    with builder.layer("0", "Conv2d"):
        y = builder.add(Convolution((1, 1)), x, builder.parameter("weight", (2, 2)))
    with builder.layer("1", "ReLU"):
        y = builder.add(Rectify(), y)
    with builder.layer("2", "Conv2d"):
        z = builder.add(Convolution((1, 1)), y, builder.parameter("weight", (2, 2)))
    with builder.layer("3", "Sum"):
        return builder, y, builder.add(Add(), z, y)


def test_readers_are_summed_before_the_gradient_goes_on() -> None:
    """The mask of the rectifier acts on the sum, last reader first."""
    builder, y, total = two_readers()
    graph = differentiate(builder.finish([total]), {total.name: "dy"})
    (add,) = [node for node in graph.nodes if node.operation == Add() and node.origin.direction == "BP"]
    assert (add.origin.layer, add.inputs[0].name) == ("layer 1 (ReLU)", "dy")
    assert add.outputs[0].name == "1.rectify.gradient"
    second = graph.producer(add.inputs[1])
    assert second is not None and str(second.origin) == "layer 2 (Conv2d), BP"
    (mask,) = graph.users(add.outputs[0])
    assert mask.operation == Mask() and graph.gradient(y) == add.outputs[0]
    assert graph.gradient(total) == graph.value("dy")


def test_an_output_that_is_read_as_well() -> None:
    builder, y, total = two_readers()
    forward = builder.finish([total, y])
    graph = differentiate(forward, {total.name: f"d.{total.name}", y.name: f"d.{y.name}"})
    assert check_numerically(forward, graph, 2) == 2
    first = next(node for node in graph.nodes if node.operation == Add() and node.origin.direction == "BP")
    assert first.inputs[0].name == f"d.{y.name}"
    only_one = differentiate(forward, {total.name: f"d.{total.name}"})
    assert len(only_one.inputs) == len(graph.inputs) - 1
    check_numerically(forward, only_one, 3)


def test_a_value_that_is_read_twice_by_one_node() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 3, 3))
    with builder.layer("0", "Test"):
        y = builder.add(Convolution((1, 1)), x, builder.parameter("weight", (2, 2)))
        total = builder.add(Add(), y, y)
    forward = builder.finish([total])
    assert forward.users(y) == forward.nodes[1:]
    graph = differentiate(forward, {total.name: f"d.{total.name}"})
    check_numerically(forward, graph, 4)


@pytest.mark.parametrize("seed", range(40))
def test_frozen_parameters(seed: int) -> None:
    """What is trained gets the same bits; there is a gradient of exactly what it needs, and of nothing else."""
    print(f"random_graph({seed})")
    forward = random_graph(seed)
    names = [value.name for value in forward.parameters]
    generator = np.random.default_rng(seed)
    full = differentiate(forward, output_gradients(forward))
    values = random_values(full, seed)
    found = evaluate(full, values)
    for _ in range(4):
        trainable = {name for name in names if generator.integers(2)}
        graph = differentiate(forward, output_gradients(forward), trainable)
        needed = dependants(forward, trainable)
        assert {value.name for value, _ in graph.gradients} == needed
        inputs = {value.name for value in graph.inputs}
        ends = {f"d.{value.name}" for value in forward.outputs if value.name in needed}
        assert inputs == {value.name for value in forward.inputs} | ends
        less = evaluate(graph, {name: values[name] for name in inputs})
        for name in trainable:
            ours, whole = (one.gradient(one.value(name)) for one in (graph, full))
            assert ours is not None and whole is not None
            np.testing.assert_array_equal(less[ours.name], found[whole.name], err_msg=name)
        if not trainable:
            assert graph == forward


def dependants(graph: Graph, trainable: set[str]) -> set[str]:
    """The parameters, and all results that any of them goes into: searched from each parameter on."""
    found: set[str] = set()
    left = [graph.value(name) for name in trainable]
    while left:
        value = left.pop()
        if value.name not in found:
            found.add(value.name)
            left += [node.outputs[0] for node in graph.users(value)]
    return found


def test_a_frozen_front_has_no_backward_pass() -> None:
    forward = trace(RESIDUAL)
    graph = differentiate(forward, output_gradients(forward), {"7.weight", "4.shortcut.0.weight"})
    backward = [node for node in graph.nodes if node.origin.direction != "FP"]
    assert {node.origin.layer for node in backward} == {
        "layer 7 (Linear)", "layer 6 (Flatten)", "layer 5 (ReLU)", "layer 4.shortcut.0 (Conv2d)",
    }  # fmt: skip
    assert [node.outputs[0].name for node in backward if node.origin.direction == "WU"] == [
        "7.weight.convolution_weight_gradient", "4.shortcut.0.weight.convolution_weight_gradient",
    ]  # fmt: skip
    (pool,) = [node for node in graph.nodes if len(node.outputs) > 1]
    assert graph.users(pool.outputs[1]) == ()


class Opaque(Rectify):
    """An operation without gradient rule."""

    gradient = Operation.gradient


def test_what_cannot_be_differentiated() -> None:
    builder, y, total = two_readers()
    forward = builder.finish([total, y])
    with pytest.raises(GraphError, match="the graph has no output 'z'; there is 3.add, 1.rectify"):
        differentiate(forward, {"z": "dz"})
    with pytest.raises(GraphError, match="the graph has no parameter '5.weight'; there are 0.weight, 2.weight"):
        differentiate(forward, {total.name: "dy"}, ["5.weight", "0.weight"])
    with pytest.raises(TypeError, match="trainable='0.weight': expected a collection of names"):
        differentiate(forward, {total.name: "dy"}, "0.weight")
    with pytest.raises(TypeError, match="output_gradients='3.add': expected a dict"):
        differentiate(forward, "3.add")  # type: ignore[arg-type]
    alone = r"layer 2 \(Conv2d\): 2.weight is to be trained, but no output with a gradient depends on it"
    with pytest.raises(GraphError, match=alone):
        differentiate(forward, {y.name: "dy"})
    assert differentiate(forward, {y.name: "dy"}, {"0.weight"}).gradient(y)
    with pytest.raises(GraphError, match="INPUT x: the name is taken"):
        differentiate(forward, {total.name: "x"})
    graph = differentiate(forward, {total.name: "dy"})
    with pytest.raises(GraphError, match="has gradients or updates already: differentiate the forward graph"):
        differentiate(graph, {total.name: "dz"})
    with builder.layer("4", "Opaque"):
        end = builder.add(Opaque(), total)
    rule = r"layer 4 \(Opaque\), FP: Opaque 4.opaque: has no gradient rule"
    with pytest.raises(GraphError, match=rule):
        differentiate(builder.finish([end]), {end.name: "dy"})
    assert differentiate(builder.finish([end]), {end.name: "dy"}, []).gradients == ()
