"""What two machines made of one damaged program, and whether ``docs/execution.md`` allows that."""

from __future__ import annotations

import math

from eftrain_hdl.isa import Instruction, Opcode, Unit, decode
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.runtime.emulator.state import Fault
from tests.campaign.harness import CYCLES, Bench, Outcome
from tests.campaign.mutations import Mutant
from tests.campaign.order import unordered

__all__ = ["ALLOWED", "judge"]

SAME_MEMORY, SAME_ERROR = "same memory", "same error"
ANOTHER_FIRST = "two errors, each first on one machine"
REFUSED = "refused by the emulator alone, as documented"
PROGRAM_ORDER = "refused by the emulator for its order alone, as documented"
STARVED = "store that leaves the window behind beats that never come, as documented"
BOTH = "load that leaves both the window and the memory on the chip, as documented"
UNORDERED = "result depends on which unit is quicker"
LONG = "longer than the budget of cycles"
ALLOWED = (SAME_MEMORY, SAME_ERROR, ANOTHER_FIRST, REFUSED, PROGRAM_ORDER, STARVED, BOTH, UNORDERED, LONG)
"""Verdicts that are no mismatch."""

_REFUSALS = ("bank conflict", "accumulator word occurs twice", "earlier than", "lanes_total")
_LONG_WORK = CYCLES // 64


def _instructions(mutant: Mutant) -> list[Instruction]:
    """Those that can be decoded."""
    out: list[Instruction] = []
    try:
        for one in decode(mutant.words[: mutant.nbytes // 4], 0):
            out.append(one)
    except ValueError:
        pass
    return out


def _work(one: Instruction) -> int:
    """Beats, vectors or elements."""
    counts = [name for name in one.format.places if name == "run" or ("count" in name and name[0] in "bsnc")]
    return math.prod(one[name] for name in counts)


def _fault(bench: Bench, one: Instruction) -> Fault | None:
    try:
        if one.opcode not in (Opcode.BARRIER, Opcode.END):
            bench.emulator._plan(one)
    except Fault as fault:
        return fault
    return None


def _same_place(bench: Bench, instructions: list[Instruction], rtl: Outcome, emulator: Outcome) -> bool:
    """Unit and address agree as far as the documentation promises."""
    if rtl.code is ErrorCode.WATCHDOG:
        return True  # the address tells which units were busy, which the emulator cannot know
    if rtl.unit is not emulator.unit:
        return False
    if rtl.unit is Unit.COMMAND:
        return (rtl.address, rtl.instruction) == (emulator.address, emulator.instruction)
    if rtl.instruction > emulator.instruction:
        return False
    if rtl.code is ErrorCode.OUT_OF_WINDOW:  # the address of a burst of the run
        run = instructions[emulator.instruction]["run"] * bench.config.beat_bytes
        return emulator.address <= rtl.address < emulator.address + run
    return rtl.address == emulator.address


def _another_first(bench: Bench, instructions: list[Instruction], rtl: Outcome, emulator: Outcome) -> bool:
    """The RTL's error is one that its instruction has by itself, behind the one where the emulator stopped.

    The command processor decodes while the units work, and a unit judges transfers ahead of those under way.
    """
    if rtl.finished or rtl.given_up:
        return False
    if rtl.unit is Unit.COMMAND:
        return rtl.code is not ErrorCode.WATCHDOG and rtl.instruction > emulator.instruction
    behind = instructions[max(rtl.instruction, emulator.instruction + (rtl.unit is emulator.unit)) :]
    return any(
        one.format.unit is rtl.unit and (fault := _fault(bench, one)) is not None and fault.code is rtl.code
        for one in behind
    )


def _starved(rtl: Outcome, emulator: Outcome) -> bool:
    """The store that leaves the window is one of those that the RTL's watchdog has found waiting."""
    stores = (Unit.STORE_0, Unit.STORE_1)
    leaves = emulator.code is ErrorCode.OUT_OF_WINDOW and emulator.unit in stores
    return leaves and rtl.code is ErrorCode.WATCHDOG and bool(rtl.address >> int(emulator.unit or 0) & 1)


def _leaves_both(rtl: Outcome, emulator: Outcome) -> bool:
    """The emulator looks at the window first; hardware says what it meets first."""
    same = rtl.unit is emulator.unit and rtl.instruction == emulator.instruction
    codes = rtl.code is ErrorCode.CHIP_ADDRESS and emulator.code is ErrorCode.OUT_OF_WINDOW
    return same and codes and rtl.unit in (Unit.LOAD_X, Unit.LOAD_A)


def judge(bench: Bench, mutant: Mutant, rtl: Outcome, emulator: Outcome, address: int) -> str:
    """One of ALLOWED, or what is wrong."""
    instructions = _instructions(mutant)
    if rtl.given_up:
        if max(map(_work, instructions)) < _LONG_WORK:
            return "MISMATCH: no end, though the program is short"
        return LONG
    if rtl.finished and emulator.finished:
        places = bench.differences()
        same_flags = bench.sim.flags() == bench.emulator.flags()
        if not len(places) and same_flags:
            return SAME_MEMORY
        if unordered(bench.emulator, instructions, range(address, address + mutant.nbytes)):
            return UNORDERED
        if not len(places):
            return f"MISMATCH: flags {bench.sim.flags()} on RTL, {bench.emulator.flags()} on the emulator"
        return f"MISMATCH: {len(places)} words, the first at {places[0]:#x}"
    if rtl.code is emulator.code and _same_place(bench, instructions, rtl, emulator):
        return SAME_ERROR
    if emulator.code is ErrorCode.BAD_FIELD and any(text in emulator.detail for text in _REFUSALS):
        return REFUSED
    if emulator.code is ErrorCode.BAD_FIELD and emulator.detail.startswith("program order"):
        if rtl.finished or rtl.code is ErrorCode.WATCHDOG or _another_first(bench, instructions, rtl, emulator):
            return PROGRAM_ORDER
    if _starved(rtl, emulator):
        return STARVED
    if _leaves_both(rtl, emulator):
        return BOTH
    if _another_first(bench, instructions, rtl, emulator):
        return ANOTHER_FIRST
    return "MISMATCH: another outcome"
