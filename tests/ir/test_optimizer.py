"""The optimizer as operations: order of rounding, states, what comes of it in float32 bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from eftrain_hdl.graph import SGD, Conv2d, Flatten, Sequential, trace
from eftrain_hdl.ir import Graph, GraphBuilder, GraphError, Role, ScaledAdd, add_optimizer, differentiate, evaluate
from tests.ir.steps import training_graph

MODEL = Sequential(Conv2d(2, 3, 3), Flatten(), input_shape=(2, 5, 4))


def forward_backward() -> Graph:
    graph = trace(MODEL)
    return differentiate(graph, {graph.outputs[0].name: "dy"})


@pytest.mark.parametrize("optimizer", [SGD(0.03), SGD(0.03, 0.9), SGD(0.3, 0.7, 0.011), SGD(0.03, 0, 0.2)])
def test_every_bit_of_a_step(optimizer: SGD) -> None:
    graph = training_graph(MODEL, optimizer)
    generator = np.random.default_rng(1)
    given = {
        value.name: generator.standard_normal(((2,) if value.batched else ()) + value.shape).astype(np.float32)
        for value in graph.inputs
    }
    values = evaluate(graph, given, optimizer.scalars, np.float32)
    lr, decay, momentum = map(np.float32, (optimizer.lr, optimizer.weight_decay, optimizer.momentum))
    new = {value.name: values[new.name] for value, new in graph.updates}
    for value, gradient in graph.gradients:
        if value.role is Role.PARAMETER:
            w, g = given[value.name], values[gradient.name]
            u = g + decay * w
            if momentum:
                u = u + momentum * given[f"{value.name}.velocity"]
                np.testing.assert_array_equal(new[f"{value.name}.velocity"], u)
            np.testing.assert_array_equal(new[value.name], w - lr * u)
    states = {"0.weight.velocity", "0.bias.velocity"} if momentum else set()
    assert new.keys() == {"0.weight", "0.bias"} | states
    assert {value.name for value in graph.inputs if value.role is Role.STATE} == states


def test_weight_decay_of_0_is_applied() -> None:
    graph = training_graph(MODEL, SGD(0.1))
    decays = [node for node in graph.nodes if node.operation == ScaledAdd(1)]
    assert [node.inputs[1].name for node in decays] == ["0.weight", "0.bias"]
    assert all(node.origin.layer == "layer 0 (Conv2d)" and node.origin.direction == "WU" for node in decays)


def test_what_has_no_gradient_cannot_be_optimized() -> None:
    with pytest.raises(GraphError, match="no parameter of the graph has a gradient: differentiate it first"):
        add_optimizer(trace(MODEL), SGD(0.1))
    graph = add_optimizer(forward_backward(), SGD(0.1))
    with pytest.raises(GraphError, match=r"layer 0 \(Conv2d\): 0.weight has an update already"):
        add_optimizer(graph, SGD(0.1))
    with pytest.raises(TypeError, match="optimizer=0.1: expected an optimizer"):
        add_optimizer(forward_backward(), 0.1)  # type: ignore[arg-type]


def test_a_table_of_scalars_that_is_too_short() -> None:
    graph = training_graph(MODEL, SGD(0.1))
    given = {value.name: np.ones(((2,) if value.batched else ()) + value.shape) for value in graph.inputs}
    rule = r"layer 0 \(Conv2d\), WU: ScaledAdd 0.weight.decayed: reads SCALAR\[1\], but the table of scalars has 1"
    with pytest.raises(GraphError, match=rule):
        evaluate(graph, given, [0.1])
    builder = GraphBuilder()
    x = builder.input("x", (1,))
    with builder.layer("0", "Test"), pytest.raises(GraphError, match="scalar=-1 has to be an index"):
        builder.add(ScaledAdd(-1), x, x)
