# amaranth: UnusedElaboratable=no
"""Issue queue: assembly, what instructions wait for, and where the oldest one stands."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.isa import AFTER, FORMATS, HEADER_WORDS, Instruction, Opcode, assemble, lengths
from eftrain_hdl.rtl.completion import COUNT_BITS
from eftrain_hdl.rtl.issue_queue import IssueQueue

NAMES = list(AFTER.values())
HALF = 1 << COUNT_BITS - 1


def random_instruction(opcode: Opcode, rng: random.Random) -> Instruction:
    values = {}
    for field in FORMATS[opcode].fields:
        if field.name not in ("opcode", "length"):
            value = rng.getrandbits(field.bits)
            values[field.name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    return Instruction(opcode, values)


def queued(index: int, words: list[int], wanted: list[int]) -> list[int]:
    """What the command processor sends for an instruction: thresholds instead of its second word."""
    low, high = (sum(count << COUNT_BITS * k for k, count in enumerate(wanted[first : first + 3])) for first in (0, 3))
    return [index, words[0], low, high, *words[HEADER_WORDS:]]


@pytest.mark.parametrize("opcode", [Opcode.LOAD_A, Opcode.COMPUTE, Opcode.VECTOR, Opcode.STORE_0])
def test_instructions_come_out_as_they_went_in_and_not_too_soon(opcode: Opcode) -> None:
    rng = random.Random(int(opcode))
    program = [random_instruction(opcode, rng) for _ in range(6)]
    names = [field.name for field in FORMATS[opcode].fields if field.name not in ("opcode", "length")]
    for _ in range(20):  # some that differ from the one before in few fields: they are short
        other = random_instruction(opcode, rng).values
        changed = rng.sample(names, rng.randint(0, 3))
        program.append(Instruction(opcode, {**program[-1].values, **{name: other[name] for name in changed}}))
    program.append(program[-1])
    cut = lengths(program)
    assert HEADER_WORDS == min(cut) < max(cut[1:]) <= cut[0]
    # Counts that other units reach while the program runs, from one that is about to wrap.
    first = (1 << COUNT_BITS) - 20
    wanted = [[(first + k // 2 + rng.randint(-HALF // 2, 6)) % (1 << COUNT_BITS) for _ in NAMES]
              for k in range(len(program))]  # fmt: skip
    dut = IssueQueue(opcode)
    seen: list[dict[str, int]] = []
    waited = [0]

    async def feed(ctx):
        words = iter(assemble(program).tolist())
        for index, length in enumerate(cut):
            for word in queued(1000 + index, list(islice(words, length)), wanted[index]):
                while rng.random() < 0.1:
                    await ctx.tick()
                ctx.set(dut.words.payload, word)
                ctx.set(dut.words.valid, 1)
                while not (await ctx.tick().sample(dut.words.ready))[2]:
                    pass
                ctx.set(dut.words.valid, 0)

    async def execute(ctx):
        pending = 0
        counts = [first] * len(NAMES)
        for _ in range(20000):
            for k, name in enumerate(NAMES):
                counts[k] += len(seen) // 2 + 7 > counts[k] - first and rng.random() < 0.01
                ctx.set(dut.completed[name], counts[k] % (1 << COUNT_BITS))
            ready = rng.random() < 0.3
            post = pending > 0 and rng.random() < 0.1
            ctx.set(dut.instruction.ready, ready)
            ctx.set(dut.posted, post)
            if ctx.get(dut.instruction.valid):
                assert not ctx.get(dut.empty) and not ctx.get(dut.waiting) and not ctx.get(dut.missing)
                late = [(count - want) % (1 << COUNT_BITS) >= HALF
                        for count, want in zip(counts, wanted[len(seen)], strict=True)]  # fmt: skip
                assert not any(late), f"instruction {len(seen)} does not wait"
                if ready:
                    payload = ctx.get(dut.instruction.payload)
                    seen.append({name: payload[name] for name in payload.shape().members})
            elif ctx.get(dut.waiting):
                waited[0] += 1
                assert ctx.get(dut.missing) and ctx.get(dut.held)
                assert ctx.get(dut.head) == (1000 + len(seen)) % (1 << COUNT_BITS)
            if pending:
                oldest = len(seen) - pending - (ctx.get(dut.instruction.valid) and ready)
                assert ctx.get(dut.oldest.index) == 1000 + oldest
                assert ctx.get(dut.oldest.tag) == program[oldest]["tag"]
            pending += bool(ctx.get(dut.instruction.valid) and ready) - post
            await ctx.tick()
            if len(seen) == len(program) and not pending:
                break
        await ctx.tick()
        assert ctx.get(dut.empty) and not ctx.get(dut.held)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed, background=True)
    simulator.add_testbench(execute)
    simulator.run()
    assert waited[0] > 50
    members = [{**item.values, "opcode": int(opcode), "length": length}
               for item, length in zip(program, cut, strict=True)]  # fmt: skip
    assert seen == [{name: one[name] for name in seen[0]} for one in members]


@pytest.mark.parametrize("late", range(8))
def test_the_shortest_instruction_waits_too(late: int) -> None:
    """Its thresholds are the last words that come."""
    dut = IssueQueue(Opcode.STORE_1)
    whole = Instruction(Opcode.STORE_1, {"run": 1}).encode()
    short = [whole[0] & ~0xFF00 | HEADER_WORDS << 8, 0]
    words = [*queued(0, whole, [0] * 6), *queued(1, short, [0, 0, 1, 0, 0, 0])]
    valid: list[int] = []

    async def feed(ctx):
        ctx.set(dut.instruction.ready, 1)
        for word in words:
            ctx.set(dut.words.payload, word)
            ctx.set(dut.words.valid, 1)
            await ctx.tick()
        ctx.set(dut.words.valid, 0)

    async def watch(ctx):
        for cycle in range(len(words) + 20):
            if cycle == len(words) + late:
                ctx.set(dut.completed["after_compute"], 1)
            await ctx.tick()
            if ctx.get(dut.instruction.valid):
                valid.append(cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    assert len(valid) == 2 and valid[1] >= len(words) + late


def test_depth_holds_eight_instructions_and_halt_presents_nothing() -> None:
    dut = IssueQueue(Opcode.STORE_1)
    words = queued(0, Instruction(Opcode.STORE_1, {"run": 1}).encode(), [0] * 6)

    async def testbench(ctx):
        ctx.set(dut.halt, 1)
        accepted = 0
        for _ in range(300):
            ctx.set(dut.words.payload, words[accepted % len(words)])
            ctx.set(dut.words.valid, 1)
            accepted += (await ctx.tick().sample(dut.words.ready))[2]
            assert not ctx.get(dut.instruction.valid)
        assert accepted >= 8 * len(words)
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
    with pytest.raises(ValueError, match="22"):
        IssueQueue(Opcode.LOAD_X, depth=21)
