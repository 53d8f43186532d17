# amaranth: UnusedElaboratable=no
"""Command processor: dispatch in order, barriers, timestamps and every way a program can be wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, FORMATS, Instruction, Opcode, Unit
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.command import QUEUES, CommandProcessor
from eftrain_hdl.rtl.completion import COUNT_BITS, MOST_AHEAD

ADDRESS = 0x12_3456_7840
END = Instruction(Opcode.END, {"tag": 99}).encode()
BARRIER = Instruction(Opcode.BARRIER, {}).encode()


@dataclass
class Result:
    queues: list[list[int]] = field(default_factory=lambda: [[] for _ in QUEUES])
    order: list[int] = field(default_factory=list)
    begun: list[tuple[int, int]] = field(default_factory=list)
    """Index of each instruction to a queue, and the cycle in which it came."""
    transfers: list[tuple[int, int]] = field(default_factory=list)
    error: tuple[int, int, int, int] | None = None
    finished_at: int | None = None
    timestamps: list[int] = field(default_factory=list)
    count: int = 0


def run(words: list[int], *, data_width: int = 64, stall: float = 0.0, busy_after_push: int = 0,
        bytes_: int | None = None, address: int = ADDRESS, cycles: int = 2500,
        heads: Callable[[int], tuple[int, int] | None] = lambda cycle: None) -> Result:
    """Run a program; ``busy_after_push`` is how long the machine stays busy after the last word to a queue.

    ``heads`` says in each cycle which queue holds an instruction that has not started, if any, and its index.
    """
    config = Config(rows=2, lanes=2, data_width=data_width)
    dut = CommandProcessor(config)
    rng = random.Random(len(words))
    result = Result()
    per_beat = data_width // 32
    padded = words + [0] * (-len(words) % per_beat)
    beats = [sum(padded[k + n] << (32 * n) for n in range(per_beat)) for k in range(0, len(padded), per_beat)]

    async def memory(ctx):
        ctx.set(dut.transfer.ready, 1)
        payload, valid = dut.transfer.payload, dut.transfer.valid
        while not (sample := (await ctx.tick().sample(payload, valid))[2:])[1]:
            pass
        result.transfers.append((sample[0]["address"], sample[0]["run"]))
        ctx.set(dut.transfer.ready, 0)
        for index, beat in enumerate(beats):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.data.payload.data, beat)
            ctx.set(dut.data.payload.last, index == len(beats) - 1)
            ctx.set(dut.data.valid, 1)
            while not (await ctx.tick().sample(dut.data.ready))[2]:
                pass
            ctx.set(dut.data.valid, 0)

    async def watch(ctx):
        ctx.set(dut.program_address, address)
        ctx.set(dut.program_bytes, 4 * len(words) if bytes_ is None else bytes_)
        await ctx.tick().repeat(3)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        last_push = -1000
        for cycle in range(cycles):
            ctx.set(dut.cycles, cycle)
            ctx.set(dut.idle, cycle - last_push > busy_after_push)
            held = heads(cycle)
            ctx.set(dut.held, 0 if held is None else 1 << held[0])
            if held is not None:
                ctx.set(dut.head[held[0]], held[1] % (1 << COUNT_BITS))
            for k in range(len(QUEUES)):
                ctx.set(dut.queue[k].ready, rng.random() >= stall)
                if ctx.get(dut.queue[k].valid) and ctx.get(dut.queue[k].ready):
                    result.queues[k].append(ctx.get(dut.queue[k].payload))
                    if ctx.get(dut.origin.index) != (result.begun or [(-1, 0)])[-1][0]:
                        result.begun.append((ctx.get(dut.origin.index), cycle))
                    result.order.append(k)
                    last_push = cycle
            if ctx.get(dut.error):
                result.error = (ctx.get(dut.error_code), ctx.get(dut.error_address),
                                ctx.get(dut.origin.index), ctx.get(dut.origin.tag))
                ctx.set(dut.halt, 1)
            if ctx.get(dut.finished):
                assert result.finished_at is None
                result.finished_at = cycle
            await ctx.tick()
            if not ctx.get(dut.running):
                break
        result.count = ctx.get(dut.timestamp_count)
        for index in range(min(result.count, 512)):
            ctx.set(dut.timestamp_index, index)
            await ctx.tick().repeat(1)
            result.timestamps.append(ctx.get(dut.timestamp_data))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(memory, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return result


def instructions(rng: random.Random, count: int) -> list[Instruction]:
    out = []
    for _ in range(count):
        opcode = rng.choice(QUEUES)
        first = FORMATS[opcode].fields[3 + len(AFTER)]
        after = {name: rng.choice((0, 1, 2, 31, rng.randrange(32))) for name in AFTER.values()}
        out.append(Instruction(opcode, {"tag": rng.getrandbits(16), **after, first.name: 1}))
    return out


def queued(words: list[int], index: int = 0, dispatched: Mapping[Unit, int] = MappingProxyType({})) -> list[int]:
    """What a queue gets for an instruction, when so many instructions of each unit lie before it."""
    wanted = 0
    for k, unit in enumerate(AFTER):
        distance = words[1] >> 5 * k & 31
        count = dispatched.get(unit, 0) - (distance - 1 if distance else 256)
        wanted |= count % (1 << COUNT_BITS) << COUNT_BITS * k
    return [index, words[0], wanted & (1 << 30) - 1, wanted >> 30, *words[2:]]


@pytest.mark.parametrize(("data_width", "stall"), [(32, 0.0), (64, 0.0), (64, 0.4)])
def test_words_reach_their_queues_in_program_order(data_width: int, stall: float) -> None:
    program = instructions(random.Random(data_width), 14)
    words = [word for item in program for word in item.encode()] + END
    result = run(words, data_width=data_width, stall=stall)
    assert result.error is None and result.finished_at is not None
    wanted: list[list[int]] = [[] for _ in QUEUES]
    dispatched = dict.fromkeys(AFTER, 0)
    for index, item in enumerate(program):
        wanted[QUEUES.index(item.opcode)] += queued(item.encode(), index, dispatched)
        dispatched[item.format.unit] += 1
    assert result.queues == wanted
    changes = [k for n, k in enumerate(result.order) if n == 0 or result.order[n - 1] != k]
    kinds = [QUEUES.index(item.opcode) for item in program]
    assert changes == [k for n, k in enumerate(kinds) if n == 0 or kinds[n - 1] != k]
    beats = -(-len(words) * 4 // (data_width // 8))
    assert result.transfers == [(ADDRESS, beats)]
    if not stall:
        assert result.finished_at <= sum(item.format.words + 4 for item in program) + 20


def test_barriers_wait_and_leave_timestamps() -> None:
    store = Instruction(Opcode.STORE_0, {"run": 1}).encode()
    result = run(store + BARRIER + store + BARRIER + BARRIER + END, busy_after_push=100)
    assert result.error is None
    first, second, third, last = result.timestamps
    assert first > 100 and second - first > 100 and third - second < 10 and last - third < 10
    assert result.count == 4 and result.finished_at is not None


def test_log_keeps_the_first_entries_and_counts_all() -> None:
    result = run(BARRIER * 520 + END, cycles=5000)
    assert result.count == 521
    assert len(result.timestamps) == 512 and result.timestamps == sorted(set(result.timestamps))


@pytest.mark.parametrize("length", [2, 3, 10, 19])
def test_short_instructions_pass_as_they_are(length: int) -> None:
    short = [LOAD[0] & ~0xFF00 | length << 8, *LOAD[1:length]]
    result = run(LOAD + short + short + LOAD + END)
    assert result.error is None and result.finished_at is not None
    parts = (LOAD, short, short, LOAD)
    wanted = [queued(words, k, {Unit.LOAD_X: k}) for k, words in enumerate(parts)]
    assert result.queues[0] == [word for words in wanted for word in words]


def test_the_first_instruction_of_an_opcode_is_whole() -> None:
    short = [LOAD[0] & ~0xFF00 | 0x200, LOAD[1]]
    assert run(LOAD + short + END).error is None
    assert run(short + LOAD + END, cycles=150).error == (ErrorCode.BAD_LENGTH, ADDRESS, 0, 7)


def test_nothing_gets_too_far_ahead_of_an_instruction_that_has_not_started() -> None:
    """Counts are compared modulo a power of two."""
    short = [LOAD[0] & ~0xFF00 | 0x200, LOAD[1]]
    words = LOAD + short * (MOST_AHEAD + 20) + END
    free = 4000
    result = run(words, cycles=6000, heads=lambda cycle: (3, 0) if cycle < free else None)
    assert result.error is None and result.finished_at is not None and result.finished_at > free
    indices = [index for index, cycle in result.begun if cycle < free]
    # A few are on their way when the distance is seen.
    assert MOST_AHEAD <= max(indices) + 1 <= MOST_AHEAD + 3


def test_what_lies_behind_end_is_dropped() -> None:
    result = run(END + [0xFFFF_FFFF] * 30)
    assert result.error is None and result.finished_at is not None


LOAD = Instruction(Opcode.LOAD_X, {"tag": 7}).encode()


@pytest.mark.parametrize(("words", "code", "place", "index", "tag"), [
    (LOAD + [0xABCD_0203, 0] + END, ErrorCode.BAD_OPCODE, 80, 1, 0xABCD),
    (LOAD + [0] * 4, ErrorCode.BAD_OPCODE, 80, 1, 0),
    ([LOAD[0] + 0x100, *LOAD[1:], *END], ErrorCode.BAD_LENGTH, 0, 0, 7),
    (BARRIER + [END[0] - 0x100, *END[1:]], ErrorCode.BAD_LENGTH, 8, 1, 99),
    (BARRIER + [BARRIER[0], 1 << 20] + END, ErrorCode.BAD_FIELD, 8, 1, 0),
    ([END[0], 1], ErrorCode.BAD_FIELD, 0, 0, 99),
    (LOAD + LOAD, ErrorCode.BAD_LENGTH, 160, 2, 7),
    (LOAD + LOAD[:6], ErrorCode.BAD_LENGTH, 80, 1, 7),
    ([LOAD[0] - 0x100, *LOAD[1:], *END], ErrorCode.BAD_LENGTH, 0, 0, 7),
    (LOAD + [LOAD[0] & ~0xFF00 | 0x100, *END], ErrorCode.BAD_LENGTH, 80, 1, 7),
    (LOAD + [LOAD[0] & ~0xFF00, *END], ErrorCode.BAD_LENGTH, 80, 1, 7),
    (LOAD + [LOAD[0] + 0x100, *LOAD[1:], 0, *END], ErrorCode.BAD_LENGTH, 80, 1, 7),
    (LOAD + [LOAD[0] & ~0xFFFF | 0x1300 | Opcode.LOAD_A, *LOAD[1:19], *END], ErrorCode.BAD_LENGTH, 80, 1, 7),
    (BARRIER + [BARRIER[0] + 0x100, 0, 0, *END], ErrorCode.BAD_LENGTH, 8, 1, 0),
])
def test_bad_programs(words: list[int], code: ErrorCode, place: int, index: int, tag: int) -> None:
    result = run(words, cycles=150)
    assert result.error == (code, ADDRESS + place, index, tag)
    assert result.finished_at is None
    assert len(result.queues[0]) <= 44


@pytest.mark.parametrize(("bytes_", "address", "code"), [
    (0, ADDRESS, ErrorCode.BAD_LENGTH),
    ((1 << 24) * 8, ADDRESS, ErrorCode.BAD_LENGTH),
    (8, 1 << 40, ErrorCode.OUT_OF_WINDOW),
])
def test_programs_that_cannot_be_fetched(bytes_: int, address: int, code: ErrorCode) -> None:
    result = run(END, bytes_=bytes_, address=address, cycles=50)
    assert result.error == (code, address, 0, 0)
    assert not result.transfers
