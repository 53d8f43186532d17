"""After twenty steps the emulator, whose bits are the RTL's, is as close to float64 training as float32 NumPy is."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import SGD, CrossEntropyLoss
from eftrain_hdl.runtime.emulator import EmulatorDevice
from tests.compiler.networks import NETWORKS, Network
from tests.compiler.random_networks import random_network
from tests.system.machines import DEFAULT, MEMORY_BYTES, WIDE, samples, trainer

STEPS = 20
# Slow enough that training converges: where it diverges, so do the errors of any arithmetic.
OPTIMIZER = SGD(lr=0.02, momentum=0.9, weight_decay=1e-3)


RUNS = 4
"""Trainings on different data: the error of a bias with one element is a matter of luck in any single one."""


def errors(network: Network, config: Config, run: int) -> dict[str, tuple[float, float]]:
    """Relative L2 error of each parameter after a training, and that of float32 NumPy."""
    training = trainer(EmulatorDevice(config, MEMORY_BYTES), network.model, network.batch, OPTIMIZER)
    start = training.parameters()
    exact, single = (
        GoldenStep(network.model, CrossEntropyLoss(), OPTIMIZER, start, kind) for kind in (np.float64, np.float32)
    )
    for step in range(STEPS):
        for one in (training, exact, single):
            one.step(*samples(network.model, network.batch, 100 * run + step))
    assert training.device.flags() == {"overflow": False, "invalid": False}
    ours, float32 = training.parameters(), single.parameters()
    return {
        name: (relative(ours[name], true), relative(float32[name], true)) for name, true in exact.parameters().items()
    }


def relative(value: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(value - true) / np.linalg.norm(true))


def check(network: Network, config: Config) -> None:
    """The root mean square over the runs of each parameter's error.

    Of one to three elements even that is a matter of luck: they may miss by twice as much.
    """
    runs = [errors(network, config, run) for run in range(RUNS)]
    for name, shape in network.model.parameter_shapes().items():
        ours, theirs = np.sqrt(np.mean(np.square([run[name] for run in runs]), axis=0))
        factor = 2 if prod(shape) > 3 else 4
        assert 0 < ours <= factor * theirs < 1e-5, f"{name}: {ours:.3g}, float32 {theirs:.3g}"


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_networks(name: str) -> None:
    check(NETWORKS[name], (DEFAULT, WIDE)[len(name) % 2])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 120))
def test_random_networks(seed: int) -> None:
    check(random_network(seed), (DEFAULT, WIDE)[seed % 2])
