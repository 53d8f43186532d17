"""What instructions wait for must order the units: any order that it allows gives the same bits."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest
from golden_check import samples, trainer
from networks import NETWORKS

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, Instruction, Opcode, Unit, disassemble
from eftrain_hdl.runtime.device import RunResult
from eftrain_hdl.runtime.emulator import EmulatorDevice

CONFIG = Config(rows=4, lanes=4, streaming_depth=1024, stationary_depth=512, accumulator_depth=512, operand_depth=128)


def store_beats(instruction: Instruction) -> int:
    return instruction["run"] * instruction["count1"] * instruction["count2"] * instruction["count3"]


class Shuffled:
    """Runs a program with units side by side: of the instructions that may start, a random one is executed at once."""

    def __init__(self, device: EmulatorDevice, seed: int) -> None:
        self.device = device
        self.random = random.Random(seed)

    def run(self, words: np.ndarray, execute) -> None:  # type: ignore[no-untyped-def]
        waiting: dict[Unit, deque[tuple[Instruction, list[tuple[Unit, int]]]]] = {unit: deque() for unit in Unit}
        dispatched, completed = dict.fromkeys(Unit, 0), dict.fromkeys(Unit, 0)
        for instruction in disassemble(words):
            if instruction.opcode not in (Opcode.BARRIER, Opcode.END):
                wanted = [(unit, dispatched[unit] - instruction[name] + 1)
                          for unit, name in AFTER.items() if instruction[name]]  # fmt: skip
                waiting[instruction.format.unit].append((instruction, wanted))
                dispatched[instruction.format.unit] += 1
                continue
            while any(waiting.values()):
                ready = [
                    unit for unit, queue in waiting.items()
                    if queue and all(completed[other] >= count for other, count in queue[0][1])
                    and self._has_data(queue[0][0])
                ]  # fmt: skip
                assert ready, "deadlock"
                unit = self.random.choice(ready)
                execute(waiting[unit].popleft()[0])
                completed[unit] += 1

    def _has_data(self, instruction: Instruction) -> bool:
        if instruction.opcode not in (Opcode.STORE_0, Opcode.STORE_1):
            return True
        queue = self.device.state.queues[instruction.opcode - Opcode.STORE_0]
        return sum(len(beats) for beats in queue) >= store_beats(instruction)


@pytest.mark.parametrize(("name", "seed"), [("lenet", 0), ("overlapping_windows", 1), ("pointwise_strides", 2)])
def test_any_allowed_order_gives_the_same_memory(name: str, seed: int) -> None:
    network = NETWORKS[name]
    x, y = samples(network.model, network.batch, seed)
    plain, other = (trainer(network.model, CONFIG, network.batch) for _ in range(2))
    plain.step(x, y)

    device = other.device
    assert isinstance(device, EmulatorDevice)
    shuffled = Shuffled(device, seed)

    def execute(instruction: Instruction) -> None:
        plan = None if instruction.opcode in (Opcode.BARRIER, Opcode.END) else device._plan(instruction)
        _execute(device, instruction, plan)

    def run(address: int, nbytes: int) -> RunResult:
        program = next(p for p in other.plan.programs.values() if p.address == address)
        shuffled.run(program.words, execute)
        return RunResult(None)

    device.run = run  # type: ignore[method-assign]
    other.step(x, y)
    for tensor in plain.plan.tensors.values():
        ours, theirs = (t.device.read(tensor.address, tensor.nbytes) for t in (plain, other))
        np.testing.assert_array_equal(ours, theirs, err_msg=tensor.name)


def _execute(device: EmulatorDevice, instruction: Instruction, plan: object) -> None:
    """One instruction on the emulator's state, outside a program."""

    class One:
        instructions = [instruction]

        def plan(self, key: bytes) -> object:
            return plan

    device._execute(One(), 0, b"")  # type: ignore[arg-type]
