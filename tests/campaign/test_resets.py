"""A reset in any cycle, soft or by the pin: nothing is written afterwards, and the next step is right."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.registers import REGISTER_MAP
from tests.campaign.harness import CONFIG, Bench, bench, figures
from tests.system.machines import TALL

NETWORK = "relu_and_pool_first"
STEP_CYCLES = 6_000
KINDS = ("soft reset", "reset pin", "soft reset, then the pin", "soft reset of a memory that is slow")
_SOFT = REGISTER_MAP["CONTROL"].pack(soft_reset=1)


class _Left(Exception):
    """Ends the host's wait for a program that still runs."""


def _leave() -> None:
    raise _Left


def inject(one: Bench, seed: int) -> str:
    """A step that is left in a random cycle, the reset, and the recovery."""
    choice, model = random.Random(seed), one.sim.model
    kind = choice.choice(KINDS)
    one.begin()
    if kind == KINDS[3]:
        model.hold_back(seed, ar=0.9, aw=0.9, w=0.9, r=0.9, b=0.9)
    one.sim.script = iter([(choice.randrange(STEP_CYCLES), _leave)])
    left = True
    try:
        one.step()
        left = False
    except _Left:
        pass
    finally:
        one.sim.script = iter(())
    if kind in (KINDS[0], KINDS[2], KINDS[3]):
        model.write32(REGISTER_MAP.offset("CONTROL"), _SOFT)
    if kind == KINDS[2]:
        model.run(choice.randrange(60))
    if kind in (KINDS[1], KINDS[2]):
        model.reset(choice.randint(2, 20))  # the pin needs two cycles
    one.sim.settle()
    assert not one.sim.read_field("STATUS", "busy") and not one.sim.read_field("STATUS", "error")
    memory = model.dram.copy()
    one.assert_confined()
    model.run(2_000)
    assert np.array_equal(model.dram, memory), "memory was written after the reset"
    one.assert_readable()
    model.hold_back(0)
    one.recover()
    return kind if left else f"{kind}, behind the step"


def campaign(seeds: range, config: Config = CONFIG) -> None:
    one, outcomes, wrong = bench(NETWORK, config), Counter[str](), []
    for seed in seeds:
        try:
            outcomes[inject(one, seed)] += 1
        except AssertionError as failure:
            wrong.append(f"seed {seed}: {failure}")
            one.sim.reset()
    figures("resets", config, f"seeds {seeds.start} to {seeds.stop - 1}", outcomes)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert outcomes.total() == len(seeds) and set(outcomes) >= set(KINDS)


def test_resets() -> None:
    campaign(range(20, 32))


@pytest.mark.full
def test_many_resets() -> None:
    campaign(range(1000, 1500))


@pytest.mark.full
def test_many_resets_on_three_ports() -> None:
    campaign(range(5000, 5100), TALL)
