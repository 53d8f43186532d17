"""An error response at any beat of a step stops the machine, is blamed on the right place, and leaves it usable."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.errors import DeviceError
from tests.campaign.harness import CONFIG, Bench, bench, figures
from tests.system.machines import TALL

NETWORK = "relu_and_pool_first"
RESPONSES = {2: "SLVERR", 3: "DECERR"}
_BURST = {Unit.COMMAND: 16 * 16}
"""Bytes of a burst; the others follow the register."""


def beyond_end(one: Bench) -> set[int]:
    """Beats of the programs that hold nothing but what fills them up behind END: fetched, but never needed."""
    beat, found = one.config.beat_bytes, set()
    for name in ("forward", "backward_update"):
        program = one.plan.programs[name]
        used = int(np.flatnonzero(program.words & 0xFF == Opcode.END)[-1] + 2) * 4
        found |= set(range(program.address + -(-used // beat) * beat, program.address + program.nbytes, beat))
    return found


def inject(one: Bench, address: int, direction: str, response: int) -> str:
    """A step during which one beat is answered with an error, and the recovery. Returns what the machine said."""
    users = {unit for (unit, way), beats in one.traffic.items() if way == direction and address in beats}
    one.begin()
    one.sim.model.add_fault(address, direction, response)  # type: ignore[arg-type]
    error = None
    try:
        one.step()
    except DeviceError as caught:
        error = caught
    one.sim.model.clear_faults()
    one.assert_readable()
    one.assert_confined()
    if error is None:
        assert address in beyond_end(one), "the error was not noticed"
        return "unused words behind END, not noticed"
    expected = ErrorCode.READ_RESPONSE if direction == "read" else ErrorCode.WRITE_RESPONSE
    assert error.code is expected and error.unit in users, str(error)
    assert error.address <= address < error.address + _BURST.get(error.unit, 128), str(error)
    one.recover()
    return f"{error.code.name} in {error.unit.name}"


def campaign(seed: int, number: int | None, config: Config = CONFIG) -> None:
    """All beats of a step, or ``number`` of them, each with one of both responses."""
    one, choice = bench(NETWORK, config), random.Random(seed)
    every = {
        (int(address), direction) for (_, direction), beats in one.traffic.items() for address in beats
    }  # fmt: skip
    places = sorted(every)
    if number is not None:
        ends = {(int(beats[k]), way) for (_, way), beats in one.traffic.items() for k in (0, -1)}
        places = sorted(ends | set(choice.sample(places, number - len(ends))))
    outcomes, wrong = Counter[str](), []
    for address, direction in places:
        response = choice.choice((2, 3))
        try:
            outcomes[inject(one, address, direction, response)] += 1
        except AssertionError as failure:
            one.recover()
            wrong.append(f"{RESPONSES[response]} to a {direction} of {address:#x}: {failure}")
    figures("bus errors", config, f"seed {seed}, {len(places)} of {len(every)} beats of a step", outcomes)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert outcomes.total() == len(places) > 10
    stopped = {outcome.split(" in ")[-1] for outcome in outcomes}
    assert {unit.name for unit, _ in one.traffic} <= stopped


def test_bus_errors() -> None:
    campaign(1, 16)


@pytest.mark.full
def test_a_bus_error_at_every_beat() -> None:
    campaign(2, None)


@pytest.mark.full
def test_bus_errors_on_three_ports() -> None:
    campaign(3, 500, TALL)
