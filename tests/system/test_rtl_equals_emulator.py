"""Whole training steps on the RTL in Verilator leave every bit of memory as the emulator does."""

from __future__ import annotations

import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16
from tests.compiler.networks import NETWORKS, Network
from tests.compiler.random_networks import random_network
from tests.system.machines import DEFAULT, SMALL, TALL, WIDE, Pair, samples

CONFIGS = {
    "bf16_two_ports": Config(rows=4, lanes=8, operand=BF16, data_width=64, ports=2),
    "tall_two_banks": TALL,
    "one_word_axi3": Config(rows=2, lanes=8, data_width=32, axi3=True, outstanding=2),
    "four_ports": Config(rows=4, lanes=4, data_width=64, ports=4, **SMALL),
    "three_tiles": Config(rows=12, lanes=4),
    "bf16_square": Config(rows=16, lanes=16, operand=BF16),
}


def check(network: Network, config: Config) -> None:
    pair = Pair.of(network.model, config, network.batch)
    for step in range(2):
        x, y = samples(network.model, network.batch, step)
        ours, theirs = pair.rtl.step(x, y), pair.emulator.step(x, y)
        assert ours.loss == theirs.loss and ours.cycles
        assert {name: ours.counters[name] for name in theirs.counters} == theirs.counters
    pair.assert_same_memory()
    x, y = samples(network.model, network.batch, 2)
    for trainer in (pair.rtl, pair.emulator):
        trainer.gradients(x, y)
    pair.assert_same_memory()
    for trainer in (pair.rtl, pair.emulator):
        trainer.update()
    pair.assert_same_memory()
    assert pair.rtl.device.flags() == pair.emulator.device.flags()


@pytest.mark.parametrize("config", [DEFAULT, WIDE], ids=lambda config: f"{config.rows}x{config.lanes}")
@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_networks(name: str, config: Config) -> None:
    check(NETWORKS[name], config)


@pytest.mark.full
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_networks_on_other_arrays(name: str, config: str) -> None:
    check(NETWORKS[name], CONFIGS[config])


@pytest.mark.full
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", range(100, 140))
def test_random_networks(seed: int, config: str) -> None:
    print(f"random_network({seed}) on {CONFIGS[config]}")
    check(random_network(seed), CONFIGS[config])
