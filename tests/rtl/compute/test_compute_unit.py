"""COMPUTE on the gateware against the emulator, in Amaranth's simulator: small arrays, random nests of every form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from amaranth.sim import Simulator

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode, Target, disassemble, steps
from eftrain_hdl.numerics import BF16, round_to_format
from eftrain_hdl.rtl.compute import ComputeUnit
from eftrain_hdl.rtl.layouts import DrainRead
from eftrain_hdl.runtime.emulator.compute import compute, plan_compute
from eftrain_hdl.runtime.emulator.state import State

SIZES = {
    "square": Config(rows=4, lanes=4, streaming_depth=64, stationary_depth=64, accumulator_depth=64, operand_depth=64),
    "wide": Config(rows=2, lanes=8, streaming_depth=64, stationary_depth=64, accumulator_depth=64, operand_depth=64),
    "tall": Config(rows=8, lanes=4, streaming_depth=64, stationary_depth=64, accumulator_depth=64, operand_depth=64),
    "bf16": Config(
        rows=4, lanes=4, operand=BF16, streaming_depth=64, stationary_depth=64, accumulator_depth=64, operand_depth=64
    ),
}


def nest(prefix: str, counts: list[int], **quantities: list[int]) -> dict[str, int]:
    """Fields of a nest from counts and strides, innermost level first; missing levels have count 1."""
    levels = {"b": 4, "s": 4, "l": 3}[prefix]
    counts = counts + [1] * (levels - len(counts))
    out = {f"{prefix}{k}_count": n for k, n in enumerate(counts[:2] if prefix == "l" else counts)}
    for name, stride in quantities.items():
        padded = stride + [0] * (levels - len(stride))
        out |= {f"{prefix}{k}_{name}": value for k, value in enumerate(steps(counts, padded))}
    return out


def channel_vectors(rng: np.random.Generator, config: Config) -> Instruction:
    """FP or BP of a convolution: blocks over taps and tiles, a stream over row and column, with masked borders."""
    kernel, channels, width, height = (int(rng.integers(1, high)) for high in (4, 3, 5, 4))
    blocks = [kernel, kernel, channels, int(rng.integers(1, 3))]
    lanes = config.lanes
    pad = int(rng.integers(0, kernel))
    transposed = int(rng.integers(2))
    return Instruction(
        Opcode.COMPUTE,
        {
            "transposed": transposed,
            "init": int(rng.integers(2)),
            "bank": int(rng.integers(config.accumulator_banks)),
            "a_rows": int(rng.integers(1, config.rows + 1)),
            "a_base": int(rng.integers(16)),
            "a_tile": 5,
            "a_lane": int(rng.integers(lanes)) if transposed else 0,
            "v_base": -pad * (width + 1),
            "row_base": -pad,
            "col_base": -pad,
            "acc_base": 3,
            "row_limit": height + kernel - 1 - pad,
            "col_limit": width + kernel - 1 - pad,
            "lanes_total": lanes,
            **nest(
                "b",
                blocks,
                a=[1, 3, 7, 11],
                v=[1, width, 9, 0],
                row=[0, 1, 0, 0],
                col=[1, 0, 0, 0],
                acc=[0, 0, 0, width * height],
            ),
            **nest("s", [width, height], v=[1, width], row=[0, 1], col=[1, 0], acc=[1, width]),
            **nest("l", [1, 1], v=[0, 0, 0], row=[0, 0, 0], col=[0, 0, 0]),
        },
    )


def pixel_vectors(rng: np.random.Generator, config: Config) -> Instruction:
    """A weight gradient: stationary pixels, streams over taps and channels, with the vector of ones."""
    lanes = config.lanes
    width, height, images = (int(rng.integers(1, high)) for high in (6, 4, 3))
    kernel = int(rng.integers(1, 3))
    pitch = width + lanes * int(rng.integers(0, 2))
    image = height * pitch + (height * width - height * pitch) % lanes
    pixels = width * height * images
    channels = int(rng.integers(1, lanes + 1))
    blocks = -(-pixels // lanes)
    words = channels * kernel * kernel
    return Instruction(
        Opcode.COMPUTE,
        {
            "transposed": 1,
            "init": 1,
            "lanes_per_block": 1,
            "ones": int(rng.integers(config.accumulator_banks)),
            "bank": 1,
            "a_rows": config.rows,
            "a_base": 2,
            "a_tile": 9,
            "v_base": 4,
            "row_base": -1,
            "col_base": 0,
            "row_limit": height,
            "col_limit": width,
            "lanes_total": pixels,
            "ones_acc": words,
            **nest("b", [blocks, 1, 1, 1], a=[lanes]),
            **nest(
                "s",
                [channels, kernel, kernel],
                v=[0, 1, pitch],
                row=[0, 0, 1],
                col=[0, 1, 0],
                lane=[1, 0, 0],
                acc=[1, channels, channels * kernel],
            ),
            **nest("l", [width, height], v=[1, pitch, image], row=[0, 1, 0], col=[1, 0, 0]),
        },
    )


def planar_taps(rng: np.random.Generator, config: Config) -> Instruction:
    """A first layer's FP: lanes are (channel, tap) of a planar image."""
    lanes = config.lanes
    taps = int(rng.integers(1, min(3, lanes) + 1))
    channels = int(rng.integers(1, lanes // taps + 1))
    width, height, kernel = 3, 2, 2
    plane = 16 * lanes // 2 + taps
    return Instruction(
        Opcode.COMPUTE,
        {
            "transposed": 1,
            "planar": 1,
            "init": 1,
            "a_rows": config.rows,
            "v_base": 1,
            "row_base": -1,
            "col_base": -1,
            "row_limit": height,
            "col_limit": width,
            "lanes_total": taps * channels,
            "a_base": 1,
            "a_tile": 3,
            **nest("b", [kernel, 1, 1, 1], a=[lanes], v=[8], row=[1]),
            **nest("s", [width, height], v=[1, 8], col=[1, 0], row=[0, 1], acc=[1, width]),
            **nest("l", [taps, channels], v=[1, plane, 0], col=[1, 0, 0]),
        },
    )


def normalised(instruction: Instruction) -> Instruction:
    """As the hardware sees it: every field present."""
    end = Instruction(Opcode.END, {})
    words = instruction.encode() + end.encode()
    return disassemble(np.array(words, np.uint32))[0]


def simulate(
    config: Config, streaming: np.ndarray, stationary: np.ndarray, program: list[Instruction]
) -> tuple[np.ndarray, int, list[int]]:
    """Fill the buffers, run, drain. Returns accumulators [banks, depth, rows] as bits, and cycles."""
    dut = ComputeUnit(config)
    result = np.zeros((config.accumulator_banks, config.accumulator_depth, config.rows), np.uint32)
    posted = 0
    spent = 0

    async def fill(ctx, port, target, vectors):
        words = config.vector_lanes
        for address, vector in enumerate(vectors.view(np.uint32)):
            for lane in range(0, config.lanes, words):
                ctx.set(port.en, 1)
                ctx.set(port.target, target)
                ctx.set(port.address, address)
                ctx.set(port.lane, lane)
                for w in range(words):
                    ctx.set(port.data[w], int(vector[lane + w]))
                await ctx.tick()
        ctx.set(port.en, 0)

    async def testbench(ctx):
        nonlocal spent, posted
        await fill(ctx, dut.write_x, Target.STREAMING, streaming)
        await fill(ctx, dut.write_a, Target.STATIONARY, stationary)
        for _ in range(8):
            await ctx.tick()
        stream = dut.control.instruction
        at = 0
        while posted < len(program):
            if at < len(program):
                ctx.set(stream.payload, {name: program[at][name] for name in stream.payload.shape().members})
                ctx.set(stream.valid, 1)
            taken = ctx.get(stream.valid) and ctx.get(stream.ready)
            posted += ctx.get(dut.control.posted)
            assert not ctx.get(dut.control.error), (
                ctx.get(dut.control.error_code),
                ctx.get(dut.control.error_address),
                at,
            )
            await ctx.tick()
            if taken:
                at += 1
                ctx.set(stream.valid, 0)
            spent += 1
            assert spent < 20000, "no end"
        await ctx.tick()
        assert ctx.get(dut.drain.bank_busy) == 0 and not ctx.get(dut.control.busy)
        reads = [
            (b, w, g)
            for b in range(config.accumulator_banks)
            for w in range(config.accumulator_depth)
            for g in range(config.rows // config.vector_lanes)
        ]
        for k in range(len(reads) + DrainRead.LATENCY):
            if k >= DrainRead.LATENCY:
                bank, word, group = reads[k - DrainRead.LATENCY]
                for w in range(config.vector_lanes):
                    result[bank, word, group * config.vector_lanes + w] = ctx.get(dut.drain.data[w])
            if k < len(reads):
                ctx.set(dut.drain.en, 1)
                ctx.set(dut.drain.bank, reads[k][0])
                ctx.set(dut.drain.address, reads[k][1])
                ctx.set(dut.drain.group, reads[k][2])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return result, spent


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_against_emulator(size: str, seed: int) -> None:
    config = SIZES[size]
    rng = np.random.default_rng(1000 + seed)
    print(f"seed {1000 + seed}")
    forms = [channel_vectors, pixel_vectors, planar_taps, channel_vectors, channel_vectors]
    program = [form(rng, config) for form in forms]
    for before, instruction in pairwise(list(program)):
        instruction.values["chained"] = int(before["bank"] != instruction["bank"])
    # Once more, right behind itself.
    program += [Instruction(Opcode.COMPUTE, {**one.values, "chained": 1}) for one in (program[-1], program[-1])]
    program = [normalised(instruction) for instruction in program]
    streaming = rng.standard_normal((config.streaming_depth, config.lanes)).astype(np.float32)
    stationary = rng.standard_normal((config.stationary_depth, config.lanes)).astype(np.float32)
    stationary[3, 0] = 1e-40

    state = State(config, 64, 0)
    for memory, vectors in ((state.streaming, streaming), (state.stationary, stationary)):
        rounded = round_to_format(vectors, config.operand)
        for v in range(len(vectors)):
            for lane in range(config.lanes):
                memory[v * config.lanes + (lane + v) % config.lanes] = rounded[v, lane]
    for instruction in program:
        compute(state, plan_compute(state, instruction))

    result, _ = simulate(config, streaming, stationary, program)
    np.testing.assert_array_equal(result, state.accumulators.view(np.uint32))


def test_blocks_follow_without_gap() -> None:
    """A stream as long as the array is tall hides the loading of the next block completely; a chained instruction costs
    one cycle.
    """
    config = Config(rows=16, lanes=4, streaming_depth=64, stationary_depth=64, accumulator_depth=64, operand_depth=64)
    blocks = 12
    instruction = normalised(
        Instruction(
            Opcode.COMPUTE,
            {
                "a_rows": 16,
                "row_limit": 1,
                "col_limit": 16,
                "lanes_total": 4,
                "init": 1,
                **nest("b", [blocks], a=[1]),
                **nest("s", [16], v=[1], col=[1], acc=[1]),
                **nest("l", [1, 1]),
            },
        )
    )
    zeros = np.zeros((64, 4), np.float32)
    unit = ComputeUnit(config)
    _, spent = simulate(config, zeros, zeros, [instruction])
    assert spent < 16 * blocks + unit.latency + 16 + 20
    chained = normalised(Instruction(Opcode.COMPUTE, {**instruction.values, "chained": 1}))
    _, twice = simulate(config, zeros, zeros, [instruction, chained])
    assert twice == spent + 16 * blocks + 1
