# amaranth: UnusedElaboratable=no
"""Watchdog, error collection and soft reset, cycle by cycle."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.error_collector import ErrorCollector
from eftrain_hdl.rtl.supervisor import Supervisor
from eftrain_hdl.rtl.watchdog import Watchdog


def simulate(dut, testbench) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_watchdog_counts_cycles_without_progress(limit: int) -> None:
    dut = Watchdog()
    expired: list[int] = []

    async def testbench(ctx):
        ctx.set(dut.limit, limit)
        ctx.set(dut.running, 1)
        # One silent cycle less than the limit is allowed, again and again.
        moves = list(range(0, 5 * limit, limit))
        for cycle in range(moves[-1] + 2 * limit + 6):
            ctx.set(dut.progress, cycle in moves)
            if ctx.get(dut.expired):
                expired.append(cycle)
                break
            await ctx.tick()
        assert expired == [moves[-1] + limit + 3]

    simulate(dut, testbench)


def test_watchdog_off_or_idle() -> None:
    dut = Watchdog()

    async def testbench(ctx):
        for limit, running in ((0, 1), (5, 0)):
            ctx.set(dut.limit, limit)
            ctx.set(dut.running, running)
            for _ in range(40):
                await ctx.tick()
                assert not ctx.get(dut.expired)

    simulate(dut, testbench)


SOURCES = (*Unit, *Unit)


def test_first_error_wins_and_stays() -> None:
    dut = ErrorCollector(SOURCES)

    async def testbench(ctx):
        for unit in Unit:
            ctx.set(dut.origin[unit].index, 100 + unit)
            ctx.set(dut.origin[unit].tag, 200 + unit)
        for k in range(len(SOURCES)):
            ctx.set(dut.source[k].code, k + 1)
            ctx.set(dut.source[k].address, 0xFFFF_0000_0000 + k)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.error) and not ctx.get(dut.halt)
        late, first, second = Unit.COMMAND, Unit.VECTOR, Unit.STORE_1 + len(Unit)
        ctx.set(dut.source[first].error, 1)
        ctx.set(dut.source[second].error, 1)
        await ctx.tick()
        assert ctx.get(dut.halt) and not ctx.get(dut.error)
        ctx.set(dut.source[first].error, 0)
        ctx.set(dut.source[late].error, 1)
        await ctx.tick()
        for _ in range(5):
            assert ctx.get(dut.error) and ctx.get(dut.halt)
            assert ctx.get(dut.unit) == Unit.VECTOR and ctx.get(dut.code) == Unit.VECTOR + 1
            assert ctx.get(dut.address) == 0xFFFF_0000_0000 + Unit.VECTOR
            assert (ctx.get(dut.instruction.index), ctx.get(dut.instruction.tag)) == (104, 204)
            await ctx.tick()

    simulate(dut, testbench)


def test_second_source_of_a_unit() -> None:
    dut = ErrorCollector(SOURCES)

    async def testbench(ctx):
        k = len(Unit) + Unit.LOAD_A
        ctx.set(dut.source[k].code, 77)
        ctx.set(dut.source[k].error, 1)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.unit), ctx.get(dut.code)) == (Unit.LOAD_A, 77)

    simulate(dut, testbench)


def test_every_unit_needs_a_source() -> None:
    with pytest.raises(ValueError, match="LOAD_X"):
        ErrorCollector((Unit.COMMAND, Unit.LOAD_A))


def test_soft_reset_waits_until_the_buses_are_quiet() -> None:
    dut = Supervisor()

    async def testbench(ctx):
        ctx.set(dut.quiet, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.stop) and not ctx.get(dut.halted)
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        ctx.set(dut.soft_reset, 0)
        assert ctx.get(dut.resetting) and ctx.get(dut.stop)
        for k in range(60):
            # A burst that starts late, while the halt is still on its way to its DMA.
            ctx.set(dut.quiet, not 3 <= k < 40)
            await ctx.tick()
            assert not ctx.get(dut.core_reset) or k > 40
        for _ in range(30):
            await ctx.tick()
        assert not ctx.get(dut.resetting) and not ctx.get(dut.core_reset) and not ctx.get(dut.stop)

    simulate(dut, testbench)


def test_halted_after_an_error() -> None:
    dut = Supervisor()

    async def testbench(ctx):
        ctx.set(dut.error, 1)
        for _ in range(30):
            await ctx.tick()
            assert not ctx.get(dut.halted)
        ctx.set(dut.quiet, 1)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.halted)

    simulate(dut, testbench)
