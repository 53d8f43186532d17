"""After twenty steps the emulator, whose bits are the RTL's, is as close to float64 training as float32 NumPy is."""

from __future__ import annotations

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


ROUNDING = 2.0**-24
"""Half an ulp: closer than this no float32 parameter can be but by chance (a bias has few elements)."""


def check(network: Network, config: Config) -> None:
    """The relative L2 error of each parameter."""
    training = trainer(EmulatorDevice(config, MEMORY_BYTES), network.model, network.batch, OPTIMIZER)
    start = training.parameters()
    exact, single = (
        GoldenStep(network.model, CrossEntropyLoss(), OPTIMIZER, start, kind) for kind in (np.float64, np.float32)
    )
    for step in range(STEPS):
        for one in (training, exact, single):
            one.step(*samples(network.model, network.batch, step))
    ours, float32 = training.parameters(), single.parameters()
    for name, true in exact.parameters().items():
        error, theirs = (float(np.linalg.norm(x[name] - true) / np.linalg.norm(true)) for x in (ours, float32))
        assert 0 < error <= 2 * max(theirs, ROUNDING) < 1e-5, f"{name}: {error:.3g}, float32 {theirs:.3g}"
    assert training.device.flags() == {"overflow": False, "invalid": False}


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_networks(name: str) -> None:
    check(NETWORKS[name], (DEFAULT, WIDE)[len(name) % 2])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 120))
def test_random_networks(seed: int) -> None:
    check(random_network(seed), (DEFAULT, WIDE)[seed % 2])
