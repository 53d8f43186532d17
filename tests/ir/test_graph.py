"""What a graph answers about itself, its text, and the arguments of its evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import SGD, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.ir import Array, GraphError, Rectify, Role, evaluate
from tests.ir.steps import training_graph

MODEL = Sequential(Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(2, 3, bias=False), input_shape=(1, 4, 4))
GRAPH = training_graph(MODEL, SGD(0.1, 0.9), {"0.weight"})

TEXT = """\
input INPUT (batch, 1, 4, 4)
0.weight PARAMETER (2, 1, 3, 3)
0.bias PARAMETER (2,)
4.weight PARAMETER (3, 2)
logits_gradient INPUT (batch, 3)
0.weight.velocity STATE (2, 1, 3, 3)
layer 0 (Conv2d), FP: 0.convolution ACTIVATION (batch, 2, 2, 2) = \
Convolution[kernel=(3, 3), stride=(1, 1), padding=(0, 0)](input, 0.weight)
layer 0 (Conv2d), FP: 0.add_bias ACTIVATION (batch, 2, 2, 2) = AddBias(0.convolution, 0.bias)
layer 1 (ReLU), FP: 1.rectify ACTIVATION (batch, 2, 2, 2) = Rectify(0.add_bias)
layer 2 (MaxPool2d), FP: 2.max_pool ACTIVATION (batch, 2, 1, 1), 2.max_pool.index INDEX (batch, 2, 1, 1) = \
MaxPool[kernel=(2, 2), stride=(2, 2), padding=(0, 0)](1.rectify)
layer 3 (Flatten), FP: 3.reshape ACTIVATION (batch, 2) = Reshape[shape=(2,)](2.max_pool)
layer 4 (Linear), FP: 4.reshape ACTIVATION (batch, 2, 1, 1) = Reshape[shape=(2, 1, 1)](3.reshape)
layer 4 (Linear), FP: 4.convolution ACTIVATION (batch, 3, 1, 1) = \
Convolution[kernel=(1, 1), stride=(1, 1), padding=(0, 0)](4.reshape, 4.weight)
layer 4 (Linear), FP: 4.reshape.2 ACTIVATION (batch, 3) = Reshape[shape=(3,)](4.convolution)
layer 4 (Linear), BP: 4.convolution.reshape GRADIENT (batch, 3, 1, 1) = Reshape[shape=(3, 1, 1)](logits_gradient)
layer 4 (Linear), BP: 4.reshape.convolution_input_gradient GRADIENT (batch, 2, 1, 1) = \
ConvolutionInputGradient[kernel=(1, 1), stride=(1, 1), padding=(0, 0), size=(1, 1)](4.convolution.reshape, 4.weight)
layer 4 (Linear), BP: 3.reshape.reshape GRADIENT (batch, 2) = Reshape[shape=(2,)](4.reshape.convolution_input_gradient)
layer 3 (Flatten), BP: 2.max_pool.reshape GRADIENT (batch, 2, 1, 1) = Reshape[shape=(2, 1, 1)](3.reshape.reshape)
layer 2 (MaxPool2d), BP: 1.rectify.unpool GRADIENT (batch, 2, 2, 2) = \
Unpool[kernel=(2, 2), stride=(2, 2), padding=(0, 0), size=(2, 2)](2.max_pool.reshape, 2.max_pool.index)
layer 1 (ReLU), BP: 0.add_bias.mask GRADIENT (batch, 2, 2, 2) = Mask(1.rectify.unpool, 1.rectify)
layer 0 (Conv2d), WU: 0.weight.convolution_weight_gradient GRADIENT (2, 1, 3, 3) = \
ConvolutionWeightGradient[kernel=(3, 3), stride=(1, 1), padding=(0, 0), shape=(2, 1, 3, 3)](input, 0.add_bias.mask)
layer 0 (Conv2d), WU: 0.weight.decayed GRADIENT (2, 1, 3, 3) = \
ScaledAdd[scalar=1, negative=False](0.weight.convolution_weight_gradient, 0.weight)
layer 0 (Conv2d), WU: 0.weight.velocity.new STATE (2, 1, 3, 3) = \
ScaledAdd[scalar=2, negative=False](0.weight.decayed, 0.weight.velocity)
layer 0 (Conv2d), WU: 0.weight.new PARAMETER (2, 1, 3, 3) = \
ScaledAdd[scalar=0, negative=True](0.weight, 0.weight.velocity.new)
output 4.reshape.2
gradient of 0.weight: 0.weight.convolution_weight_gradient
update 0.weight.velocity: 0.weight.velocity.new
update 0.weight: 0.weight.new"""


def test_its_text() -> None:
    assert str(GRAPH) == TEXT


def names(values: Any) -> list[str]:
    return [value.name for value in values]


def test_who_makes_and_who_reads() -> None:
    y = GRAPH.value("1.rectify")
    node = GRAPH.producer(y)
    assert node is not None and node.operation == Rectify() and node.inputs == (GRAPH.value("0.add_bias"),)
    assert GRAPH.producer(GRAPH.value("input")) is None
    assert [str(one.origin) for one in GRAPH.users(y)] == ["layer 2 (MaxPool2d), FP", "layer 1 (ReLU), BP"]
    assert [str(one.origin) for one in GRAPH.users(y, "FP")] == ["layer 2 (MaxPool2d), FP"]
    assert [str(one.origin) for one in GRAPH.users(y, "BP", "WU")] == ["layer 1 (ReLU), BP"]
    assert GRAPH.users(GRAPH.value("4.reshape.2")) == ()
    assert names(GRAPH.parameters) == ["0.weight", "0.bias", "4.weight"]
    assert names(GRAPH.results) == [
        "4.reshape.2", "0.weight.convolution_weight_gradient", "0.weight.velocity.new", "0.weight.new",
    ]  # fmt: skip
    gradient = GRAPH.gradient(y)
    assert gradient is not None and gradient.name == "1.rectify.unpool"
    assert GRAPH.gradient(GRAPH.value("0.bias")) is None
    assert GRAPH.layer(y) == "layer 1 (ReLU)"
    assert GRAPH.layer(GRAPH.value("0.bias")) == "layer 0 (Conv2d)"
    with pytest.raises(GraphError, match="the graph has no value 9.weight"):
        GRAPH.value("9.weight")


def test_graphs_are_values() -> None:
    again = training_graph(MODEL, SGD(0.1, 0.9), {"0.weight"})
    assert again == GRAPH and hash(again) == hash(GRAPH)
    assert again != training_graph(MODEL, SGD(0.1), {"0.weight"})


def given() -> dict[str, Array]:
    return {value.name: np.ones(((2,) if value.batched else ()) + value.shape) for value in GRAPH.inputs}


SCALARS = (0.1, 0, 0.9)


def test_evaluation_says_which_input_is_wrong() -> None:
    with pytest.raises(GraphError, match="values: missing 0.bias, 4.weight"):
        evaluate(GRAPH, {name: one for name, one in given().items() if name not in ("0.bias", "4.weight")}, SCALARS)
    with pytest.raises(GraphError, match="values: the graph has no input '1.weight'"):
        evaluate(GRAPH, given() | {"1.weight": np.ones(1)}, SCALARS)
    with pytest.raises(GraphError, match=r"values: 0.bias has the shape \(3,\): expected \(2,\)"):
        evaluate(GRAPH, given() | {"0.bias": np.ones(3)}, SCALARS)
    with pytest.raises(GraphError, match=r"values: input has the shape \(1, 4, 4\): expected \(batch, 1, 4, 4\)"):
        evaluate(GRAPH, given() | {"input": np.ones((1, 4, 4))}, SCALARS)
    with pytest.raises(GraphError, match=r"values: input has the shape \(0, 1, 4, 4\): expected \(batch, 1, 4, 4\)"):
        evaluate(GRAPH, given() | {"input": np.ones((0, 1, 4, 4))}, SCALARS)
    with pytest.raises(GraphError, match="values: logits_gradient has 3 samples, but input has 2"):
        evaluate(GRAPH, given() | {"logits_gradient": np.ones((3, 3))}, SCALARS)
    with pytest.raises(TypeError, match="dtype=numpy.float16 .*: expected numpy.float64 or numpy.float32"):
        evaluate(GRAPH, given(), SCALARS, np.float16)
    with pytest.raises(TypeError, match="graph=.*: expected a Graph"):
        evaluate(MODEL, given(), SCALARS)  # type: ignore[arg-type]


def test_evaluation_leaves_its_inputs_alone() -> None:
    values = given()
    found = evaluate(GRAPH, values, SCALARS, np.float32)
    assert found.keys() == {value.name for value in GRAPH.values}
    assert {found[value.name].dtype for value in GRAPH.values if value.role is not Role.INDEX} == {np.dtype(np.float32)}
    for name, one in given().items():
        np.testing.assert_array_equal(values[name], one)
