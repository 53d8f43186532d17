"""Layer descriptions: their arguments, their output shapes and every error they report."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import (
    SGD,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    GraphError,
    Linear,
    MaxPool2d,
    ReLU,
    window_count,
)


def whole(message: str) -> str:
    """A regular expression that only the whole message matches."""
    return f"^{re.escape(message)}$"


def test_ints_and_pairs_become_pairs() -> None:
    conv = Conv2d(3, 8, 3, stride=(2, 1), padding=[1, 0])
    assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((3, 3), (2, 1), (1, 0), True)
    assert Conv2d(3, 8, np.int64(3)) == Conv2d(3, 8, (3, 3), (1, 1), (0, 0), True)
    assert MaxPool2d((3, 2)).stride == (3, 2)
    assert MaxPool2d(3, stride=2, padding=1) == MaxPool2d((3, 3), (2, 2), (1, 1))


def test_layers_are_immutable_values() -> None:
    conv = Conv2d(3, 8, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        conv.in_channels = 4  # type: ignore[misc]
    assert hash(conv) == hash(Conv2d(3, 8, (3, 3)))
    assert conv != Conv2d(3, 8, 3, bias=False)


@pytest.mark.parametrize(
    ("layer", "input_shape", "output_shape"),
    [
        (Conv2d(3, 8, 3), (3, 9, 7), (8, 7, 5)),
        (Conv2d(3, 8, 3, stride=2, padding=1), (3, 8, 7), (8, 4, 4)),
        (Conv2d(3, 96, 11, stride=4, padding=2), (3, 224, 224), (96, 55, 55)),
        (Conv2d(1, 2, (1, 5), stride=(3, 2), padding=(0, 4)), (1, 8, 6), (2, 3, 5)),
        (Conv2d(1, 1, 3, padding=2), (1, 1, 1), (1, 3, 3)),
        (MaxPool2d(2), (4, 7, 6), (4, 3, 3)),
        (MaxPool2d(3, stride=2, padding=1), (4, 8, 7), (4, 4, 4)),
        (AvgPool2d(2), (4, 7, 6), (4, 3, 3)),
        (AvgPool2d((7, 6)), (4, 7, 6), (4, 1, 1)),
        (AvgPool2d(3, stride=(1, 2)), (4, 8, 7), (4, 6, 3)),
        (BatchNorm2d(4), (4, 8, 7), (4, 8, 7)),
        (ReLU(), (4, 8, 7), (4, 8, 7)),
        (ReLU(), (5,), (5,)),
        (Flatten(), (4, 8, 7), (224,)),
        (Flatten(), (5,), (5,)),
        (Linear(5, 3), (5,), (3,)),
    ],
)
def test_output_shape(layer: Any, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    assert layer.output_shape(input_shape) == output_shape


def test_window_count_is_the_number_of_places() -> None:
    for size in range(1, 13):
        for kernel in range(1, size + 1):
            for stride in range(1, 5):
                for padding in range(kernel):
                    places = range(-padding, size + padding - kernel + 1, stride)
                    assert window_count(size, kernel, stride, padding) == len(places)


def test_parameter_shapes() -> None:
    assert list(Conv2d(3, 8, (5, 2)).parameter_shapes().items()) == [("weight", (8, 3, 5, 2)), ("bias", (8,))]
    assert Conv2d(3, 8, 5, bias=False).parameter_shapes() == {"weight": (8, 3, 5, 5)}
    assert list(Linear(6, 4).parameter_shapes().items()) == [("weight", (4, 6)), ("bias", (4,))]
    assert Linear(6, 4, bias=False).parameter_shapes() == {"weight": (4, 6)}
    assert [layer.parameter_shapes() for layer in (ReLU(), MaxPool2d(2), Flatten())] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Conv2d(0, 8, 3), GraphError, "Conv2d: in_channels=0: must be at least 1"),
        (lambda: Conv2d(3, -8, 3), GraphError, "Conv2d: out_channels=-8: must be at least 1"),
        (lambda: Conv2d(3, 8, (3, 0)), GraphError, "Conv2d: kernel_size=0: must be at least 1"),
        (lambda: Conv2d(3, 8, 3, stride=0), GraphError, "Conv2d: stride=0: must be at least 1"),
        (lambda: Conv2d(3, 8, 3, padding=-1), GraphError, "Conv2d: padding=-1: must be at least 0"),
        (
            lambda: Conv2d(3, 8, 3, padding=3),
            GraphError,
            "Conv2d: padding=3: must be at most kernel_size - 1 with kernel_size=(3, 3)",
        ),
        (
            lambda: Conv2d(3, 8, (5, 3), padding=(4, 3)),
            GraphError,
            "Conv2d: padding=(4, 3): must be at most kernel_size - 1 with kernel_size=(5, 3)",
        ),
        (lambda: Conv2d(3.0, 8, 3), TypeError, "Conv2d: in_channels=3.0: expected an integer"),
        (lambda: Conv2d(3, True, 3), TypeError, "Conv2d: out_channels=True: expected an integer"),
        (lambda: Conv2d(3, 8, "3"), TypeError, "Conv2d: kernel_size='3': expected an integer"),
        (
            lambda: Conv2d(3, 8, (3, 3, 3)),
            TypeError,
            "Conv2d: kernel_size=(3, 3, 3): expected an int or a pair (height, width) of ints",
        ),
        (lambda: Conv2d(3, 8, 3, bias=1), TypeError, "Conv2d: bias=1: expected True or False"),
        (lambda: Linear(0, 4), GraphError, "Linear: in_features=0: must be at least 1"),
        (lambda: Linear(4, 2.5), TypeError, "Linear: out_features=2.5: expected an integer"),
        (lambda: Linear(4, 2, bias=None), TypeError, "Linear: bias=None: expected True or False"),
        (lambda: MaxPool2d(0), GraphError, "MaxPool2d: kernel_size=0: must be at least 1"),
        (lambda: MaxPool2d(2, stride=0), GraphError, "MaxPool2d: stride=0: must be at least 1"),
        (
            lambda: MaxPool2d(3, padding=2),
            GraphError,
            "MaxPool2d: padding=2: must be at most kernel_size // 2 with kernel_size=(3, 3)",
        ),
        (
            lambda: MaxPool2d((4, 1), padding=1),
            GraphError,
            "MaxPool2d: padding=1: must be at most kernel_size // 2 with kernel_size=(4, 1)",
        ),
        (lambda: AvgPool2d(0), GraphError, "AvgPool2d: kernel_size=0: must be at least 1"),
        (lambda: AvgPool2d(2, (1, 0)), GraphError, "AvgPool2d: stride=0: must be at least 1"),
        (lambda: BatchNorm2d(0), GraphError, "BatchNorm2d: num_features=0: must be at least 1"),
        (lambda: BatchNorm2d(4, eps=-1), GraphError, "BatchNorm2d: eps=-1: must be finite and not negative"),
        (lambda: BatchNorm2d(4, momentum="no"), TypeError, "BatchNorm2d: momentum='no': expected a number"),
        (lambda: SGD(-0.1), GraphError, "SGD: lr=-0.1: must be finite and not negative"),
        (lambda: SGD(0.1, momentum=float("nan")), GraphError, "SGD: momentum=nan: must be finite and not negative"),
        (lambda: SGD(0.1, 0, float("inf")), GraphError, "SGD: weight_decay=inf: must be finite and not negative"),
        (lambda: SGD("0.1"), TypeError, "SGD: lr='0.1': expected a number"),
        (lambda: SGD(None), TypeError, "SGD: lr=None: expected a number"),
    ],
)
def test_constructor_errors(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=whole(message)):
        build()


def test_graph_error_is_a_value_error() -> None:
    assert issubclass(GraphError, ValueError)
