# amaranth: UnusedElaboratable=no
"""Store unit: checks, order of posts and how far it runs ahead."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.store_unit import StoreUnit

CONFIG = Config(rows=4, lanes=4)


def store(**values: int) -> Instruction:
    base = {"address_low": 0x100, "run": 1, "count1": 1, "count2": 1, "count3": 1}
    return Instruction(Opcode.STORE_1, {**base, **values})


def run(stores: list[Instruction], *, done_at: set[int], cycles: int) -> dict[str, list]:
    dut = StoreUnit(CONFIG, Opcode.STORE_1)
    log: dict[str, list] = {"transfers": [], "posts": [], "errors": [], "busy": []}

    async def issue(ctx):
        for item in stores:
            for name in dut.control.instruction.payload.shape().members:
                ctx.set(dut.control.instruction.payload[name], item[name])
            ctx.set(dut.control.instruction.valid, 1)
            while not (await ctx.tick().sample(dut.control.instruction.ready))[2]:
                pass
            ctx.set(dut.control.instruction.valid, 0)

    async def watch(ctx):
        ctx.set(dut.transfer.ready, 1)
        for cycle in range(cycles):
            ctx.set(dut.done, cycle in done_at)
            if ctx.get(dut.transfer.valid):
                payload = ctx.get(dut.transfer.payload)
                log["transfers"].append((cycle, payload["address"], payload["run"], payload["stride2"]))
            if ctx.get(dut.control.posted):
                log["posts"].append(cycle)
            if ctx.get(dut.control.error):
                log["errors"].append((cycle, ctx.get(dut.control.error_code)))
                ctx.set(dut.control.halt, 1)
            log["busy"].append(ctx.get(dut.control.busy))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(issue, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return log


def test_transfers_go_ahead_and_posts_follow_in_order() -> None:
    stores = [store(address_low=64 * k, address_high=3, run=k + 1, stride2=-32) for k in range(10)]
    log = run(stores, done_at={60, 61, 70, *range(90, 97)}, cycles=110)
    assert [t[1:] for t in log["transfers"]] == [(64 * k | 3 << 32, k + 1, -32) for k in range(10)]
    assert sum(cycle < 60 for cycle, *_ in log["transfers"]) == 8
    assert log["posts"] == [61, 62, 71, *range(91, 98)]
    assert all(log["busy"][4:97]) and not any(log["busy"][98:])


@pytest.mark.parametrize(("values", "code"), [
    ({"run": 0}, ErrorCode.BAD_FIELD), ({"run": 1 << 24}, ErrorCode.BAD_FIELD), ({"count1": 0}, ErrorCode.BAD_FIELD),
    ({"count2": 0}, ErrorCode.BAD_FIELD), ({"count3": 0}, ErrorCode.BAD_FIELD),
    ({"address_high": 1 << 8}, ErrorCode.OUT_OF_WINDOW),
])
def test_errors_wait_for_their_turn_and_stop_what_follows(values: dict[str, int], code: ErrorCode) -> None:
    log = run([store(), store(**values), store()], done_at={30}, cycles=60)
    assert log["errors"] == [(32, code)]
    assert len(log["transfers"]) == 1
    assert log["posts"] == [31]


def test_opcode_is_checked() -> None:
    with pytest.raises(ValueError, match="LOAD_A"):
        StoreUnit(CONFIG, Opcode.LOAD_A)
