"""The whole golden step: optimizer, types, copies, refusals, and that it learns."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.data import batches, load_data
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import (
    SGD,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    GraphError,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Shape,
    cross_entropy,
    initial_parameters,
)
from eftrain_hdl.zoo import models

MODEL = Sequential(Conv2d(1, 3, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(27, 4), input_shape=(1, 6, 7))


def golden(optimizer: SGD, dtype: Any = np.float64) -> GoldenStep:
    return GoldenStep(MODEL, CrossEntropyLoss(), optimizer, initial_parameters(MODEL, seed=0), dtype)


def samples(batch: int = 5) -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(batch, 1, 6, 7)), generator.integers(0, 4, batch)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.0, 0.1), (0.9, 0.0), (0.9, 0.1)])
def test_update_follows_the_recurrence(momentum: float, weight_decay: float) -> None:
    step = golden(SGD(0.2, momentum, weight_decay))
    x, y = samples()
    weights = step.parameters()
    buffers: dict[str, Any] = {}
    for _ in range(4):
        step.step(x, y)
        decayed = {name: g + weight_decay * weights[name] for name, g in step.gradients().items()}
        buffers = {name: momentum * buffers[name] + decayed[name] for name in buffers} if buffers else decayed
        weights = {name: weights[name] - 0.2 * buffers[name] for name in weights}
        for name, value in step.parameters().items():
            np.testing.assert_allclose(value, weights[name], rtol=1e-14, atol=1e-16)
    if momentum:
        assert step.state.keys() == weights.keys()
        for name, buffer in step.state.items():
            np.testing.assert_allclose(buffer, buffers[name], rtol=1e-14, atol=1e-16)
    else:
        assert step.state == {}


def test_step_returns_the_loss_before_the_update_and_lowers_it() -> None:
    step = golden(SGD(0.1))
    x, y = samples()
    before = cross_entropy(step.forward(x), y)[0]
    assert step.step(x, y) == before
    assert step.step(x, y) < before


def test_float32_stays_float32_and_close_to_float64() -> None:
    optimizer = SGD(0.1, momentum=0.9, weight_decay=0.01)
    narrow, wide = golden(optimizer, np.float32), golden(optimizer)
    x, y = samples()
    for _ in range(3):
        narrow.step(x, y)
        wide.step(x, y)
    held = [narrow.parameters(), narrow.gradients(), narrow.state]
    assert {value.dtype for values in held for value in values.values()} == {np.dtype(np.float32)}
    assert {value.dtype for value in narrow.activations + narrow.activation_gradients} == {np.dtype(np.float32)}
    for name, value in wide.parameters().items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(narrow.parameters()[name], value, rtol=1e-5, atol=1e-6)
        assert (narrow.parameters()[name] != value).any()


def test_activations_and_their_gradients_line_up() -> None:
    step = golden(SGD(0.1))
    x, y = samples()
    step.step(x, y)
    assert len(step.activations) == len(step.activation_gradients) == len(MODEL) + 1
    for node in MODEL:
        for arrays in (step.activations, step.activation_gradients):
            assert arrays[node.index].shape == (5, *node.input_shape)
            assert arrays[node.index + 1].shape == (5, *node.output_shape)


def test_nothing_of_the_caller_changes() -> None:
    parameters = initial_parameters(MODEL, seed=0)
    kept = {name: value.copy() for name, value in parameters.items()}
    step = GoldenStep(MODEL, CrossEntropyLoss(), SGD(0.1, 0.9, 0.1), parameters, np.float32)
    x, y = samples()
    x = x.astype(np.float32)
    x_kept = x.copy()
    step.step(x, y)
    before = step.parameters()
    step.parameters()["0.bias"][:] = 7
    step.gradients()["0.bias"][:] = 7
    np.testing.assert_array_equal(x, x_kept)
    for name, value in parameters.items():
        np.testing.assert_array_equal(value, kept[name])
        np.testing.assert_array_equal(step.parameters()[name], before[name])


def test_a_diverged_network_says_so() -> None:
    step = golden(SGD(1e30), np.float32)
    x, y = samples()
    with np.errstate(all="ignore"):
        losses = [step.step(x, y) for _ in range(4)]
    assert not np.isfinite(losses[-1])


class Unknown(Layer):
    """A layer that no golden step can know."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: golden(SGD(0.1), np.float16), TypeError, "expected numpy.float64 or numpy.float32"),
        (
            lambda: GoldenStep(Sequential(ReLU(), input_shape=(1, 2, 2)), CrossEntropyLoss(), SGD(0.1), {}),
            GraphError,
            "CrossEntropyLoss needs a feature vector: append Flatten()",
        ),
        (lambda: GoldenStep(MODEL, CrossEntropyLoss(), SGD(0.1), {}), GraphError, "parameters: missing 0.weight"),
        (
            lambda: golden(SGD(0.1)).forward(np.zeros((2, 1, 7, 6))),
            ValueError,
            "x has shape (2, 1, 7, 6): expected (batch, *(1, 6, 7)), batch at least 1",
        ),
        (
            lambda: golden(SGD(0.1)).forward(np.zeros((0, 1, 6, 7))),
            ValueError,
            "x has shape (0, 1, 6, 7): expected (batch, *(1, 6, 7)), batch at least 1",
        ),
        (
            lambda: golden(SGD(0.1)).step(samples()[0], np.full(5, 4)),
            ValueError,
            "labels range from 4 to 4: expected 0 to 3",
        ),
        (
            lambda: GoldenStep(Sequential(Unknown(), input_shape=(3,)), CrossEntropyLoss(), SGD(0.1), {}).forward(
                np.zeros((1, 3))
            ),
            NotImplementedError,
            "layer 0 (Unknown): the golden step does not know this layer",
        ),
    ],
)
def test_refusals(use: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        use()


@pytest.mark.parametrize(("name", "lr", "steps"), [("shallow", 0.05, 60), ("lenet", 0.02, 270)])
def test_the_zoo_learns_real_digits(name: str, lr: float, steps: int) -> None:
    """The accuracy that the zoo's docstrings promise for the worst of ten seeds is above 91 %."""
    pytest.importorskip("sklearn")
    data = load_data("digits")
    model = models[name](data.input_shape, data.classes)
    step = GoldenStep(model, CrossEntropyLoss(), SGD(lr, 0.9), initial_parameters(model, 0), np.float32)
    taken = 0
    while taken < steps:
        for x, y in batches(data.x_train, data.y_train, 16, seed=0, epoch=taken // 89):
            step.step(x, y)
            taken += 1
            if taken == steps:
                break
    assert (step.forward(data.x_test).argmax(axis=1) == data.y_test).mean() > 0.9
