"""Building a network: shapes along the chain, parameter names and values, and what is refused."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    GraphError,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    check_parameters,
    initial_parameters,
)


def network() -> Sequential:
    return Sequential(
        Conv2d(3, 4, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(4, 2, (3, 1), bias=False),
        Flatten(),
        Linear(12, 5),
        input_shape=(3, 8, 7),
    )


def test_nodes_know_their_place() -> None:
    model = network()
    assert [node.index for node in model] == [0, 1, 2, 3, 4, 5]
    assert [node.name for node in model] == ["0", "1", "2", "3", "4", "5"]
    assert [node.output_shape for node in model] == [(4, 8, 7), (4, 8, 7), (4, 4, 3), (2, 2, 3), (12,), (5,)]
    assert [node.input_shape for node in model][1:] == [node.output_shape for node in model][:-1]
    assert (model.input_shape, model.output_shape, len(model)) == ((3, 8, 7), (5,), 6)
    assert model[2].layer == MaxPool2d(2) == model.layers[2]
    assert str(model[2]) == "layer 2 (MaxPool2d)"


def test_parameters_are_named_as_pytorch_names_them() -> None:
    assert list(network().parameter_shapes().items()) == [
        ("0.weight", (4, 3, 3, 3)),
        ("0.bias", (4,)),
        ("3.weight", (2, 4, 3, 1)),
        ("5.weight", (5, 12)),
        ("5.bias", (5,)),
    ]


def test_models_compare_by_value_and_print_as_code() -> None:
    assert network() == network()
    assert hash(network()) == hash(network())
    assert Sequential(ReLU(), input_shape=[5]) != Sequential(ReLU(), input_shape=(6,))
    assert repr(Sequential(ReLU(), Linear(5, 2), input_shape=[5])) == (
        "Sequential(ReLU(), Linear(in_features=5, out_features=2, bias=True), input_shape=(5,))"
    )


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: Sequential(Conv2d(3, 4, 3), ReLU(), Conv2d(3, 4, 3), input_shape=(3, 8, 8)),
            GraphError,
            "layer 2 (Conv2d): in_channels=3: the input (4, 6, 6) has 4 channels",
        ),
        (
            lambda: Sequential(ReLU(), Conv2d(1, 4, (3, 7), padding=(0, 1)), input_shape=(1, 9, 4)),
            GraphError,
            "layer 1 (Conv2d): kernel_size=(3, 7): larger than the padded input (9, 6)",
        ),
        (
            lambda: Sequential(MaxPool2d(5, padding=1), input_shape=(1, 2, 9)),
            GraphError,
            "layer 0 (MaxPool2d): kernel_size=(5, 5): larger than the padded input (4, 11)",
        ),
        (
            lambda: Sequential(ReLU(), Linear(64, 10), input_shape=(1, 8, 8)),
            GraphError,
            "layer 1 (Linear): input_shape=(1, 8, 8): needs a feature vector: insert Flatten() before it",
        ),
        (
            lambda: Sequential(Flatten(), Linear(63, 10), input_shape=(1, 8, 8)),
            GraphError,
            "layer 1 (Linear): in_features=63: the input has 64 features",
        ),
        (
            lambda: Sequential(Flatten(), Conv2d(1, 4, 3), input_shape=(1, 8, 8)),
            GraphError,
            "layer 1 (Conv2d): input_shape=(64,): needs a (channels, height, width) map",
        ),
        (
            lambda: Sequential(BatchNorm2d(3), input_shape=(2, 8, 8)),
            GraphError,
            "layer 0 (BatchNorm2d): num_features=3: the input (2, 8, 8) has 2 channels",
        ),
        (
            lambda: Sequential(AvgPool2d(9), input_shape=(2, 8, 8)),
            GraphError,
            "layer 0 (AvgPool2d): kernel_size=(9, 9): larger than the padded input (8, 8)",
        ),
        (
            lambda: Sequential(MaxPool2d(2), input_shape=(64,)),
            GraphError,
            "layer 0 (MaxPool2d): input_shape=(64,): needs a (channels, height, width) map",
        ),
        (lambda: Sequential(input_shape=(1, 8, 8)), GraphError, "Sequential: needs at least one layer"),
        (
            lambda: Sequential(ReLU(), input_shape=(1, 0, 8)),
            GraphError,
            "Sequential: input_shape=0: must be at least 1",
        ),
        (
            lambda: Sequential(ReLU(), input_shape=(16, 1, 8, 8)),
            TypeError,
            "Sequential: input_shape=(16, 1, 8, 8): expected (channels, height, width) or (features,), no batch",
        ),
        (
            lambda: Sequential(ReLU(), input_shape=8),
            TypeError,
            "Sequential: input_shape=8: expected (channels, height, width) or (features,), no batch",
        ),
        (
            lambda: Sequential(ReLU(), CrossEntropyLoss(), input_shape=(8,)),
            TypeError,
            "layer 1: expected a layer such as ReLU(), got CrossEntropyLoss()",
        ),
        (
            lambda: CrossEntropyLoss().classes(Sequential(Conv2d(1, 10, 1), input_shape=(1, 4, 4))),
            GraphError,
            "layer 0 (Conv2d): output_shape=(10, 4, 4): CrossEntropyLoss needs a feature vector: append Flatten()",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        build()


def test_a_class_in_place_of_a_layer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^layer 0: expected a layer such as .*\.ReLU \(the class itself\)$"):
        Sequential(ReLU, input_shape=(8,))  # type: ignore[arg-type]


def test_classes_is_the_length_of_the_last_vector() -> None:
    assert CrossEntropyLoss().classes(network()) == 5


def test_initial_parameters_follow_the_fan_in() -> None:
    model = Sequential(Conv2d(8, 50, (5, 3)), Flatten(), Linear(50, 400), input_shape=(8, 5, 3))
    values = initial_parameters(model, seed=7)
    check_parameters(model, values)
    assert {value.dtype for value in values.values()} == {np.dtype(np.float32)}
    for name, fan_in in (("0.weight", 120), ("0.bias", 120), ("2.weight", 50), ("2.bias", 50)):
        bound = 1 / math.sqrt(fan_in)
        value = values[name].astype(np.float64)
        assert np.abs(value).max() <= np.float32(bound)
        # Mean and variance of a uniform distribution, within six standard errors.
        assert abs(value.mean()) < 6 * bound / math.sqrt(3 * value.size)
        assert abs(value.var() - bound**2 / 3) < 6 * bound**2 * math.sqrt(4 / 45 / value.size)


def test_initial_parameters_depend_on_the_seed_alone() -> None:
    first, again, other = (initial_parameters(network(), seed) for seed in (1, 1, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert (value != other[name]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("3.weight"), "parameters: missing 3.weight"),
        (lambda values: values.update({"3.bias": np.zeros(2)}), "parameters: the network has no 3.bias"),
        (
            lambda values: values.update({"5.bias": np.zeros((5, 1))}),
            "parameters: 5.bias has shape (5, 1): expected (5,)",
        ),
    ],
)
def test_parameters_that_do_not_belong_are_refused(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    values = dict(initial_parameters(network(), seed=0))
    change(values)
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        check_parameters(network(), values)
