"""Corners of the contract in ``docs/execution.md``, on the RTL and on the emulator."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from eftrain_hdl.isa import Instruction, Opcode, Target
from eftrain_hdl.planner.dram import MemoryModel
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.sim import SimDevice
from tests.runtime.programs import compute, end, lane_nest, nest, run, transfer, vector
from tests.system.machines import WIDE

CONFIG = WIDE
MEMORY = 1 << 20
GROUP = CONFIG.lanes // CONFIG.vector_lanes
WATCHDOG = 1500
PROGRAM, RESULTS = MEMORY // 2, MEMORY // 4
BARRIER = Instruction(Opcode.BARRIER, {})


@functools.cache
def devices() -> tuple[SimDevice, EmulatorDevice]:
    """Both machines, the same ones for all tests."""
    return SimDevice(CONFIG, memory_bytes=MEMORY, watchdog=WATCHDOG), EmulatorDevice(CONFIG, MEMORY)


@pytest.fixture(autouse=True)
def filled() -> None:
    """The same random numbers in memory and in the buffers of both, whatever has been executed before."""
    values = np.random.default_rng(7).standard_normal(RESULTS // 4).astype(np.float32)
    for device in devices():
        device.write(0, values)
        run(device, [
            transfer(Opcode.LOAD_X, 0, 256 * GROUP, target=Target.STREAMING),
            transfer(Opcode.LOAD_A, 0, 256 * GROUP, target=Target.STATIONARY), end(),
        ], PROGRAM)  # fmt: skip


def sums(words: int) -> list[Instruction]:
    """Write the first accumulator words of bank 0 to memory."""
    return [
        BARRIER, vector(emit_0=1, **nest("n", 6, [words], acc=[1])),
        transfer(Opcode.STORE_0, RESULTS, words), end(),
    ]  # fmt: skip


def result(device: Device, program: list[Instruction], words: int) -> np.ndarray:
    run(device, [*program, *sums(words)], PROGRAM)
    return device.read_float32(RESULTS, (words, CONFIG.vector_lanes)).copy()


LIMITS = (1, 2, 0x7FFE, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF)


@pytest.mark.parametrize("name", ["row", "col"])
@pytest.mark.parametrize("base", [-4, 0x7FFC, -0x8000])
def test_coordinates_have_a_sign_and_limits_have_none(name: str, base: int) -> None:
    """Eight vectors from a base on, which the end of 16 bits wraps, under each limit."""
    there = nest("s", 4, [8], v=[1], acc=[1], **{name: [1]})
    program = [
        compute(
            a_rows=4, init=1, acc_base=8 * k, lanes_total=8, **there, **{f"{name}_base": base, f"{name}_limit": limit}
        )
        for k, limit in enumerate(LIMITS)
    ]  # fmt: skip
    ours, theirs = (result(device, program, 8 * len(LIMITS)) for device in devices())
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))
    coordinates = (np.arange(base, base + 8) + 0x8000) % 0x10000 - 0x8000
    counts = [(0 <= coordinates) & (coordinates < limit) for limit in LIMITS]
    np.testing.assert_array_equal(theirs.any(1), np.ravel(counts))


@pytest.mark.parametrize("counts", [[1, 1], [2, 3]])
def test_the_lane_table_goes_on_behind_65535_steps(counts: list[int]) -> None:
    """Successive pixels for 8,300 tables of eight lanes, one for each block; what differs shows in the last block."""
    blocks = 8300
    program = [compute(
        a_rows=4, init=1, lanes_per_block=1, lanes_total=8 * blocks, **nest("b", 4, [blocks]),
        **lane_nest(counts, v=[1, counts[0], counts[0] * counts[1]]),
    )]  # fmt: skip
    ours, theirs = (result(device, program, 1) for device in devices())
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))
    assert np.isfinite(theirs).all() and theirs.all()


def test_elements_of_a_vector_instruction_are_progress() -> None:
    """One maximum over many more elements than the watchdog waits cycles, and all of them absent."""
    count = 8 * WATCHDOG
    program = [
        vector(source=1, reduce=1, row_base=-1, emit_0=1, **nest("n", 6, [count])),
        transfer(Opcode.STORE_0, RESULTS, 1), end(),
    ]  # fmt: skip
    for device in devices():
        run(device, program, PROGRAM)
        assert np.isneginf(device.read_float32(RESULTS, CONFIG.vector_lanes)).all()


def test_beats_that_leave_the_machine_are_progress() -> None:
    """A buffer full of results that goes out slowly, long after every unit has come to its end."""
    beats, spacing_ns, watchdog = 512, 500, 400
    memory = MemoryModel("slow writes", read_latency_ns=100, write_latency_ns=100, write_spacing_ns=spacing_ns)
    burst = memory.split_bytes
    device = SimDevice(
        CONFIG, memory=memory, memory_bytes=MEMORY, clock_mhz=250, burst_bytes=burst, watchdog=watchdog
    )  # fmt: skip
    assert spacing_ns // 4 < watchdog < beats * CONFIG.beat_bytes // burst * spacing_ns // 4
    program = [vector(source=1, emit_0=1, **nest("n", 6, [beats])), transfer(Opcode.STORE_0, RESULTS, beats), end()]
    run(device, program, PROGRAM)
    assert not device.read_float32(RESULTS, (beats, CONFIG.vector_lanes)).any()
