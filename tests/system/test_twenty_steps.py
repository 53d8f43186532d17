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


def check(network: Network, config: Config) -> None:
    """Errors are those of all parameters together, relative to how far they have moved."""
    training = trainer(EmulatorDevice(config, MEMORY_BYTES), network.model, network.batch, OPTIMIZER)
    start = training.parameters()
    exact, single = (
        GoldenStep(network.model, CrossEntropyLoss(), OPTIMIZER, start, kind) for kind in (np.float64, np.float32)
    )
    for step in range(STEPS):
        for one in (training, exact, single):
            one.step(*samples(network.model, network.batch, step))
    final = exact.parameters()

    def error(parameters: dict[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(np.square(parameters[name] - final[name]).sum() for name in start)))

    moved = error(start)
    ours, float32 = error(training.parameters()) / moved, error(single.parameters()) / moved
    assert 0 < ours <= 2 * float32 < 1e-4, f"{ours:.3g}, float32 {float32:.3g}"
    assert training.device.flags() == {"overflow": False, "invalid": False}


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_networks(name: str) -> None:
    check(NETWORKS[name], (DEFAULT, WIDE)[len(name) % 2])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 120))
def test_random_networks(seed: int) -> None:
    check(random_network(seed), (DEFAULT, WIDE)[seed % 2])
