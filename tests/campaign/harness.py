"""A network's training on RTL and emulator, put back between runs: what every campaign injects its faults into."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode, Target, assemble, disassemble
from eftrain_hdl.registers import REGISTER_MAP, ErrorCode, Unit
from eftrain_hdl.rtl.axi_ports import READERS, WRITERS
from eftrain_hdl.runtime.device import Device, RunResult
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.emulator.transfer import LoadPlan, Runs
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
    """A simulated device that gives a program up after a number of cycles, not of seconds.

    ``script`` says what happens while programs run: after so many cycles, counted from the entry before, an action. It
    goes on from one program to the next.
    """

    script: Iterator[tuple[int, Callable[[], None]]] = iter(())

    def wait(self) -> None:
        end = self.model.cycles + CYCLES
        for cycles, action in self.script:
            due = self.model.cycles + cycles
            if self.model.run(cycles):
                self.script = itertools.chain([(due - self.model.cycles, action)], self.script)
                return
            action()
        if not self.model.run(max(0, end - self.model.cycles)):
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


def beats(runs: Runs, size: int) -> np.ndarray:
    """Numbers of the beats of a transfer, counted from the window's base, in order."""
    starts = np.array([runs.offset], np.int64)
    for count, stride in zip(runs.shape[:3], runs.strides[:3], strict=True):
        starts = (starts[:, None] + np.arange(count, dtype=np.int64) * stride).ravel()
    return (starts[:, None] // size + np.arange(4 * runs.shape[3] // size)).ravel()


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
    start : array
        All of memory before a step; ``after["backward_update"]`` is what it has to be behind it.
    """

    def __init__(self, name: str, config: Config = CONFIG):
        network = NETWORKS[name]
        self.name, self.config = name, config
        self.sim, self.emulator = bounded_sim(config), EmulatorDevice(config, MEMORY_BYTES)
        self.sim.reset()  # another network's run may have stopped it
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
        """Train on the emulator: what the RTL makes of these programs is compared by other tests."""
        names = {program.address: name for name, program in self.plan.programs.items()}
        dram, run = self.emulator.state.dram, self.emulator.run

        def recorded(address: int, nbytes: int) -> RunResult:
            self.before[names[address]] = dram.copy()
            result = run(address, nbytes)
            self.after[names[address]] = dram.copy()
            return result

        self.emulator.run = recorded  # type: ignore[method-assign]
        trainer = self.pair.emulator
        trainer.gradients(self.x, self.y)
        trainer.update()
        trainer.restore()
        self.start = dram.copy()
        trainer.step(self.x, self.y)
        self.emulator.run = run  # type: ignore[method-assign]

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

    def begin(self) -> None:
        """The simulated machine usable, its memory as before a step."""
        self.sim.reset()
        self.sim.model.dram[:] = self.start

    def step(self) -> None:
        """A step of the RTL's trainer from its initial state."""
        self.pair.rtl.restore()
        self.pair.rtl.step(self.x, self.y)

    def recover(self) -> None:
        """Reset, restore, and a step that must leave every bit of memory as if nothing had been."""
        self.sim.reset()
        self.step()
        places = np.flatnonzero(self.sim.model.dram != self.after["backward_update"])
        assert not len(places), f"{len(places)} bytes differ after the recovery, the first at {places[0]:#x}"

    @functools.cached_property
    def traffic(self) -> dict[tuple[Unit, str], np.ndarray]:
        """Addresses of the beats that a step moves, by unit and direction, each once."""
        beat = self.config.beat_bytes
        found: dict[tuple[Unit, str], list[np.ndarray]] = {}
        for program in (self.plan.programs[name] for name in ("forward", "backward_update")):
            fetched = np.arange(program.address, program.address + program.nbytes, beat)
            found.setdefault((Unit.COMMAND, "read"), []).append(fetched)
            for one in disassemble(program.words):
                if (unit := one.format.unit) in (*READERS, *WRITERS) and unit is not Unit.COMMAND:
                    plan = self.emulator._plan(one)
                    runs = plan if isinstance(plan, Runs) else cast(LoadPlan, plan).runs
                    key = unit, "write" if unit in WRITERS else "read"
                    found.setdefault(key, []).append(beats(runs, beat) * beat)
        return {key: np.unique(np.concatenate(parts)) for key, parts in found.items()}

    @functools.cached_property
    def destinations(self) -> np.ndarray:
        """Bytes that a step may change, by its programs or by the host."""
        allowed = np.zeros(MEMORY_BYTES, np.bool_)
        for (_, direction), addresses in self.traffic.items():
            if direction == "write":
                for k in range(self.config.beat_bytes):
                    allowed[addresses + k] = True
        for name in ("input", "logits_gradient"):
            tensor = self.plan.tensors[name]
            allowed[tensor.address : tensor.address + tensor.nbytes] = True
        return allowed

    def assert_confined(self) -> None:
        """Nothing has changed since the start outside of what a step writes."""
        wrong = np.flatnonzero((self.sim.model.dram != self.start) & ~self.destinations)
        assert not len(wrong), f"{len(wrong)} bytes written outside of the step's destinations, at {wrong[0]:#x}"

    def assert_readable(self) -> None:
        """Every register answers, and the protocol has been kept."""
        for register in REGISTER_MAP:
            self.sim.read_register(register.name)
        assert self.sim.model.protocol_error is None

    def differ(self) -> bool:
        """Whether memories or flags of the two machines differ."""
        return len(self.differences()) > 0 or self.sim.flags() != self.emulator.flags()

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


def figures(campaign: str, config: Config, seeds: str, counts: Counter[str]) -> None:
    """Print what a campaign did, in one line."""
    outcomes = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    where = f"{config.rows} x {config.lanes}, ports: {config.ports}"
    print(f"CAMPAIGN {campaign} ({where}; {seeds}): {counts.total()}: {outcomes}")
