# amaranth: UnusedElaboratable=no
"""Semaphores against a dictionary of counts."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.isa import SEMAPHORES
from eftrain_hdl.rtl.semaphores import Semaphores


def simulate(dut: Semaphores, testbench) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()


def test_tokens_are_conserved_and_masks_taken_whole() -> None:
    dut = Semaphores(6)
    rng = random.Random(1)
    balance = [0] * SEMAPHORES
    wanted: list[int | None] = [None] * 6
    served = [0] * 6

    async def testbench(ctx):
        for _ in range(3000):
            for unit in range(6):
                port = dut.port[unit]
                if wanted[unit] is None and rng.random() < 0.5:
                    wanted[unit] = rng.getrandbits(SEMAPHORES) & rng.getrandbits(SEMAPHORES) | 1 << rng.randrange(16)
                ctx.set(port.take, wanted[unit] is not None)
                ctx.set(port.take_mask, wanted[unit] or 0)
                give = rng.getrandbits(SEMAPHORES) & rng.getrandbits(SEMAPHORES) if max(balance) < 200 else 0
                valid = rng.random() < 0.3
                ctx.set(port.give, valid)
                ctx.set(port.give_mask, give)
                if valid:
                    for index in range(SEMAPHORES):
                        balance[index] += give >> index & 1
            await ctx.tick()
            taken = [unit for unit in range(6) if ctx.get(dut.port[unit].taken)]
            assert len(taken) <= 1
            for unit in taken:
                mask = wanted[unit]
                assert mask is not None, "a unit that did not ask was served"
                for index in range(SEMAPHORES):
                    balance[index] -= mask >> index & 1
                assert min(balance) >= 0, "a token was taken that nobody gave"
                served[unit] += 1
                wanted[unit] = None
            assert not ctx.get(dut.error)

    simulate(dut, testbench)
    assert min(served) > 50, "a unit starved"


def test_latency_and_waiting_for_the_last_token() -> None:
    dut = Semaphores(2)

    async def testbench(ctx):
        taker, giver = dut.port
        ctx.set(taker.take, 1)
        ctx.set(taker.take_mask, 0b101)
        ctx.set(giver.give, 1)
        ctx.set(giver.give_mask, 0b001)
        await ctx.tick()
        ctx.set(giver.give, 0)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(taker.taken)
        ctx.set(giver.give, 1)
        ctx.set(giver.give_mask, 0b100)
        await ctx.tick()
        ctx.set(giver.give, 0)
        latency = 1
        while not ctx.get(taker.taken):
            await ctx.tick()
            latency += 1
        assert latency == 4
        # The mask stays up: both tokens are gone, so it is not served again.
        for _ in range(10):
            await ctx.tick()
            assert not ctx.get(taker.taken)

    simulate(dut, testbench)


def test_overflow_is_reported_and_clear_empties() -> None:
    dut = Semaphores(2)

    async def testbench(ctx):
        ctx.set(dut.port[0].give, 1)
        ctx.set(dut.port[0].give_mask, 1 << 9)
        await ctx.tick().repeat(255)
        ctx.set(dut.port[0].give, 0)
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.error)
        ctx.set(dut.port[1].give, 1)
        ctx.set(dut.port[1].give_mask, 1 << 9)
        await ctx.tick()
        ctx.set(dut.port[1].give, 0)
        errors = []
        for _ in range(5):
            errors += [ctx.get(dut.error_semaphore)] * ctx.get(dut.error)
            await ctx.tick()
        assert errors == [9]
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.port[0].take, 1)
        ctx.set(dut.port[0].take_mask, 1 << 9)
        for _ in range(6):
            await ctx.tick()
            assert not ctx.get(dut.port[0].taken)

    simulate(dut, testbench)


@pytest.mark.parametrize("units", [0, -1, 1.5])
def test_number_of_units_is_checked(units) -> None:
    with pytest.raises(ValueError, match=str(units)):
        Semaphores(units)
