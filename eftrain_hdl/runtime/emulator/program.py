"""Programs as the emulator executes them: decoded once, with the plans of their instructions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import FORMATS, Instruction, Opcode
from eftrain_hdl.registers import ErrorCode

from .state import Fault

__all__ = ["Program", "Plan"]

_PLAN_BYTES = 1 << 28
"""Memory that the plans of one program may take; beyond it they are made again every time."""
_HEADER_WORDS = 2


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
        try:
            while not self.instructions or self.instructions[-1].opcode is not Opcode.END:
                if at >= len(words):
                    raise Fault(ErrorCode.BAD_LENGTH, "the program has no END", address + 4 * at)
                instruction = _decode(words[at:], address + 4 * at)
                body = words[at + _HEADER_WORDS:at + instruction.format.words]
                self.instructions.append(instruction)
                self.addresses.append(address + 4 * at)
                self.keys.append(bytes([instruction.opcode]) + body.tobytes())
                at += instruction.format.words
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


def _decode(words: NDArray[np.uint32], address: int) -> Instruction:
    head = int(words[0])
    try:
        layout = FORMATS[Opcode(head & 0xFF)]
    except ValueError:
        raise Fault(ErrorCode.BAD_OPCODE, f"opcode {head & 0xFF:#04x} does not exist", address) from None
    if head >> 8 & 0xFF != layout.words:
        length = head >> 8 & 0xFF
        raise Fault(ErrorCode.BAD_LENGTH, f"{layout.opcode.name} has {layout.words} words, not {length}", address)
    if len(words) < layout.words:
        raise Fault(ErrorCode.BAD_LENGTH, f"{layout.opcode.name} runs past the end of the program", address)
    given = words[:layout.words].tolist()
    values = {}
    for field in layout.fields:
        word, bit = layout.places[field.name]
        value = given[word] >> bit & ((1 << field.bits) - 1)
        if value:
            values[field.name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
    return Instruction(layout.opcode, values)
