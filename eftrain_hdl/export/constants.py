"""The tables as named integers, for the languages that have no better way to say them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from eftrain_hdl.isa import (
    FORMATS,
    INSTRUCTION_ALIGNMENT,
    MOST_DISTANCE,
    NO_INDEX,
    Field,
    InstructionFormat,
    Opcode,
    Target,
)
from eftrain_hdl.registers import (
    IDENTIFICATION,
    REGISTER_MAP,
    REGISTER_MAP_VERSION,
    Access,
    ErrorCode,
    Register,
    Unit,
)

__all__ = ["NOTES", "Constant", "Group", "groups"]

NOTES = (
    "Offsets are bytes. Masks are in place: a field of a register, or of a word of an instruction, is",
    "(value & MASK) >> SHIFT. A register that has a _HI_OFFSET is 64 bits wide: read the low word first, which",
    "captures the high word if it is a counter.",
)
"""How to read the constants, in lines."""


@dataclass(frozen=True)
class Constant:
    """An integer with a name; ``digits`` hexadecimal ones, 16 for what needs 64 bits, or 0 for a decimal number."""

    name: str
    value: int
    digits: int = 0

    @property
    def text(self) -> str:
        """The number as C and Python write it, without a suffix."""
        return f"0x{self.value:0{self.digits}X}" if self.digits else str(self.value)


@dataclass(frozen=True)
class Group:
    """Constants that belong together, below lines that say what they are."""

    comment: tuple[str, ...]
    constants: tuple[Constant, ...]


def groups() -> Iterator[Group]:
    """All constants; no two have the same name."""
    yield Group(("Identification: what the registers ID and VERSION.register_map read.",), (
        Constant("IDENTIFICATION", IDENTIFICATION, 8),
        Constant("REGISTER_MAP_VERSION", REGISTER_MAP_VERSION),
    ))  # fmt: skip
    yield Group(("Bytes that the registers take up.",), (
        Constant("REGISTERS_BYTES", 1 << REGISTER_MAP.address_width, 4),
    ))  # fmt: skip
    yield from map(_register, REGISTER_MAP)
    yield _numbers("ERROR", ErrorCode, "Errors: ERROR_CODE.code.")
    yield _numbers("UNIT", Unit, "Units: ERROR_CODE.unit, and the bits of ERROR_ADDRESS after WATCHDOG.")
    yield _numbers("OPCODE", Opcode, "Opcodes.", digits=2)
    yield _numbers("TARGET", Target, "Targets of a load.")
    yield Group(("Other numbers of the instruction set.",), (
        Constant("MOST_DISTANCE", MOST_DISTANCE),
        Constant("INSTRUCTION_ALIGNMENT", INSTRUCTION_ALIGNMENT),
        Constant("NO_INDEX", NO_INDEX, 8),
    ))  # fmt: skip
    yield from _instructions()


def _register(register: Register) -> Group:
    comment = [f"{register.name}: {register.doc}"]
    found = [Constant(f"{register.name}_OFFSET", register.offset, 3)]
    digits = 8
    if register.wide:
        found.append(Constant(f"{register.name}_HI_OFFSET", REGISTER_MAP.offset(f"{register.name}_HI"), 3))
        digits = 16
    for item in register.fields:
        name = f"{register.name}_{item.name.upper()}"
        comment.append(f"  {item.name} ({item.access.value}): {item.doc}")
        found += [Constant(f"{name}_SHIFT", item.lsb), Constant(f"{name}_MASK", item.mask, digits)]
        if item.access not in (Access.READ, Access.PULSE):
            found.append(Constant(f"{name}_RESET", item.reset, digits))
    return Group(tuple(comment), tuple(found))


def _numbers(prefix: str, numbers: type[IntEnum], comment: str, *, digits: int = 0) -> Group:
    return Group((comment,), tuple(Constant(f"{prefix}_{item.name}", int(item), digits) for item in numbers))


def _instructions() -> Iterator[Group]:
    shared = FORMATS[Opcode.END]
    yield Group(
        ("Header of every instruction. Of each field: the word it is in, its place there, whether it is signed.",),
        tuple(_places("HEADER", shared, shared.fields)),
    )
    for opcode, layout in FORMATS.items():
        prefix = f"INSTRUCTION_{opcode.name}"
        words = Constant(f"{prefix}_WORDS", layout.words)
        fields = _places(prefix, layout, layout.fields[len(shared.fields) :])
        yield Group((f"{opcode.name}: words of it, fields after the header.",), (words, *fields))


def _places(prefix: str, layout: InstructionFormat, fields: Sequence[Field]) -> Iterator[Constant]:
    for item in fields:
        word, bit = layout.places[item.name]
        name = f"{prefix}_{item.name.upper()}"
        yield Constant(f"{name}_WORD", word)
        yield Constant(f"{name}_SHIFT", bit)
        yield Constant(f"{name}_MASK", ((1 << item.bits) - 1) << bit, 8)
        yield Constant(f"{name}_SIGNED", int(item.signed))
