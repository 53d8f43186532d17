"""Evaluated graphs against the golden step, which shares nothing with them, in float64.

Not bit for bit: graphs add a convolution tap by tap, the golden step hands whole windows to the matrix product. Output
gradients are random: those of the loss sum to zero over the classes, and of what has one channel little but rounding
errors would be left.
"""

from __future__ import annotations

import numpy as np
import pytest

from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, cross_entropy, initial_parameters
from eftrain_hdl.zoo import models
from tests.compiler.networks import NETWORKS
from tests.compiler.random_networks import random_network
from tests.ir.steps import GraphStep, difference

OPTIMIZER = SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
TOLERANCE = 1e-12


def check(model: Sequential, batch: int, optimizer: SGD = OPTIMIZER, steps: int = 3) -> None:
    """Logits, gradients and parameters of some steps."""
    start = initial_parameters(model, 3)
    ours = GraphStep(model, optimizer, start)
    golden = GoldenStep(model, CrossEntropyLoss(), optimizer, start)
    generator = np.random.default_rng(4)
    for _ in range(steps):
        x = generator.standard_normal((batch, *model.input_shape))
        logits = golden.forward(x)
        dlogits = generator.uniform(0.5, 1.5, logits.shape) * generator.choice([-1, 1, 1], logits.shape)
        assert difference(ours.forward(x), logits) <= TOLERANCE
        assert difference(ours.step(x, dlogits), logits) <= TOLERANCE
        golden.backward(dlogits)
        golden.update()
        gradients, parameters = golden.gradients(), golden.parameters()
        assert list(ours.gradients) == list(parameters) and gradients.keys() == parameters.keys()
        for name in parameters:
            assert difference(ours.gradients[name], gradients[name]) <= TOLERANCE, name
            assert difference(ours.held[name], parameters[name]) <= TOLERANCE, name
        assert {name.removesuffix(".velocity") for name in ours.held if name not in parameters} == set(golden.state)
        for name, state in golden.state.items():
            assert difference(ours.held[f"{name}.velocity"], state) <= TOLERANCE, name


@pytest.mark.parametrize("name", ["shallow", "lenet", "lenet10"])
def test_small_networks_of_the_zoo(name: str) -> None:
    shape = (1, 14, 14) if name == "lenet10" else (1, 8, 8)
    check(models[name](shape, 10), 4)


def test_the_smallest_network_for_cifar() -> None:
    check(models["1x"]((3, 16, 16), 10), 2, steps=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_shape(name: str) -> None:
    check(NETWORKS[name].model, NETWORKS[name].batch)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed: int) -> None:
    print(f"random_network({seed})")
    network = random_network(seed)
    check(network.model, network.batch)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, weight_decay=0.01), SGD(0.1, momentum=0.5)])
def test_other_optimizers(optimizer: SGD) -> None:
    check(NETWORKS["overlapping_windows"].model, 3, optimizer)


def test_training_with_the_loss_in_float32() -> None:
    """Rounding differs, so it is the losses that are compared, over steps that lower them."""
    model = models["lenet"]((1, 8, 8), 10)
    start = initial_parameters(model, 3)
    ours = GraphStep(model, OPTIMIZER, start, np.float32)
    golden = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, start, np.float32)
    generator = np.random.default_rng(5)
    x, y = generator.standard_normal((8, 1, 8, 8)).astype(np.float32), generator.integers(0, 10, 8)
    losses = []
    for _ in range(10):
        loss, dlogits = cross_entropy(ours.forward(x), y)
        ours.step(x, dlogits)
        losses.append(loss)
        assert loss == pytest.approx(golden.step(x, y), rel=1e-4)
    assert losses[-1] < 0.9 * losses[0]
    assert {array.dtype for array in ours.held.values()} == {np.dtype(np.float32)}
