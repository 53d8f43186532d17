"""The operations that layers are made of."""

from __future__ import annotations

import pytest

from eftrain_hdl.graph import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    GraphError,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    trace,
)
from eftrain_hdl.ir import Add, AddBias, Convolution, MaxPool, Rectify, Reshape
from eftrain_hdl.zoo import models
from tests.compiler.networks import NETWORKS


def test_each_layer() -> None:
    model = Sequential(
        Conv2d(2, 3, (3, 1), 2, (1, 0)), ReLU(), MaxPool2d(2, 1, 1), Residual([Conv2d(3, 3, 1, bias=False)]), Flatten(),
        Flatten(), Linear(60, 4), ReLU(), Linear(4, 2, bias=False), input_shape=(2, 6, 7),
    )  # fmt: skip
    graph = trace(model)
    assert [node.operation for node in graph.nodes] == [
        Convolution((3, 1), (2, 2), (1, 0)), AddBias(), Rectify(), MaxPool((2, 2), (1, 1), (1, 1)),
        Convolution((1, 1)), Add(), Reshape((60,)),
        Reshape((60, 1, 1)), Convolution((1, 1)), AddBias(), Reshape((4,)), Rectify(),
        Reshape((4, 1, 1)), Convolution((1, 1)), Reshape((2,)),
    ]  # fmt: skip
    origins = list(dict.fromkeys(str(node.origin) for node in graph.nodes))
    assert origins == [f"{node}, FP" for node in model.flat if node.index != 6]  # Flatten of a vector is nothing
    assert graph.inputs[0].name == "input"
    add = next(node for node in graph.nodes if node.operation == Add())
    assert [value.name for value in add.inputs] == ["3.body.0.convolution", "2.max_pool"]


CHAINS = [name for name in models if name != "resnet20"]


@pytest.mark.parametrize("name", [*CHAINS, *NETWORKS])
def test_shapes_and_parameters_are_those_of_the_layers(name: str) -> None:
    if name in models:
        size = {"alexnet": 227, "vgg16": 224}.get(name, 32)
        model = models[name]((3, size, size), 10)
    else:
        model = NETWORKS[name].model
    graph = trace(model)
    assert {value.name: value.shape for value in graph.parameters} == model.parameter_shapes()
    assert [value.name for value in graph.parameters] == list(model.parameter_shapes())
    assert [value.shape for value in graph.outputs] == [model.output_shape]
    made = {node.origin.layer: node.outputs[0].shape for node in graph.nodes}
    for layer in model:
        assert made.get(str(layer), layer.input_shape) == layer.output_shape


def test_a_network_without_operations() -> None:
    graph = trace(Sequential(Flatten(), input_shape=(3,)))
    assert graph.nodes == () and graph.outputs == graph.inputs


def test_layers_without_operations_are_named() -> None:
    wanted = "this layer can be planned but not trained yet"
    with pytest.raises(GraphError, match=rf"^layer 1 \(AvgPool2d\): {wanted}$"):
        trace(Sequential(ReLU(), AvgPool2d(2), input_shape=(2, 4, 4)))
    block = Residual([Conv2d(2, 2, 1), BatchNorm2d(2)])
    with pytest.raises(GraphError, match=rf"^layer 1.body.1 \(BatchNorm2d\): {wanted}$"):
        trace(Sequential(ReLU(), block, input_shape=(2, 4, 4)))
    with pytest.raises(TypeError, match="model=.*: expected an eftrain_hdl.Sequential of layers"):
        trace(ReLU())  # type: ignore[arg-type]
