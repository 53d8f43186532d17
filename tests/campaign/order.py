"""Whether what a program's instructions wait for orders everything that meets in a memory.

Units run beside each other. A program whose result depends on which of them is quicker has no right result, so RTL and
emulator need not agree on it. What counts as ordered is what ``docs/execution.md`` promises, nothing that the RTL
happens to do: an instruction follows those that it waits for, those that they had waited for, and all those before a
BARRIER.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from eftrain_hdl.isa import AFTER, Instruction, Opcode, Unit
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.emulator.compute import ComputePlan
from eftrain_hdl.runtime.emulator.transfer import LoadPlan, Runs
from eftrain_hdl.runtime.emulator.vector import VectorPlan
from tests.campaign.harness import beats

__all__ = ["unordered"]

Places = np.ndarray
Access = tuple[str, Places, bool]
"""A memory, places in it, and whether they are written."""
_UNITS = len(Unit)
_STORES = (Unit.STORE_0, Unit.STORE_1)


def _accesses(device: EmulatorDevice, instruction: Instruction, plan: object) -> Iterator[Access]:
    config = device.config
    match instruction.opcode:
        case Opcode.LOAD_X | Opcode.LOAD_A:
            load = cast(LoadPlan, plan)
            yield "dram", beats(load.runs, config.beat_bytes), False
            places = load.addresses
            if load.planar:
                places = (places[:, None] + np.arange(config.vector_lanes)).ravel()
            elif load.target.name in ("STREAMING", "STATIONARY"):
                places = (places[:, None] * config.lanes + np.arange(config.lanes)).ravel()
            yield load.target.name, places, True
        case Opcode.STORE_0 | Opcode.STORE_1:
            yield "dram", beats(cast(Runs, plan), config.beat_bytes), True
        case Opcode.COMPUTE:
            compute = cast(ComputePlan, plan)
            for name, places in (("STREAMING", compute.streams), ("STATIONARY", compute.stationary)):
                flat = places.ravel()
                yield name, flat[flat < getattr(config, f"{name.lower()}_depth") * config.lanes], False
            words = np.array([word for _, _, word, _ in compute.runs])[:, None] + compute.offsets
            yield f"bank {compute.bank}", (words & 0xFFFF).ravel(), True
        case Opcode.VECTOR:
            vector = cast(VectorPlan, plan)
            primary = vector.primary if vector.present is None else vector.primary[vector.present]
            if instruction["source"]:
                yield "OPERAND_C", primary, False
            else:
                yield f"bank {instruction['bank']}", primary // (config.rows // config.vector_lanes), False
            for name, used in (("OPERAND_A", vector.a), ("OPERAND_B", vector.b)):
                if used is not None:
                    yield name, used, False


class _Queue:
    """Beats on their way to a store unit, as the numbers of the VECTOR instructions that sent them."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, int]] = []
        self.sent = self.taken = 0

    def send(self, number: int, beats: int) -> None:
        if beats:
            self.sent += beats
            self.ends.append((self.sent, number))

    def take(self, beats: int) -> tuple[int, bool]:
        """Number of the VECTOR instruction of the last beat, and whether it is that instruction's last."""
        self.taken += beats
        end, number = next(entry for entry in self.ends if entry[0] >= self.taken)
        return number, end == self.taken


class _Clocks:
    """For every instruction: how many instructions of each unit are complete when it starts, and when it ends."""

    def __init__(self) -> None:
        self.started: list[list[np.ndarray]] = [[] for _ in Unit]
        self.completed: list[list[np.ndarray]] = [[] for _ in Unit]
        self.quiet = np.zeros(_UNITS, np.int64)

    def add(self, one: Instruction, queues: tuple[_Queue, _Queue]) -> np.ndarray:
        """The clock with which an instruction starts."""
        unit = one.format.unit
        started, completed = self.quiet.copy(), self.quiet.copy()
        if self.started[unit]:
            started, completed = self.started[unit][-1].copy(), self.completed[unit][-1].copy()
            np.maximum(started, self.quiet, out=started)
            np.maximum(completed, self.quiet, out=completed)
        for producer, name in AFTER.items():
            wanted = len(self.completed[producer]) - one[name] + 1
            if one[name] and wanted > 0:
                np.maximum(started, self.completed[producer][wanted - 1], out=started)
        if unit in _STORES:
            runs = one["run"] * one["count1"] * one["count2"] * one["count3"]
            number, whole = queues[unit - Unit.STORE_0].take(runs)
            np.maximum(started, self.started[Unit.VECTOR][number], out=started)
            if whole:
                np.maximum(completed, self.completed[Unit.VECTOR][number], out=completed)
        np.maximum(completed, started, out=completed)
        self.started[unit].append(started)
        completed[unit] = len(self.started[unit])
        self.completed[unit].append(completed)
        return started

    def barrier(self) -> None:
        self.quiet = np.array([len(done) for done in self.started], np.int64)


def unordered(device: EmulatorDevice, instructions: list[Instruction], program: range) -> str:
    """The first pair of instructions that meet in a memory without an order, in words; empty if all are ordered.

    ``instructions`` are those that the emulator executed without an error; ``program`` the addresses they lie at.
    """
    clocks, queues = _Clocks(), (_Queue(), _Queue())
    last: dict[tuple[str, Unit, bool], np.ndarray] = {}
    numbers: list[list[int]] = [[] for _ in Unit]
    sizes = {"dram": device.memory_bytes // device.config.beat_bytes}
    beat = device.config.beat_bytes
    fetched = np.arange(program.start // beat, -(-program.stop // beat))
    for index, one in enumerate(instructions):
        unit = one.format.unit
        if unit is Unit.COMMAND:
            clocks.barrier()
            continue
        plan = device._plan(one)
        started = clocks.add(one, queues)
        numbers[unit].append(index)
        if isinstance(plan, VectorPlan):
            sent = len(plan.index) // plan.window if plan.sent is None else int(plan.sent.sum())
            for number, queue in enumerate(queues):
                queue.send(len(numbers[Unit.VECTOR]) - 1, sent if one[f"emit_{number}"] else 0)
        for space, places, writes in _accesses(device, one, plan):
            if writes and space == "dram" and np.isin(places, fetched).any():
                return f"#{index} {one.opcode.name} writes the program"
            for other in Unit:
                for wrote in (True, False):
                    seen = last.get((space, other, wrote))
                    if other is unit or seen is None or not (writes or wrote):
                        continue
                    latest = int(seen[places].max(initial=0))
                    if latest > started[other]:
                        return (
                            f"#{index} {one.opcode.name} does not wait for #{numbers[other][latest - 1]} "
                            f"{other.name} in {space}"
                        )
            key = space, unit, writes
            if key not in last:
                last[key] = np.zeros(sizes.get(space, 1 << 16), np.int32)
            last[key][places] = len(numbers[unit])
    return ""
