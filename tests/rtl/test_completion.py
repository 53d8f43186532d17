# amaranth: UnusedElaboratable=no
"""Counts of completed instructions, and the numbers that keep their comparison from going round."""

from __future__ import annotations

import random

from amaranth.sim import Simulator

from eftrain_hdl.isa import AFTER, FORMATS, HEADER_WORDS, MOST_DISTANCE, Unit, queue_words
from eftrain_hdl.rtl.command import QUEUES
from eftrain_hdl.rtl.completion import COUNT_BITS, MOST_AHEAD, UNITS, CompletionCounters, not_reached
from eftrain_hdl.rtl.issue_queue import IN_FLIGHT


def test_units_are_those_that_have_queues() -> None:
    assert tuple(FORMATS[opcode].unit for opcode in QUEUES) == UNITS == tuple(unit for unit in Unit if unit)


def test_counts_follow_what_is_posted() -> None:
    dut = CompletionCounters()
    rng = random.Random(3)
    counts = [0] * len(UNITS)

    async def testbench(ctx) -> None:
        for cycle in range(3000):
            clear = rng.random() < 0.001
            posted = [rng.random() < 0.9 for _ in UNITS]
            ctx.set(dut.clear, clear)
            for k, one in enumerate(posted):
                ctx.set(dut.posted[k], one)
                counts[k] = 0 if clear else counts[k] + one
            await ctx.tick()
            for count, name in zip(counts, AFTER.values(), strict=True):
                assert ctx.get(dut.completed[name]) == count % (1 << COUNT_BITS), cycle

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert max(counts) > 1 << COUNT_BITS - 1


def test_no_count_gets_half_way_round() -> None:
    """A threshold is at most what a queue and its unit hold ahead of a count, and a count what may be dispatched."""
    least = HEADER_WORDS + 2
    under_way = max(queue_words(opcode) // least for opcode in QUEUES) + 1 + IN_FLIGHT
    half, slack = 1 << COUNT_BITS - 1, 4
    assert under_way < 256
    assert MOST_AHEAD + slack + max(256, MOST_DISTANCE - 1) < half
    assert under_way < half and under_way < MOST_AHEAD


def test_comparison() -> None:
    from amaranth.hdl import Const

    half = 1 << COUNT_BITS - 1
    for count in (0, 1, half, 2 * half - 1):
        for ahead in (0, 1, half - 1):
            for behind, late in ((ahead, False), (-ahead - 1, True)):
                threshold = Const((count - behind) % (2 * half), COUNT_BITS)

                async def check(ctx, count=count, threshold=threshold, late=late) -> None:
                    assert ctx.get(not_reached(Const(count, COUNT_BITS), threshold)) == late

                simulator = Simulator(CompletionCounters())
                simulator.add_clock(1e-8)
                simulator.add_testbench(check)
                simulator.run()
