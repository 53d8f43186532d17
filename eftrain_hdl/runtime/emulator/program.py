"""Programs as the emulator executes them: decoded once, with the plans of their instructions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import FORMATS, HEADER_WORDS, Instruction, Opcode
from eftrain_hdl.registers import ErrorCode

from .state import Fault

__all__ = ["Program", "Plan"]

_PLAN_BYTES = 1 << 28
"""Memory that the plans of one program may take; beyond it they are made again every time."""


class Plan(Protocol):
    """What a unit works out about an instruction before it executes it."""

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""


class Program:
    """Instructions of a program up to END or to the first that cannot be decoded.

    Parameters
    ----------
    words : uint32 array
    address : DRAM byte address of the program, for error messages.
    """

    def __init__(self, words: NDArray[np.uint32], address: int):
        self.instructions: list[Instruction] = []
        self.addresses: list[int] = []
        self.keys: list[bytes] = []
        self.fault: Fault | None = None
        self._plans: dict[bytes, Plan] = {}
        self._plan_bytes = 0
        at = 0
        before: dict[Opcode, NDArray[np.uint32]] = {}
        try:
            while not self.instructions or self.instructions[-1].opcode is not Opcode.END:
                if at >= len(words):
                    raise Fault(ErrorCode.BAD_LENGTH, "the program has no END", address + 4 * at)
                instruction, whole = _decode(words[at:], address + 4 * at, before)
                self.instructions.append(instruction)
                self.addresses.append(address + 4 * at)
                self.keys.append(bytes([instruction.opcode]) + whole[HEADER_WORDS:].tobytes())
                at += instruction["length"]
        except Fault as fault:
            self.fault = fault

    def beside(self, index: int) -> Iterator[Instruction]:
        """Later instructions of other units that may start while that of ``index`` waits: none behind a BARRIER."""
        unit = self.instructions[index].format.unit
        for one in self.instructions[index + 1:]:
            if one.opcode in (Opcode.BARRIER, Opcode.END):
                return
            if one.format.unit is not unit:
                yield one

    def plan(self, key: bytes) -> Plan | None:
        """The plan kept for an instruction, if there is one."""
        return self._plans.get(key)

    def keep(self, key: bytes, plan: Plan) -> None:
        """Keep a plan, unless too much is kept already."""
        if self._plan_bytes + plan.nbytes <= _PLAN_BYTES:
            self._plan_bytes += plan.nbytes
            self._plans[key] = plan


def _decode(
    words: NDArray[np.uint32], address: int, before: dict[Opcode, NDArray[np.uint32]]
) -> tuple[Instruction, NDArray[np.uint32]]:
    """The instruction at the front of ``words``, and all its words; those that it lacks are in ``before``."""
    head = int(words[0])
    try:
        layout = FORMATS[Opcode(head & 0xFF)]
    except ValueError:
        raise Fault(ErrorCode.BAD_OPCODE, f"opcode {head & 0xFF:#04x} does not exist", address) from None
    length, last = head >> 8 & 0xFF, before.get(layout.opcode)
    if wrong := layout.refuse_length(length, last is None):
        raise Fault(ErrorCode.BAD_LENGTH, wrong, address)
    if len(words) < length:
        raise Fault(ErrorCode.BAD_LENGTH, f"{layout.opcode.name} runs past the end of the program", address)
    whole = words[:length] if last is None else np.concatenate((words[:length], last[length:]))
    before[layout.opcode] = whole
    given = whole.tolist()
    values = {}
    for field in layout.fields:
        word, bit = layout.places[field.name]
        value = given[word] >> bit & ((1 << field.bits) - 1)
        if value:
            values[field.name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    return Instruction(layout.opcode, values), whole
