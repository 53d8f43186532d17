"""A network's training on RTL and emulator, put back between runs: what every campaign injects its faults into."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.graph import cross_entropy
from eftrain_hdl.isa import Instruction, Opcode, Target, assemble
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.errors import DeviceError, DeviceTimeout
from eftrain_hdl.runtime.sim import SimDevice
from tests.compiler.networks import NETWORKS
from tests.runtime.programs import compute, end, nest, transfer
from tests.system.machines import MEMORY_BYTES, WIDE, Pair, samples

CONFIG = WIDE
WATCHDOG = 4_000
CYCLES = 300_000
"""A program that takes longer than this is given up."""
SPARE = MEMORY_BYTES // 2
"""Memory from here on belongs to no plan: what fills the memories on the chip, and programs that are tried."""
FILL_PROGRAM = SPARE + (1 << 20)
TRIED_PROGRAM = SPARE + (2 << 20)


class BoundedSim(SimDevice):
    """A simulated device that gives a program up after a number of cycles, not of seconds."""

    def wait(self) -> None:
        if not self.model.run(CYCLES):
            self.give_up()


@functools.cache
def bounded_sim(config: Config = CONFIG) -> BoundedSim:
    """The process's device of a configuration for campaigns; its watchdog is a short one."""
    return BoundedSim(config, memory_bytes=MEMORY_BYTES, watchdog=WATCHDOG)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with an error, given up (code NONE), or finished (no code)."""

    code: ErrorCode | None = None
    unit: Unit | None = None
    address: int = 0
    instruction: int = 0
    detail: str = ""
    cycles: int | None = None

    @classmethod
    def of(cls, device: Device, address: int, nbytes: int) -> Outcome:
        """Run a program. Whatever is raised beyond DeviceError is a fault of the device and goes on to the caller."""
        try:
            return cls(cycles=device.run(address, nbytes).cycles)
        except DeviceTimeout as error:
            return cls(ErrorCode.NONE, detail=error.detail)
        except DeviceError as error:
            return cls(error.code, error.unit, error.address, error.instruction, error.detail)

    @property
    def finished(self) -> bool:
        return self.code is None

    @property
    def given_up(self) -> bool:
        return self.code is ErrorCode.NONE

    def __str__(self) -> str:
        if self.finished:
            return "finished"
        if self.given_up or self.unit is None:
            return f"given up ({self.detail})"
        return f"{self.code.name} {self.unit.name} #{self.instruction} {self.address:#x} ({self.detail})"


def _fill(config: Config) -> list[Instruction]:
    """A program that writes every word of every memory on the chip."""
    group = config.lanes // config.vector_lanes
    loads = [
        transfer(Opcode.LOAD_X, SPARE, config.streaming_depth * group, target=Target.STREAMING),
        transfer(Opcode.LOAD_A, SPARE, config.stationary_depth * group, target=Target.STATIONARY),
        *(
            transfer(Opcode.LOAD_A, SPARE, config.operand_depth, target=target)
            for target in (Target.OPERAND_A, Target.OPERAND_B, Target.OPERAND_C)
        ),
    ]
    words = config.accumulator_depth
    sums = [
        compute(
            init=1, bank=bank, a_rows=config.rows, lanes_total=config.lanes, v_base=bank,
            **nest("s", 4, [words], v=[1], acc=[1]),
        )
        for bank in range(config.accumulator_banks)
    ]  # fmt: skip
    barrier = Instruction(Opcode.BARRIER, {})
    return [*loads, barrier, *sums, end()]


class Bench:
    """One network's programs on both devices, and the memory that each of them starts with.

    Attributes
    ----------
    pair : Pair
        Trainers on RTL and emulator.
    before : dict
        By the name of a program, all of memory before it runs; likewise ``after``.
    """

    def __init__(self, name: str, config: Config = CONFIG):
        network = NETWORKS[name]
        self.name, self.config = name, config
        self.sim, self.emulator = bounded_sim(config), EmulatorDevice(config, MEMORY_BYTES)
        self.pair = Pair.on(self.sim, self.emulator, network.model, network.batch)
        self.plan = self.pair.rtl.plan
        assert self.plan.memory_bytes <= SPARE
        self.x, self.y = samples(network.model, network.batch, 0)
        self._prepare_fill()
        self.before: dict[str, np.ndarray] = {}
        self.after: dict[str, np.ndarray] = {}
        self._record_programs()

    def _prepare_fill(self) -> None:
        words = self.config.streaming_depth * self.config.lanes
        values = np.random.default_rng(5).standard_normal(words).astype(np.float32)
        program = assemble(_fill(self.config))
        self._fill_bytes = program.nbytes
        for device in (self.sim, self.emulator):
            device.write(SPARE, values)
            device.write(FILL_PROGRAM, program)
        self.emulator.run(FILL_PROGRAM, self._fill_bytes)
        state = self.emulator.state
        self._on_chip = [(memory, memory.copy()) for memory in (
            state.streaming, state.stationary, state.accumulators, state.operands)]  # fmt: skip

    def _record_programs(self) -> None:
        """Run every program once on the emulator: what the RTL does with them is compared by other tests."""
        dram = self.emulator.state.dram
        trainer, programs = self.pair.emulator, self.plan.programs

        def record(name: str) -> None:
            self.before[name] = dram.copy()
            self.emulator.run(programs[name].address, programs[name].nbytes)
            self.after[name] = dram.copy()

        trainer._write("input", trainer._checked_samples(self.x))
        record("forward")
        trainer._write("logits_gradient", self.gradient())
        record("backward_update")
        dram[:] = self.before["backward_update"]
        record("backward")
        record("update")

    def gradient(self) -> np.ndarray:
        """Gradient of the loss by the logits that the emulator has."""
        return cross_entropy(self.pair.emulator._logits(), self.y)[1]

    def rewind(self, name: str) -> None:
        """Both machines usable, DRAM as before a program, flags clear."""
        self.sim.model.dram[:] = self.before[name]
        self.emulator.state.dram[:] = self.before[name]
        for device in (self.sim, self.emulator):
            device.reset()
            device.clear_flags()

    def fill(self) -> None:
        """Give every word of the memories on the chip the same value on both machines."""
        for memory, values in self._on_chip:
            memory[...] = values
        self.sim.run(FILL_PROGRAM, self._fill_bytes)
        self.sim.clear_flags()

    def differences(self) -> np.ndarray:
        """Byte addresses of the words in which the two memories differ."""
        ours, theirs = (memory.view(np.uint64) for memory in (self.sim.model.dram, self.emulator.state.dram))
        if np.array_equal(ours, theirs):
            return np.zeros(0, np.intp)
        return np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32)) * 4


@functools.cache
def bench(name: str, config: Config = CONFIG) -> Bench:
    """The process's bench of a network."""
    return Bench(name, config)


def figures(campaign: str, seeds: str, counts: Counter[str]) -> None:
    """Print what a campaign did, in one line."""
    outcomes = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"CAMPAIGN {campaign} ({seeds}): {counts.total()} injected: {outcomes}")
