# amaranth: UnusedElaboratable=no
"""Issue queue: assembly, semaphores, and where the oldest instruction stands."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.isa import FORMATS, Instruction, Opcode, assemble, lengths
from eftrain_hdl.rtl.issue_queue import IssueQueue


def random_instruction(opcode: Opcode, rng: random.Random) -> Instruction:
    values = {}
    for field in FORMATS[opcode].fields:
        if field.name not in ("opcode", "length"):
            value = rng.getrandbits(field.bits)
            values[field.name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    if rng.random() < 0.5:
        values["wait"] = 0
    return Instruction(opcode, values)


@pytest.mark.parametrize("opcode", [Opcode.LOAD_A, Opcode.COMPUTE, Opcode.VECTOR, Opcode.STORE_0])
def test_instructions_come_out_as_they_went_in(opcode: Opcode) -> None:
    rng = random.Random(int(opcode))
    program = [random_instruction(opcode, rng) for _ in range(6)]
    names = [field.name for field in FORMATS[opcode].fields if field.name not in ("opcode", "length")]
    for _ in range(12):  # some that differ from the one before in few fields: they are short
        other = random_instruction(opcode, rng).values
        changed = rng.sample(names, rng.randint(0, 3))
        program.append(Instruction(opcode, {**program[-1].values, **{name: other[name] for name in changed}}))
    cut = lengths(program)
    assert min(cut) < max(cut[1:]) <= cut[0]
    dut = IssueQueue(opcode)
    seen: list[dict[str, int]] = []
    masks: list[int] = []

    async def feed(ctx):
        words = iter(assemble(program).tolist())
        for index, length in enumerate(cut):
            for word in [1000 + index, *islice(words, length)]:
                while rng.random() < 0.1:
                    await ctx.tick()
                ctx.set(dut.words.payload, word)
                ctx.set(dut.words.valid, 1)
                while not (await ctx.tick().sample(dut.words.ready))[2]:
                    pass
                ctx.set(dut.words.valid, 0)

    async def grant(ctx):
        while True:
            if ctx.get(dut.take):
                masks.append(ctx.get(dut.take_mask))
                await ctx.tick().repeat(rng.randint(1, 5))
                assert ctx.get(dut.take) and not ctx.get(dut.instruction.valid)
                ctx.set(dut.taken, 1)
                await ctx.tick()
                ctx.set(dut.taken, 0)
            else:
                await ctx.tick()

    async def execute(ctx):
        pending = 0
        for _ in range(4000):
            ready = rng.random() < 0.3
            post = pending > 0 and rng.random() < 0.1
            ctx.set(dut.instruction.ready, ready)
            ctx.set(dut.posted, post)
            if ctx.get(dut.instruction.valid):
                assert not ctx.get(dut.empty)
                if ready:
                    payload = ctx.get(dut.instruction.payload)
                    seen.append({name: payload[name] for name in payload.shape().members})
            if pending:
                first = len(seen) - pending - (ctx.get(dut.instruction.valid) and ready)
                assert ctx.get(dut.oldest.index) == 1000 + first
                assert ctx.get(dut.oldest.tag) == program[first]["tag"]
            pending += bool(ctx.get(dut.instruction.valid) and ready) - post
            await ctx.tick()
            if len(seen) == len(program) and not pending:
                break
        await ctx.tick()
        assert ctx.get(dut.empty)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed, background=True)
    simulator.add_testbench(grant, background=True)
    simulator.add_testbench(execute)
    simulator.run()
    assert masks == [item["wait"] for item in program if item["wait"]]
    wanted = [{**item.values, "opcode": int(opcode), "length": length}
              for item, length in zip(program, cut, strict=True)]  # fmt: skip
    assert seen == [{name: one[name] for name in seen[0]} for one in wanted]


def test_depth_holds_eight_instructions_and_halt_presents_nothing() -> None:
    dut = IssueQueue(Opcode.STORE_1)
    words = Instruction(Opcode.STORE_1, {"run": 1}).encode()

    async def testbench(ctx):
        ctx.set(dut.halt, 1)
        accepted = 0
        for _ in range(300):
            ctx.set(dut.words.payload, words[accepted % 11 - 1] if accepted % 11 else 0)
            ctx.set(dut.words.valid, 1)
            accepted += (await ctx.tick().sample(dut.words.ready))[2]
            assert not ctx.get(dut.instruction.valid)
        assert accepted >= 8 * 11
        ctx.set(dut.words.valid, 0)
        ctx.set(dut.halt, 0)
        await ctx.tick()
        assert ctx.get(dut.instruction.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="BARRIER"):
        IssueQueue(Opcode.BARRIER)
    with pytest.raises(ValueError, match="20"):
        IssueQueue(Opcode.LOAD_X, depth=20)
