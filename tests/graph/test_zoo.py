"""The networks of the zoo: their layers, the inputs that they take and refuse."""

import re

import numpy as np
import pytest

from eftrain_hdl.graph import Conv2d, CrossEntropyLoss, GraphError, Linear, MaxPool2d, ReLU
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.zoo import models

SMALLEST = {
    "shallow": 2, "lenet": 4, "lenet10": 12, "1x": 8, "2x": 8, "4x": 8, "alexnet": 67, "vgg16": 32, "resnet20": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", models)
@pytest.mark.parametrize(("more", "classes"), [((1, 0, 0), 10), ((3, 24, 24), 10), ((2, 1, 7), 3)])
def test_every_model_takes_other_shapes_and_classes(name: str, more: tuple[int, ...], classes: int) -> None:
    input_shape = more[0], SMALLEST[name] + more[1], SMALLEST[name] + more[2]
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


@pytest.mark.parametrize(("name", "gigaflop"), [("1x", 0.05845), ("alexnet", 6.249), ("vgg16", 91.91)])
def test_work_of_a_step_is_what_is_published(name: str, gigaflop: float) -> None:
    """Of one image, in EF-Train's model; that of AlexNet and VGG-16 without the linear layers."""
    model = models[name]() if name != "1x" else models[name]((3, 32, 32), 10)  # type: ignore[call-arg]
    counted = [node.index for node in model if name == "1x" or isinstance(node.layer, Conv2d)]
    macs = sum(count for (layer, _), count in step_macs(model, 1).items() if layer in counted)
    assert 2e-9 * macs == pytest.approx(gigaflop, rel=2e-4)


def test_resnet20_is_the_network_of_the_paper() -> None:
    """He et al. 2015, table 6: 0.27 M parameters; with projections (option B) 40.8 M multiply-accumulates forward."""
    model = models["resnet20"]((3, 32, 32), 10)
    convolutions = [node for node in model.flat if isinstance(node.layer, Conv2d)]
    weighted = [node for node in convolutions if "shortcut" not in node.name]
    assert len(weighted) + sum(isinstance(node.layer, Linear) for node in model.flat) == 20
    assert [node.output_shape[0] for node in weighted] == [16] * 7 + [32] * 6 + [64] * 6
    assert [node.name for node in convolutions if "shortcut" in node.name] == ["9.shortcut.0", "15.shortcut.0"]
    assert (model[21].input_shape, model[21].output_shape) == ((64, 8, 8), (64, 1, 1))
    shapes = model.parameter_shapes()
    normalised = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    body = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    projections = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert sum(np.prod(shape) for shape in shapes.values()) == body + normalised + projections + 650 == 272474
    macs = step_macs(model, 1)
    forward = sum(count for (_, phase), count in macs.items() if phase == "FP")
    assert forward == 40_813_184
    assert sum(macs.values()) == 3 * forward - 9 * 3 * 16 * 1024  # no gradient of the image
    assert {layer for layer, _ in macs} == {
        node.index for node in model.flat if isinstance(node.layer, (Conv2d, Linear))
    }


@pytest.mark.parametrize(("name", "smallest"), SMALLEST.items())
def test_inputs_too_small_for_the_pools_are_refused(name: str, smallest: int) -> None:
    assert models[name]((1, smallest, smallest), 2).output_shape == (2,)
    for input_shape in ((1, smallest, smallest - 1), (64,)):
        message = (
            f"{name}: input_shape={input_shape}: needs (channels, height, width) of at least {smallest}x{smallest}"
        )
        if 0 in input_shape:
            message = f"{name}: input_shape=0: must be at least 1"
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            models[name](input_shape, 2)
