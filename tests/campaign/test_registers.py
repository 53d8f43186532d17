"""Random accesses to all offsets: the answer is the documented one, a program is not disturbed, and nothing hangs."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from eftrain_hdl.registers import REGISTER_MAP, Access, Register
from eftrain_hdl.runtime.verilator import BusError
from tests.campaign.harness import CYCLES, Bench, bench, figures

NETWORK = "relu_and_pool_first"
_SPAN = 1 << REGISTER_MAP.address_width
_WORDS: dict[int, tuple[Register, int]] = {
    register.offset + 4 * word: (register, word) for register in REGISTER_MAP for word in range(register.size // 4)
}
_STEERING = {"CONTROL", "WINDOW_BASE", "WINDOW_LIMIT", "WATCHDOG", "LEARNING_RATE", "WEIGHT_DECAY", "MOMENTUM"}
"""What a running program is meant to obey."""


def access(one: Bench, choice: random.Random, steering: bool) -> str:
    """A read or a write with the answer that the register map promises."""
    offset = choice.choice((choice.randrange(_SPAN), choice.choice(list(_WORDS)) + choice.randrange(4)))
    register, _ = _WORDS.get(offset & ~3, (None, 0))
    model, reading = one.sim.model, choice.random() < 0.5
    if not reading and register is not None and register.name in _STEERING and not steering:
        reading = True
    try:
        if reading:
            model.read32(offset)
        else:
            value = choice.choice((0, 1, 0xFFFF_FFFF, choice.getrandbits(32), 1 << choice.randrange(32)))
            model.write32(offset, value, choice.choice((0xF, choice.randrange(16))))
        answered = True
    except BusError as error:
        assert "SLVERR" in str(error), str(error)
        answered = False
    assert answered == (register is not None and (reading or register.writable)), (
        f"{'read' if reading else 'write'} of {offset:#x}: {'OKAY' if answered else 'SLVERR'}"
    )
    return f"{'reads' if reading else 'writes'} {'answered' if answered else 'refused'}"


def written(one: Bench, choice: random.Random) -> str:
    """A write with strobes, and what the register then reads."""
    offset = choice.choice([
        offset for offset, (register, _) in _WORDS.items()
        if register.name != "CONTROL" and all(item.access is Access.WRITE for item in register.fields)
    ])  # fmt: skip
    register, word = _WORDS[offset]
    value, strobe = choice.getrandbits(32), choice.randrange(16)
    before = one.sim.read32(offset)
    one.sim.model.write32(offset, value, strobe)
    mask = sum(0xFF << 8 * k for k in range(4) if strobe >> k & 1)
    mask &= sum(item.mask for item in register.fields) >> 32 * word
    assert one.sim.read32(offset) == before & ~mask | value & mask, f"{register.name}, strobe {strobe:#x}"
    return "writes read back"


def running(one: Bench, choice: random.Random, steering: bool, outcomes: Counter[str]) -> None:
    """Accesses while a program runs."""
    name = choice.choice(("forward", "backward_update"))
    model, program = one.sim.model, one.plan.programs[name]
    one.sim.reset()
    model.dram[:] = one.before[name]
    one.sim.write_register("PROGRAM_ADDRESS", program.address)
    one.sim.write_register("PROGRAM_BYTES", program.nbytes)
    one.sim.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(start=1))
    begun = model.cycles
    while one.sim.read_field("STATUS", "busy"):
        outcomes[access(one, choice, steering)] += 1
        model.run(choice.randrange(40))
        if steering and choice.random() < 0.02:
            break
        assert model.cycles - begun < CYCLES, "the program does not end"
    if steering:
        outcomes["steered programs"] += 1
        return
    assert not one.sim.read_field("STATUS", "error"), "the program was stopped"
    places = np.flatnonzero(model.dram != one.after[name])
    assert not len(places), f"{len(places)} bytes differ, the first at {places[0]:#x}"
    outcomes["programs undisturbed"] += 1


def campaign(seeds: range) -> None:
    one, outcomes, wrong = bench(NETWORK), Counter[str](), []
    for seed in seeds:
        choice = random.Random(seed)
        one.begin()
        try:
            if seed % 3 == 0:
                for _ in range(100):
                    outcomes[written(one, choice)] += 1
                    outcomes[access(one, choice, True)] += 1
            else:
                running(one, choice, seed % 3 == 1, outcomes)
            one.assert_readable()
        except AssertionError as failure:
            wrong.append(f"seed {seed}: {failure}")
        # A program that was started at random may have written anywhere in the window.
        one.begin()
        one.recover()
    figures("registers", one.config, f"seeds {seeds.start} to {seeds.stop - 1}", outcomes)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert outcomes["programs undisturbed"] + outcomes["steered programs"] == len(seeds) * 2 // 3
    assert outcomes["writes read back"] == 100 * len(seeds) // 3


def test_registers() -> None:
    campaign(range(6))


@pytest.mark.full
def test_many_register_accesses() -> None:
    campaign(range(1000, 1300))
