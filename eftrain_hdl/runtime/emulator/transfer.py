"""LOAD_X, LOAD_A, STORE_0 and STORE_1."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from eftrain_hdl.isa import Instruction, Opcode, Target
from eftrain_hdl.numerics import round_to_format
from eftrain_hdl.registers import ErrorCode

from .nests import at_least_one
from .state import MOST_WORK, Endless, Fault, State, wrap
from .window import burst_outside, first_outside

__all__ = ["LoadPlan", "Runs", "load", "plan_load", "plan_store", "store"]


@dataclass(frozen=True)
class Runs:
    """The DRAM side of a transfer: a strided view of words."""

    offset: int
    shape: tuple[int, int, int, int]
    strides: tuple[int, int, int, int]

    @property
    def words(self) -> int:
        """Words transferred."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""
        return 100

    def view(self, dram: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """The words in the order of the transfer."""
        return as_strided(dram[self.offset:self.offset + 4].view(np.uint32), self.shape, self.strides)


def _plan_runs(state: State, instruction: Instruction) -> Runs:
    config, beat = state.config, state.config.beat_bytes
    run, *counts = at_least_one(instruction, ["run", "count1", "count2", "count3"])
    if run >= 1 << 24:
        raise Fault(ErrorCode.BAD_FIELD, f"run is {run}, more than 2**24 - 1 beats")
    strides = [instruction[f"stride{k}"] for k in (1, 2, 3)]
    address = instruction.address
    if address >> config.address_width:
        raise Fault(ErrorCode.OUT_OF_WINDOW, f"address {address:#x} has more than {config.address_width} bits")
    for name, value in (("address", address), *zip(("stride1", "stride2", "stride3"), strides, strict=True)):
        if value % beat:
            raise Fault(ErrorCode.UNALIGNED, f"{name} {value:#x} is no multiple of {beat} bytes", address)
    base, limit = state.window_base, state.window_base + len(state.dram)
    first = first_outside(address, counts, strides, base, limit - run * beat)
    if first is not None:
        raise Fault(
            ErrorCode.OUT_OF_WINDOW, f"{run} beats at {first:#x} are not between {base:#x} and {limit:#x}",
            burst_outside(first, base, limit) % (1 << config.address_width),
        )  # fmt: skip
    sizes, steps = (counts[2], counts[1], counts[0]), (strides[2], strides[1], strides[0])
    return Runs(address - base, (*sizes, run * config.vector_lanes), (*steps, 4))


def _starts(address: int, sizes: tuple[int, int, int], steps: tuple[int, int, int]) -> NDArray[np.int64]:
    starts = np.array([address], np.int64)
    for count, step in zip(reversed(sizes), reversed(steps), strict=True):
        starts = (np.arange(count, dtype=np.int64)[:, None] * step + starts[None]).ravel()
    return starts


@dataclass(frozen=True)
class LoadPlan:
    """Where a load reads and which on-chip address each of its items has."""

    runs: Runs
    target: Target
    planar: bool
    addresses: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""
        return self.addresses.nbytes + self.runs.nbytes


def plan_load(state: State, instruction: Instruction) -> LoadPlan:
    """Check a load and work out its addresses. ``Fault`` as the hardware would stop."""
    config = state.config
    try:
        target = Target(instruction["target"])
    except ValueError:
        raise Fault(ErrorCode.BAD_FIELD, f"target {instruction['target']} does not exist") from None
    if (target is Target.STREAMING) != (instruction.opcode is Opcode.LOAD_X):
        raise Fault(ErrorCode.BAD_FIELD, f"target {target.name} does not belong to {instruction.opcode.name}")
    planar = bool(instruction["planar"])
    if planar and target is not Target.STREAMING:
        raise Fault(ErrorCode.BAD_FIELD, f"planar does not apply to {target.name}")
    x_count, y_count, z_count, x_phases, y_phases = at_least_one(
        instruction, ["x_count", "y_count", "z_count", "x_phases", "y_phases"]
    )
    for axis in "xy":
        if instruction[f"{axis}_phase"] >= instruction[f"{axis}_phases"]:
            raise Fault(ErrorCode.BAD_FIELD, f"{axis}_phase {instruction[f'{axis}_phase']} does not exist")
    runs = _plan_runs(state, instruction)
    vectors = target in (Target.STREAMING, Target.STATIONARY) and not planar
    item = config.lanes if vectors else config.vector_lanes
    items = -(-runs.words // item)
    k = np.arange(min(items, MOST_WORK), dtype=np.int64)
    x = instruction["x_phase"] + k % x_count
    y = instruction["y_phase"] + k // x_count % y_count
    z = k // (x_count * y_count) % z_count
    w = k // (x_count * y_count * z_count)
    addresses = wrap(
        instruction["base"]
        + x // x_phases * instruction["x_stride"] + x % x_phases * instruction["x_phase_stride"]
        + y // y_phases * instruction["y_stride"] + y % y_phases * instruction["y_phase_stride"]
        + z * instruction["z_stride"] + w * instruction["w_stride"],
        24,
    )
    if target is Target.STREAMING:
        size = config.streaming_depth * config.lanes - config.vector_lanes + 1 if planar else config.streaming_depth
    else:
        size = config.stationary_depth if target is Target.STATIONARY else config.operand_depth
    outside = np.flatnonzero((addresses < 0) | (addresses >= size))
    if outside.size:
        address = int(addresses[outside[0]])
        raise Fault(
            ErrorCode.CHIP_ADDRESS, f"item {outside[0]} goes to {address}, outside {target.name}", address % (1 << 24)
        )
    if items > MOST_WORK:
        raise Endless(items, "items")
    if runs.words % item:
        raise Fault(ErrorCode.BAD_FIELD, f"{runs.words} words do not make whole vectors of {item}", int(addresses[-1]))
    return LoadPlan(runs, target, planar, addresses.astype(np.int32))


def load(state: State, plan: LoadPlan) -> None:
    """Copy from DRAM to an on-chip memory."""
    config = state.config
    words = plan.runs.view(state.dram).reshape(len(plan.addresses), -1)
    if plan.target >= Target.OPERAND_A:
        state.operands[plan.target - Target.OPERAND_A][plan.addresses] = words
        return
    memory = state.streaming if plan.target is Target.STREAMING else state.stationary
    column = np.arange(words.shape[1], dtype=np.int32)
    places = plan.addresses[:, None] + column
    if not plan.planar:
        places &= config.lanes - 1
        places += plan.addresses[:, None] * np.int32(config.lanes)
    memory[places] = round_to_format(words.view(np.float32), config.operand)


def plan_store(state: State, instruction: Instruction) -> Runs:
    """Check a store. ``Fault`` as the hardware would stop."""
    return _plan_runs(state, instruction)


def _overlapping(runs: Runs) -> NDArray[np.int64] | None:
    """Starts of all runs of a store (byte offsets) if some of them overlap."""
    both = zip(runs.shape[:3], runs.strides[:3], strict=True)
    levels = sorted((abs(stride), size) for size, stride in both if size > 1)
    span = 4 * runs.shape[3]
    for stride, size in levels:
        if stride < span:
            starts = _starts(runs.offset, runs.shape[:3], runs.strides[:3])
            return starts if int(np.diff(np.sort(starts)).min()) < 4 * runs.shape[3] else None
        span += stride * (size - 1)
    return None


def store(state: State, runs: Runs, queue: int) -> None:
    """Take beats from a queue, which has as many, and write them."""
    lanes = state.config.vector_lanes
    wanted, waiting = runs.words // lanes, state.queues[queue]
    beats = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
    waiting[:] = [beats[wanted:]] if len(beats) > wanted else []
    words = beats[:wanted].reshape(-1, runs.shape[3])
    starts = _overlapping(runs)
    if starts is None:
        runs.view(state.dram)[...] = words.reshape(runs.shape)
        return
    for start, run in zip(starts.tolist(), words, strict=True):
        state.dram[start:start + 4 * len(run)] = run.view(np.uint8)
