"""What constants are to be in C and in Python, worked out from the tables and not by the generators."""

from __future__ import annotations

from eftrain_hdl.isa import (
    AFTER,
    FORMATS,
    INSTRUCTION_ALIGNMENT,
    MOST_DISTANCE,
    NO_INDEX,
    Opcode,
    Target,
)
from eftrain_hdl.registers import IDENTIFICATION, REGISTER_MAP, REGISTER_MAP_VERSION, Access, ErrorCode, Unit

HEADER_FIELDS = ("opcode", "length", "tag", *AFTER.values())


def constants() -> dict[str, int]:
    """Every name and its value."""
    return {
        "IDENTIFICATION": IDENTIFICATION, "REGISTER_MAP_VERSION": REGISTER_MAP_VERSION, "REGISTERS_BYTES": 4096,
        "MOST_DISTANCE": MOST_DISTANCE, "NO_INDEX": NO_INDEX,
        "INSTRUCTION_ALIGNMENT": INSTRUCTION_ALIGNMENT,
        **{f"ERROR_{item.name}": int(item) for item in ErrorCode},
        **{f"UNIT_{item.name}": int(item) for item in Unit},
        **{f"OPCODE_{item.name}": int(item) for item in Opcode},
        **{f"TARGET_{item.name}": int(item) for item in Target},
        **_registers(), **_instructions(),
    }  # fmt: skip


def _registers() -> dict[str, int]:
    found = {}
    for register in REGISTER_MAP:
        found[f"{register.name}_OFFSET"] = register.offset
        if register.wide:
            found[f"{register.name}_HI_OFFSET"] = register.offset + 4
        for item in register.fields:
            name = f"{register.name}_{item.name.upper()}"
            found[f"{name}_SHIFT"] = item.lsb
            found[f"{name}_MASK"] = sum(1 << item.lsb + bit for bit in range(item.width))
            if item.access in (Access.CONSTANT, Access.WRITE, Access.CLEAR):
                found[f"{name}_RESET"] = item.reset
    return found


def _instructions() -> dict[str, int]:
    found = {}
    for opcode, layout in FORMATS.items():
        found[f"INSTRUCTION_{opcode.name}_WORDS"] = layout.words
        for item in layout.fields:
            word, bit = layout.places[item.name]
            prefix = "HEADER" if item.name in HEADER_FIELDS else f"INSTRUCTION_{opcode.name}"
            name = f"{prefix}_{item.name.upper()}"
            found[f"{name}_WORD"] = word
            found[f"{name}_SHIFT"] = bit
            found[f"{name}_MASK"] = sum(1 << bit + place for place in range(item.bits))
            found[f"{name}_SIGNED"] = int(item.signed)
    return found
