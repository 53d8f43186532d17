"""The emulator as a device."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import cast

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer
from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, Instruction, Opcode
from eftrain_hdl.numerics import Flags
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device, RunResult
from eftrain_hdl.runtime.errors import DeviceError, DeviceTimeout

from .compute import ComputePlan, compute, plan_compute
from .program import Plan, Program
from .state import Endless, Fault, State
from .transfer import LoadPlan, Runs, load, plan_load, plan_store, store
from .vector import VectorPlan, plan_vector, vector
from .window import burst_outside

__all__ = ["EmulatorDevice"]

_PROGRAM_BURST = 16
"""Beats of the bursts that fetch a program."""
_PROGRAMS = 8
"""Decoded programs that are kept."""


class EmulatorDevice(Device):
    """Executes programs with the bits of the hardware, strictly in program order and without a clock.

    ``docs/execution.md`` is the contract. Besides the errors that hardware reports, the emulator refuses what hardware
    would silently do otherwise than the program means: see "Errors" there.

    Counters of a run: ``MAC_CYCLES`` (vectors streamed) and the beats of the load and store units.

    Parameters
    ----------
    config : Config
        Sizes of the accelerator.
    memory_bytes : int
        Size of the DRAM, which starts as zeros.
    window_base : int
        Address of its first byte, a multiple of the beat.

    Raises
    ------
    ValueError
        If the memory is empty, not aligned, ends above the address space, or is more than the host has.
    """

    def __init__(self, config: Config, memory_bytes: int = 1 << 26, window_base: int = 0):
        check_kind("config", config, Config, "a Config(rows=..., lanes=...)")
        memory_bytes, window_base = integer("memory_bytes", memory_bytes, 1), integer("window_base", window_base, 0)
        if window_base + memory_bytes > 1 << config.address_width:
            raise ValueError(
                f"memory_bytes={memory_bytes} at window_base={window_base:#x}: {config.address_width} address bits do "
                "not reach so far"
            )
        if window_base % config.beat_bytes:
            raise ValueError(f"window_base={window_base:#x}: is no multiple of {config.beat_bytes}")
        self.config = config
        self.window_base = window_base
        self.window_limit = window_base + memory_bytes
        try:
            self.state = State(config, memory_bytes, window_base)
        except MemoryError as error:
            raise ValueError(f"memory_bytes={memory_bytes}: more than this computer has ({error})") from None
        self._programs: OrderedDict[tuple[int, bytes], Program] = OrderedDict()

    def write(self, address: int, array: np.ndarray) -> None:
        data = self.as_bytes(array)
        self.check_range(address, data.size)
        self.state.dram[address - self.window_base:][:data.size] = data

    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        self.check_range(address, nbytes)
        return self.state.dram[address - self.window_base:][:nbytes].copy()

    def set_scalars(self, learning_rate: float, weight_decay: float, momentum: float) -> None:
        self.state.scalars[:] = learning_rate, weight_decay, momentum

    def flags(self) -> dict[str, bool]:
        return {"overflow": bool(self.state.flags.overflow), "invalid": bool(self.state.flags.invalid)}

    def clear_flags(self) -> None:
        self.state.flags = Flags()

    def _reset(self) -> None:
        for queue in self.state.queues:
            queue.clear()

    def _run(self, program_address: int, program_bytes: int) -> RunResult:
        self.state.counters.clear()
        self.state.forget_words()
        index, unit, deadline = 0, Unit.COMMAND, time.monotonic() + self.timeout
        try:
            program = self._fetch(program_address, program_bytes)
            for instruction, key in zip(program.instructions, program.keys, strict=True):
                unit = Unit(instruction.format.unit)
                with np.errstate(all="ignore"):  # the arithmetic reports through its own flags
                    self._execute(program, index, key)
                index += 1
                if time.monotonic() > deadline:
                    detail = f"{instruction.opcode.name} was instruction {index - 1}"
                    raise DeviceTimeout(self.timeout, program_address, detail, self.state.counters)
            if program.fault is not None:
                unit = Unit.COMMAND
                raise program.fault
        except Endless as endless:
            detail = f"instruction {index}: {endless}"
            raise DeviceTimeout(self.timeout, program_address, detail, self.state.counters) from None
        except Fault as fault:
            raise DeviceError(fault.code, unit, fault.address, index, fault.detail) from None
        return RunResult(None, dict(self.state.counters))

    def _fetch(self, address: int, nbytes: int) -> Program:
        beat, width = self.config.beat_bytes, self.config.address_width
        beats = -(-nbytes // beat)
        if not 0 < beats < 1 << 24:
            raise Fault(ErrorCode.BAD_LENGTH, f"a program of {beats} beats, not 1 to 2**24 - 1", address)
        if address >> width:
            raise Fault(ErrorCode.OUT_OF_WINDOW, f"the program's address has more than {width} bits", address)
        if address % beat:
            raise Fault(ErrorCode.UNALIGNED, f"the program is not at a multiple of {beat} bytes", address)
        if address < self.window_base or address + beats * beat > self.window_limit:
            outside = burst_outside(address, self.window_base, self.window_limit, _PROGRAM_BURST * beat)
            raise Fault(ErrorCode.OUT_OF_WINDOW, f"the program of {nbytes} bytes is not in memory", outside)
        data = self.state.dram[address - self.window_base:][:beats * beat]
        key = address, data.tobytes()
        program = self._programs.pop(key, None) or Program(data.view(np.uint32), address)
        self._programs[key] = program
        if len(self._programs) > _PROGRAMS:
            self._programs.popitem(last=False)
        return program

    def _execute(self, program: Program, index: int, key: bytes) -> None:
        instruction = program.instructions[index]
        if instruction.opcode in (Opcode.BARRIER, Opcode.END):
            if any(instruction[name] for name in AFTER.values()):
                text = f"{instruction.opcode.name} waits for all units, and has no fields for them"
                raise Fault(ErrorCode.BAD_FIELD, text, program.addresses[index])
            for number, queue in enumerate(self.state.queues):
                if queue:
                    left = sum(len(beats) for beats in queue)
                    raise Fault(ErrorCode.WATCHDOG, f"{left} beats for STORE_{number} are never stored")
            self.state.forget_words()
            return
        plan = program.plan(key)
        if plan is None:
            plan = self._plan(instruction)
            program.keep(key, plan)
        lanes = self.config.vector_lanes
        match instruction.opcode:
            case Opcode.LOAD_X | Opcode.LOAD_A:
                load_plan = cast(LoadPlan, plan)
                load(self.state, load_plan)
                self.state.count(f"{instruction.opcode.name}_BEATS", load_plan.runs.words // lanes)
            case Opcode.STORE_0 | Opcode.STORE_1:
                runs = cast(Runs, plan)
                self._check_beats(program, index, runs.words // lanes)
                store(self.state, runs, instruction.opcode - Opcode.STORE_0)
                self.state.count(f"{instruction.opcode.name}_BEATS", runs.words // lanes)
            case Opcode.COMPUTE:
                compute(self.state, cast(ComputePlan, plan))
            case Opcode.VECTOR:
                vector(self.state, cast(VectorPlan, plan))

    def _check_beats(self, program: Program, index: int, wanted: int) -> None:
        """``Fault`` unless the beats that a store takes have been sent: the hardware would wait for more."""
        opcode = program.instructions[index].opcode
        number = opcode - Opcode.STORE_0
        have = sum(len(part) for part in self.state.queues[number])
        if have < wanted:
            what = f"the store wants {wanted} beats, of which {have} were sent"
            if any(one.opcode is Opcode.VECTOR and one[f"emit_{number}"] for one in program.beside(index)):
                raise Fault(ErrorCode.BAD_FIELD, f"program order: {what} by earlier instructions")
            raise Fault(ErrorCode.WATCHDOG, what)

    def _plan(self, instruction: Instruction) -> Plan:
        match instruction.opcode:
            case Opcode.LOAD_X | Opcode.LOAD_A:
                return plan_load(self.state, instruction)
            case Opcode.COMPUTE:
                return plan_compute(self.state, instruction)
            case Opcode.VECTOR:
                return plan_vector(self.state, instruction)
            case _:
                return plan_store(self.state, instruction)
