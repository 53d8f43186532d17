"""The networks of the zoo: their layers, the inputs that they take and refuse."""

import re

import numpy as np
import pytest

from eftrain_hdl.graph import Conv2d, CrossEntropyLoss, GraphError, MaxPool2d, ReLU
from eftrain_hdl.zoo import models


@pytest.mark.parametrize("name", models)
@pytest.mark.parametrize(("input_shape", "classes"), [((1, 8, 8), 10), ((3, 32, 32), 10), ((2, 9, 15), 3)])
def test_every_model_takes_other_shapes_and_classes(name: str, input_shape: tuple[int, ...], classes: int) -> None:
    model = models[name](input_shape, classes)
    assert model.input_shape == input_shape
    assert CrossEntropyLoss().classes(model) == classes


def test_1x_is_the_network_of_the_paper() -> None:
    model = models["1x"]((3, 32, 32), 10)
    convs = [layer for layer in model.layers if isinstance(layer, Conv2d)]
    assert [conv.out_channels for conv in convs] == [16, 16, 32, 32, 64, 64]
    assert all((conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1)) for conv in convs)
    pools = [node for node in model if isinstance(node.layer, MaxPool2d)]
    assert [pool.output_shape for pool in pools] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert sum(isinstance(layer, ReLU) for layer in model.layers) == len(convs)
    assert model[-1].input_shape == (1024,)
    # 9*(3*16 + 16*16 + 16*32 + 32*32 + 32*64 + 64*64) + 1024*10 weights, and 224 + 10 biases.
    assert sum(np.prod(shape) for shape in model.parameter_shapes().values()) == 71856 + 10240 + 234


@pytest.mark.parametrize(("name", "smallest"), [("shallow", 2), ("lenet", 4), ("1x", 8)])
def test_inputs_too_small_for_the_pools_are_refused(name: str, smallest: int) -> None:
    assert models[name]((1, smallest, smallest), 2).output_shape == (2,)
    for input_shape in ((1, smallest, smallest - 1), (64,)):
        message = (
            f"{name}: input_shape={input_shape}: needs (channels, height, width) of at least {smallest}x{smallest}"
        )
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            models[name](input_shape, 2)
