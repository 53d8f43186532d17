"""Layers of the golden step against their definitions, written as loops; gradients against finite differences."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import (
    SGD,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Shape,
    cross_entropy,
    initial_parameters,
)

Array = NDArray[np.float64]

CONVOLUTIONS = [
    (Conv2d(1, 2, 1), (1, 3, 5)),
    (Conv2d(3, 2, 2, stride=2, padding=1), (3, 5, 4)),
    (Conv2d(2, 3, 3, padding=2), (2, 4, 3)),
    (Conv2d(2, 3, 3, stride=(1, 3), padding=(0, 1)), (2, 7, 8)),
    (Conv2d(3, 2, 5, stride=4, padding=3, bias=False), (3, 7, 9)),
    (Conv2d(2, 2, (2, 7), stride=(3, 2), padding=(1, 6)), (2, 5, 3)),
    (Conv2d(1, 2, 11, stride=3, padding=10), (1, 1, 4)),
]
POOLS = [
    (MaxPool2d(2), (2, 5, 7)),
    (MaxPool2d(3, stride=2, padding=1), (3, 7, 6)),
    (MaxPool2d(3, stride=1), (2, 5, 4)),
    (MaxPool2d((1, 4), stride=(2, 1), padding=(0, 2)), (2, 3, 5)),
    (MaxPool2d(2, stride=3), (1, 8, 7)),
]


def golden(*layers: Layer, input_shape: Shape) -> GoldenStep:
    model = Sequential(*layers, Flatten(), input_shape=input_shape)
    return GoldenStep(model, CrossEntropyLoss(), SGD(0.1), initial_parameters(model, seed=5))


@pytest.mark.parametrize(("layer", "input_shape"), CONVOLUTIONS)
def test_convolution_is_what_it_is_defined_to_be(layer: Conv2d, input_shape: Shape) -> None:
    step = golden(layer, input_shape=input_shape)
    x = np.random.default_rng(0).normal(size=(2, *input_shape))
    step.forward(x)
    values = step.parameters()
    weight, bias = values["0.weight"], values.get("0.bias", np.zeros(layer.out_channels))
    for b, m, r, c in np.ndindex(step.activations[1].shape):
        total = bias[m]
        for n, i, j in np.ndindex(weight.shape[1:]):
            row = r * layer.stride[0] + i - layer.padding[0]
            column = c * layer.stride[1] + j - layer.padding[1]
            if 0 <= row < input_shape[1] and 0 <= column < input_shape[2]:
                total += weight[m, n, i, j] * x[b, n, row, column]
        assert step.activations[1][b, m, r, c] == pytest.approx(total, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("layer", "input_shape"), POOLS)
@pytest.mark.parametrize("ties", [False, True])
def test_pooling_passes_the_gradient_to_the_first_maximum(layer: MaxPool2d, input_shape: Shape, ties: bool) -> None:
    step = golden(layer, input_shape=input_shape)
    generator = np.random.default_rng(1)
    x = generator.normal(size=(2, *input_shape)) - 1  # mostly negative: a zero from the padding would win
    if ties:
        x = np.round(x)
    dlogits = generator.normal(size=step.forward(x).shape)
    step.backward(dlogits)
    dy = dlogits.reshape(step.activations[1].shape)
    expected = np.zeros_like(x)
    for b, n, r, c in np.ndindex(dy.shape):
        best, place = -np.inf, None
        for i, j in np.ndindex(layer.kernel_size):
            row = r * layer.stride[0] + i - layer.padding[0]
            column = c * layer.stride[1] + j - layer.padding[1]
            if 0 <= row < input_shape[1] and 0 <= column < input_shape[2] and x[b, n, row, column] > best:
                best, place = x[b, n, row, column], (b, n, row, column)
        assert step.activations[1][b, n, r, c] == best
        assert place is not None
        expected[place] += dy[b, n, r, c]
    np.testing.assert_allclose(step.activation_gradients[0], expected, rtol=1e-13, atol=1e-15)


def test_pooling_shows_nan_and_keeps_minus_infinity_out_of_the_padding() -> None:
    step = golden(MaxPool2d(2, stride=2, padding=1), input_shape=(1, 2, 2))
    x = np.array([[[[-np.inf, 3.0], [2.0, np.nan]]]])
    np.testing.assert_array_equal(step.forward(x), [[-np.inf, 3.0, 2.0, np.nan]])
    step.backward(np.array([[1.0, 2.0, 3.0, 4.0]]))
    np.testing.assert_array_equal(step.activation_gradients[0], [[[[1.0, 2.0], [3.0, 4.0]]]])


def test_relu_at_zero_and_at_nan() -> None:
    step = golden(ReLU(), input_shape=(5,))
    x = np.array([[-1.0, 0.0, 2.0, np.nan, -np.inf]])
    np.testing.assert_array_equal(step.forward(x), [[0.0, 0.0, 2.0, np.nan, 0.0]])
    step.backward(np.array([[1.0, np.inf, 3.0, 4.0, 5.0]]))
    np.testing.assert_array_equal(step.activation_gradients[0], [[0.0, 0.0, 3.0, 4.0, 0.0]])


def test_flatten_orders_channels_rows_columns() -> None:
    step = golden(Flatten(), input_shape=(2, 2, 3))
    x = np.arange(24.0).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(step.forward(x), np.arange(24.0).reshape(2, 12))


def test_linear_is_what_it_is_defined_to_be() -> None:
    step = golden(Linear(3, 2), input_shape=(3,))
    values = step.parameters()
    x = np.array([[1.0, 2.0, -3.0]])
    for m in range(2):
        total = values["0.bias"][m] + sum(values["0.weight"][m, n] * x[0, n] for n in range(3))
        assert step.forward(x)[0, m] == pytest.approx(total, rel=1e-14)


NETWORKS: list[tuple[tuple[Layer, ...], Shape]] = [
    *(((layer,), input_shape) for layer, input_shape in CONVOLUTIONS + POOLS),
    ((Linear(7, 4),), (7,)),
    ((Linear(7, 4, bias=False), ReLU(), Linear(4, 3)), (7,)),
    (
        (
            Conv2d(2, 3, 3, padding=1),
            ReLU(),
            MaxPool2d(3, stride=2, padding=1),
            Conv2d(3, 4, (2, 3), stride=2, padding=(1, 2)),
            ReLU(),
            Flatten(),
            Linear(36, 5),
            ReLU(),
            Linear(5, 3),
        ),
        (2, 9, 7),
    ),
]


@pytest.mark.parametrize(("layers", "input_shape"), NETWORKS)
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_are_slopes_of_the_loss(layers: tuple[Layer, ...], input_shape: Shape, batch: int) -> None:
    """Along random directions of every parameter and of the input: central differences in float64."""
    model = Sequential(*layers, Flatten(), input_shape=input_shape)
    generator = np.random.default_rng(2)
    values: dict[str, Array] = {
        name: value.astype(np.float64) for name, value in initial_parameters(model, seed=3).items()
    }
    values["x"] = generator.normal(size=(batch, *input_shape))
    labels = generator.integers(0, model.output_shape[0], batch)

    def run(given: dict[str, Array]) -> tuple[float, GoldenStep]:
        parameters = {name: value for name, value in given.items() if name != "x"}
        step = GoldenStep(model, CrossEntropyLoss(), SGD(0.1), parameters)
        loss, dlogits = cross_entropy(step.forward(given["x"]), labels)
        step.backward(dlogits)
        return loss, step

    _, step = run(values)
    gradients = step.gradients() | {"x": step.activation_gradients[0]}
    assert gradients.keys() == values.keys()
    for name, gradient in gradients.items():
        assert gradient.shape == values[name].shape
        for _ in range(3):
            direction = generator.normal(size=gradient.shape)
            shift = 1e-6 * direction
            up, _ = run(values | {name: values[name] + shift})
            down, _ = run(values | {name: values[name] - shift})
            slope = (up - down) / 2e-6
            scale = np.abs(gradient).max() * np.abs(direction).max()
            assert np.vdot(gradient, direction) == pytest.approx(slope, abs=1e-6 * scale + 1e-9), name
