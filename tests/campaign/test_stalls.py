"""A memory that answers late, at any beat, changes no bit of a step; one that stops answering ends in WATCHDOG."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.runtime.errors import DeviceError
from tests.campaign.harness import CONFIG, WATCHDOG, Bench, bench, figures
from tests.system.machines import TALL

NETWORK = "relu_and_pool_first"
STEP_CYCLES = 6_000
"""About what a step of the network takes with a quick memory."""
KINDS = ("gaps", "pauses", "for ever")
_ANSWERS = 300
"""Cycles in which the memory surely answers something."""
_ENDS_WITHIN = 200
"""Cycles that the machine may need beyond the watchdog's."""


def gaps(one: Bench, choice: random.Random) -> Iterator[tuple[int, Callable[[], None]]]:
    """Each channel is held back in random cycles, some often."""
    chances = {channel: choice.choice((0, 0.1, 0.5, 0.9)) for channel in ("ar", "aw", "w", "r", "b")}
    one.sim.model.hold_back(choice.getrandbits(64), **chances)
    return iter(())


def pauses(one: Bench, choice: random.Random) -> Iterator[tuple[int, Callable[[], None]]]:
    """Reads, writes or both stand still: often and shortly, or for half of what the watchdog allows."""
    model, long = one.sim.model, choice.random() < 0.5
    for _ in range(choice.randint(1, 40)):
        reads, writes = choice.choice(((True, False), (False, True), (True, True)))
        answers = choice.randrange(_ANSWERS, 2 * _ANSWERS) if long else choice.randrange(1, 400)
        yield answers, lambda r=reads, w=writes: model.stall_memory(reads=r, writes=w)
        longest = WATCHDOG // 2 if long else choice.choice((8, 60))
        yield choice.randrange(1, longest), lambda: model.stall_memory(reads=False, writes=False)


def quiet_for_ever(one: Bench, choice: random.Random) -> tuple[str, bool]:
    """The outcome, and whether the memory answers again before the reset."""
    model, stopped = one.sim.model, []
    reads, writes = choice.choice(((True, False), (False, True), (True, True)))

    def stop() -> None:
        model.stall_memory(reads=reads, writes=writes)
        stopped.append(model.cycles)

    one.sim.script = iter([(choice.randrange(STEP_CYCLES), stop)])
    try:
        one.step()
    except DeviceError as error:
        assert error.code is ErrorCode.WATCHDOG, str(error)
        # What was under way goes on until it needs the memory; no part of a step lasts as long as a step.
        assert model.cycles - stopped[0] < STEP_CYCLES + WATCHDOG + _ENDS_WITHIN
        one.assert_readable()
        one.assert_confined()
        if choice.random() < 0.5:
            model.stall_memory(reads=False, writes=False)
        one.recover()
        return "for ever: WATCHDOG, recovered"
    finally:
        one.sim.script = iter(())
        model.stall_memory(reads=False, writes=False)
    assert np.array_equal(model.dram, one.after["backward_update"])
    return "for ever, but nothing was left to do: same memory"


def inject(one: Bench, seed: int) -> str:
    choice = random.Random(seed)
    kind = choice.choice(KINDS)
    one.begin()
    if kind == "for ever":
        return quiet_for_ever(one, choice)
    try:
        one.sim.script = (gaps if kind == "gaps" else pauses)(one, choice)
        one.step()
    finally:
        one.sim.script = iter(())
        one.sim.model.hold_back(0)
        one.sim.model.stall_memory(reads=False, writes=False)
    assert one.sim.model.protocol_error is None
    places = np.flatnonzero(one.sim.model.dram != one.after["backward_update"])
    assert not len(places), f"{len(places)} bytes differ, the first at {places[0]:#x}"
    return f"{kind}: same memory"


def campaign(seeds: range, config: Config = CONFIG) -> None:
    one, outcomes, wrong = bench(NETWORK, config), Counter[str](), []
    for seed in seeds:
        try:
            outcomes[inject(one, seed)] += 1
        except (AssertionError, DeviceError) as failure:
            wrong.append(f"seed {seed}: {failure!r}")
            one.sim.reset()
    figures("stalls", config, f"seeds {seeds.start} to {seeds.stop - 1}", outcomes)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert outcomes.total() == len(seeds)
    assert {outcome.split(":")[0] for outcome in outcomes} >= set(KINDS)


def test_stalls() -> None:
    campaign(range(8))


@pytest.mark.full
def test_many_stalls() -> None:
    campaign(range(1000, 1400))


@pytest.mark.full
def test_many_stalls_on_three_ports() -> None:
    campaign(range(5000, 5100), TALL)
