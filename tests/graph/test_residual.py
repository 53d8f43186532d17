"""Blocks: shapes and names of what is inside, what is refused, and that nothing trains them yet."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    GraphError,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    check_trainable,
    initial_parameters,
)
from eftrain_hdl.graph.work import step_macs


def network() -> Sequential:
    inner = Residual([Conv2d(4, 4, 1, bias=False)])
    return Sequential(
        Conv2d(3, 2, 3, padding=1),
        Residual([Conv2d(2, 4, 3, 2, padding=1), BatchNorm2d(4), ReLU(), inner], [Conv2d(2, 4, 1, 2)]),
        ReLU(),
        Flatten(),
        Linear(48, 5),
        input_shape=(3, 8, 6),
    )


def test_layers_inside_of_blocks_know_their_place() -> None:
    model = network()
    assert [(node.index, str(node), node.input_shape, node.output_shape) for node in model.flat] == [
        (0, "layer 0 (Conv2d)", (3, 8, 6), (2, 8, 6)),
        (1, "layer 1.body.0 (Conv2d)", (2, 8, 6), (4, 4, 3)),
        (2, "layer 1.body.1 (BatchNorm2d)", (4, 4, 3), (4, 4, 3)),
        (3, "layer 1.body.2 (ReLU)", (4, 4, 3), (4, 4, 3)),
        (4, "layer 1.body.3.body.0 (Conv2d)", (4, 4, 3), (4, 4, 3)),
        (5, "layer 1.body.3 (Residual)", (4, 4, 3), (4, 4, 3)),
        (6, "layer 1.shortcut.0 (Conv2d)", (2, 8, 6), (4, 4, 3)),
        (7, "layer 1 (Residual)", (2, 8, 6), (4, 4, 3)),
        (8, "layer 2 (ReLU)", (4, 4, 3), (4, 4, 3)),
        (9, "layer 3 (Flatten)", (4, 4, 3), (48,)),
        (10, "layer 4 (Linear)", (48,), (5,)),
    ]
    assert [node.name for node in model] == ["0", "1", "2", "3", "4"]
    assert model == network() and hash(model) == hash(network())


def test_parameters_inside_of_blocks_are_named_as_pytorch_names_them() -> None:
    model = network()
    assert list(model.parameter_shapes().items()) == [
        ("0.weight", (2, 3, 3, 3)),
        ("0.bias", (2,)),
        ("1.body.0.weight", (4, 2, 3, 3)),
        ("1.body.0.bias", (4,)),
        ("1.body.1.weight", (4,)),
        ("1.body.1.bias", (4,)),
        ("1.body.3.body.0.weight", (4, 4, 1, 1)),
        ("1.shortcut.0.weight", (4, 2, 1, 1)),
        ("1.shortcut.0.bias", (4,)),
        ("4.weight", (5, 48)),
        ("4.bias", (5,)),
    ]
    values = initial_parameters(model, seed=3)
    assert {name: value.shape for name, value in values.items()} == model.parameter_shapes()
    assert np.all(values["1.body.1.weight"] == 1) and np.all(values["1.body.1.bias"] == 0)
    assert 0 < np.abs(values["1.body.0.weight"]).max() <= 1 / np.sqrt(18)


def test_work_inside_of_blocks_is_counted() -> None:
    counts = {0: 2 * 3 * 9 * 48, 1: 4 * 2 * 9 * 12, 4: 4 * 4 * 12, 6: 4 * 2 * 12, 10: 48 * 5}
    expected = {(layer, phase): 7 * count for layer, count in counts.items() for phase in ("FP", "BP", "WU")}
    del expected[0, "BP"]
    assert step_macs(network(), 7) == expected


def test_branches_at_the_input_need_no_gradient_of_it() -> None:
    block = Residual([Conv2d(2, 2, 1), Conv2d(2, 2, 1)], [Conv2d(2, 2, 1)])
    macs = step_macs(Sequential(block, Conv2d(2, 2, 1), input_shape=(2, 3, 3)), 1)
    assert [layer for layer, phase in macs if phase == "BP"] == [1, 4]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Residual([]), GraphError, "Residual: body: needs at least one layer"),
        (lambda: Residual([ReLU()], ()), GraphError, "Residual: shortcut: needs at least one layer"),
        (lambda: Residual(ReLU()), TypeError, "Residual: body=ReLU(): expected a sequence of layers"),
        (
            lambda: Residual([ReLU()], [ReLU(), 3]),
            TypeError,
            "Residual: shortcut.1: expected a layer such as ReLU(), got 3",
        ),
        (
            lambda: Sequential(ReLU(), Residual([ReLU(), Conv2d(3, 4, 1)]), input_shape=(4, 8, 8)),
            GraphError,
            "layer 1 (Residual): body.1 (Conv2d): in_channels=3: the input (4, 8, 8) has 4 channels",
        ),
        (
            lambda: Sequential(Residual([Conv2d(4, 6, 1)]), input_shape=(4, 8, 8)),
            GraphError,
            "layer 0 (Residual): body: its output (6, 8, 8) cannot be added to the input (4, 8, 8)",
        ),
        (
            lambda: Sequential(Residual([ReLU()], [Conv2d(4, 4, 1, 2)]), input_shape=(4, 8, 8)),
            GraphError,
            "layer 0 (Residual): body: its output (4, 8, 8) cannot be added to the output of the shortcut (4, 4, 4)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        build()


@pytest.mark.parametrize("layer", [AvgPool2d(1), BatchNorm2d(4), Residual([ReLU()])])
def test_layers_that_can_only_be_planned_are_named(layer: Layer) -> None:
    check_trainable(Sequential(ReLU(), Conv2d(4, 4, 1), input_shape=(4, 8, 8)))
    message = f"layer 1 ({type(layer).__name__}): this layer can be planned but not trained yet"
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        check_trainable(Sequential(ReLU(), layer, input_shape=(4, 8, 8)))
