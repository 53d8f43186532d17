"""Whole training steps on the emulator against golden ones, for every shape of layer and array."""

import numpy as np
import pytest
from golden_check import OPTIMIZER, check_training, relative, samples, trainer
from networks import NETWORKS, classifier
from random_networks import random_network

from eftrain_hdl.compiler import CompileError, compile_model
from eftrain_hdl.config import Config
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.numerics import BF16

CONFIGS = {
    "4x4": Config(rows=4, lanes=4),
    "8x8": Config(rows=8, lanes=8),
    "4x8": Config(rows=4, lanes=8),
    "8x4": Config(rows=8, lanes=4),
    "16x16": Config(rows=16, lanes=16),
    "small": Config(
        rows=4, lanes=4, streaming_depth=1024, stationary_depth=512, accumulator_depth=512, operand_depth=128
    ),
    "beat_of_one_word": Config(rows=2, lanes=8, data_width=32),
}
PAIRS = [(name, config) for name in NETWORKS for config in CONFIGS]
QUICK = [(name, list(CONFIGS)[k % len(CONFIGS)]) for k, name in enumerate(NETWORKS)]


@pytest.mark.parametrize(("name", "config"), QUICK)
def test_network(name: str, config: str) -> None:
    check_training(NETWORKS[name].model, CONFIGS[config], NETWORKS[name].batch, steps=2 if name == "linear" else 1)


@pytest.mark.full
@pytest.mark.parametrize(("name", "config"), [pair for pair in PAIRS if pair not in QUICK])
def test_network_on_other_arrays(name: str, config: str) -> None:
    check_training(NETWORKS[name].model, CONFIGS[config], NETWORKS[name].batch)


@pytest.mark.parametrize("seed", range(4))
def test_random_network(seed: int) -> None:
    network = random_network(seed)
    check_training(network.model, list(CONFIGS.values())[seed % len(CONFIGS)], network.batch, steps=1)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(4, 60))
def test_more_random_networks(seed: int) -> None:
    network = random_network(seed)
    check_training(network.model, list(CONFIGS.values())[seed % len(CONFIGS)], network.batch, steps=1)


def test_without_momentum_and_decay() -> None:
    network, optimizer = NETWORKS["linear"], SGD(lr=0.2)
    device = trainer(network.model, CONFIGS["8x8"], network.batch, optimizer)
    golden = GoldenStep(network.model, CrossEntropyLoss(), optimizer, device.parameters())
    x, y = samples(network.model, network.batch, 5)
    device.step(x, y)
    golden.step(x, y)
    assert not any(name.startswith("velocity") for name in device.plan.tensors)
    for name, value in golden.parameters().items():
        assert relative(device.parameters()[name], value) < 1e-6


def test_bfloat16_operands() -> None:
    """Gradients are off by about the precision of the operands, 2**-9 rounded, and not by that of float32.

    No ReLU and no pooling: what rounding decides there moves a gradient as a whole.
    """
    model = classifier(Conv2d(9, 10, 3, padding=1), Conv2d(10, 7, 2, stride=2), input_shape=(9, 6, 7), classes=5)
    device = trainer(model, Config(rows=8, lanes=8, operand=BF16), 2)
    golden = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, device.parameters())
    x, y = samples(model, 2, 7)
    gradients = device.gradients(x, y)
    golden.step(x, y)
    errors = [relative(gradients[name], value) for name, value in golden.gradients().items()]
    assert 2**-12 < max(errors) < 2**-7


def test_lane_padding_stays_zero() -> None:
    network = NETWORKS["map_2x2"]
    device = trainer(network.model, CONFIGS["16x16"], network.batch)
    device.step(*samples(network.model, network.batch, 1))
    for name, tensor in device.plan.tensors.items():
        if name.startswith(("weights", "velocity", "output", "logits", "result")):
            words = device.device.read(tensor.address, tensor.nbytes).view(np.uint32)
            logical = tensor.unpack(words)
            again = tensor.pack(*logical) if isinstance(logical, tuple) else tensor.pack(logical)
            np.testing.assert_array_equal(words, again.view(np.uint32), err_msg=name)


def test_too_large_names_layer_and_limit() -> None:
    model = Sequential(Conv2d(4, 4, 31), Flatten(), Linear(4, 2), input_shape=(4, 31, 31))
    config = Config(rows=4, lanes=4, accumulator_depth=256)
    with pytest.raises(CompileError, match=r"layer 0 \(Conv2d\): .*(accumulator|stationary)_depth \d+, \d+ more than"):
        compile_model(model, config, batch=1, loss=CrossEntropyLoss(), optimizer=OPTIMIZER)


@pytest.mark.parametrize(
    ("batch", "error"), [(0, CompileError), (True, TypeError), (2.0, TypeError), (5000, CompileError)]
)
def test_batch_is_checked(batch: object, error: type[Exception]) -> None:
    model = NETWORKS["one_pixel"].model
    with pytest.raises(error, match=f"batch={batch!r}: "):
        compile_model(model, CONFIGS["4x4"], batch=batch, loss=CrossEntropyLoss(), optimizer=OPTIMIZER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "stride", "padding", "columns"),
    [
        ((3, 3), (1, 1), (1, 1), 12), ((5, 3), (1, 2), (2, 1), 16), ((5, 5), (2, 2), (2, 2), 9),
        ((4, 3), (1, 4), (1, 0), 18),
    ],
)  # fmt: skip
def test_overlapping_windows_that_begin_in_padding_on_small_memories(
    window: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], columns: int
) -> None:
    """The gradient passes in parts of one turn of the stride, of which the first turns lie above the map."""
    layers = (Conv2d(1, 2, 1), MaxPool2d(window, stride, padding), ReLU())
    config = Config(rows=4, lanes=4, operand_depth=64)
    check_training(classifier(*layers, input_shape=(1, 7, columns), classes=3), config, batch=2)
