"""The address map as SystemRDL 2.0, from which other tools make register models, pages and verification code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from eftrain_hdl.registers import ERROR_MEANINGS, IP_NAME, IP_VLNV, REGISTER_MAP, Access, Field, Register, Unit

__all__ = ["systemrdl"]

_ACCESS: Mapping[Access, str] = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.READ: "sw = r; hw = w;",
    Access.WRITE: "sw = rw; hw = r;",
    Access.CLEAR: "sw = rw; onwrite = woclr; hw = r; hwset;",
    Access.PULSE: "sw = w; hw = r; singlepulse;",
}
_ENUMS: Mapping[tuple[str, str], str] = {("ERROR_CODE", "code"): "error_code", ("ERROR_CODE", "unit"): "unit_number"}
_BUS = "AXI4-Lite, 32-bit data. SLVERR answers an address without a register and a write where nothing can be written."
_SNAPSHOT = "Read the low word first: that captures the high word, which the next read of a high word returns."


def systemrdl() -> str:
    """The whole map as one ``addrmap``.

    A 64-bit register stays one register, with ``regwidth = 64`` and ``accesswidth = 32``: two registers of 32 bits
    would tear its field apart, and every generator would then make two names, two resets and two texts of it.
    SystemRDL has no word for the captured high word of a counter; its description says it.
    """
    lines = [
        f"// Registers of the accelerator {IP_VLNV}. Written by `eftrain export --format systemrdl`.",
        "",
        *_enum("error_code", ERROR_MEANINGS.items()),
        "",
        *_enum("unit_number", ((unit, unit.name) for unit in Unit)),
        "",
        f"addrmap {IP_NAME} {{",
        f"    name = {_quoted(IP_VLNV)};",
        f"    desc = {_quoted(_BUS)};",
        "    addressing = compact;",
        "    littleendian;",
        "    default accesswidth = 32;",
    ]
    for register in REGISTER_MAP:
        lines += ["", *_register(register)]
    return "\n".join((*lines, "};")) + "\n"


def _enum(name: str, texts: Iterable[tuple[IntEnum, str]]) -> Iterator[str]:
    yield f"enum {name} {{"
    for number, text in texts:
        yield f"    {number.name} = 8'd{int(number)} {{ desc = {_quoted(text)}; }};"
    yield "};"


def _register(register: Register) -> Iterator[str]:
    doc = f"{register.doc} {_SNAPSHOT}" if register.snapshot else register.doc
    yield "    reg {"
    yield f"        desc = {_quoted(doc)};"
    yield f"        regwidth = {8 * register.size};"
    for item in register.fields:
        yield from _field(register, item)
    yield f"    }} {register.name} @ 0x{register.offset:03X};"


def _field(register: Register, item: Field) -> Iterator[str]:
    yield "        field {"
    yield f"            desc = {_quoted(item.doc)};"
    yield f"            {_ACCESS[item.access]}"
    if (register.name, item.name) in _ENUMS:
        yield f"            encode = {_ENUMS[register.name, item.name]};"
    reset = "" if item.access is Access.READ else f" = {item.width}'h{item.reset:X}"
    yield f"        }} {item.name}[{item.lsb + item.width - 1}:{item.lsb}]{reset};"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
