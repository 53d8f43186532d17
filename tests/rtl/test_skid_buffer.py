# amaranth: UnusedElaboratable=no
"""The skid buffer: nothing lost or doubled, no gap, and a ready signal that no port moves within a cycle."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.rtl.skid_buffer import SkidBuffer


@pytest.mark.parametrize("offers, takes", [(1.0, 1.0), (1.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.9, 0.1)])
def test_elements_come_out_once_and_in_order(offers: float, takes: float) -> None:
    dut = SkidBuffer(16)
    rng = random.Random(f"{offers} {takes}")
    sent: list[int] = []
    seen: list[int] = []
    waiting = [0]

    async def testbench(ctx) -> None:
        offered = False
        for _ in range(2000):
            offered = offered or rng.random() < offers
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, len(sent) if offered else rng.getrandbits(16))
            ready = ctx.get(dut.i.ready)
            took = rng.random() < takes
            ctx.set(dut.o.ready, took)
            assert ctx.get(dut.i.ready) == ready == (len(sent) == len(seen)), "ready is no register"
            assert ctx.get(dut.o.valid) == (offered or not ready), "an element waits that could pass"
            if ctx.get(dut.o.valid) and took:
                seen.append(ctx.get(dut.o.payload))
            if offered and ready:
                sent.append(len(sent))
                offered = False
            waiting.append(len(sent) - len(seen))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen == list(range(len(seen))) and len(seen) > 100
    assert set(waiting) == ({0} if takes == 1 else {0, 1})
