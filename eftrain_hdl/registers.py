"""The AXI4-Lite register map: one table from which gateware, driver and everything in eftrain_hdl/export derive.

It imports nothing beyond the standard library, so that a driver on a board can use it without the HDL tools.

Conventions: offsets are bytes; every register is 32 bits, or 64 bits as a low word and a high word 4 bytes above it.
Reading the low word of a 64-bit counter captures its high word, and the next read of a high word of *any* counter
returns the captured value: read low, then high, one counter at a time.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum

from eftrain_hdl.register_map import Access, Field, Register, RegisterMap

__all__ = [
    "Access",
    "ERROR_MEANINGS",
    "ErrorCode",
    "Field",
    "IDENTIFICATION",
    "BUFFER_NAME",
    "IP_NAME",
    "IP_VLNV",
    "REGISTER_MAP",
    "REGISTER_MAP_VERSION",
    "Register",
    "RegisterMap",
    "Unit",
]

IDENTIFICATION = 0x4546_5448
REGISTER_MAP_VERSION = 2

IP_VLNV = f"eftrain-hdl:accelerator:eftrain:{REGISTER_MAP_VERSION}.0"
"""Vendor, library, name and version of the packaged accelerator; drivers find it in a hardware description by this."""

IP_NAME = IP_VLNV.split(":")[2]
"""What a device tree calls the accelerator, and Linux its UIO device."""

BUFFER_NAME = f"udmabuf-{IP_NAME}"
"""Name of the contiguous buffer's device: /dev and /sys/class/u-dma-buf have it."""


class ErrorCode(IntEnum):
    """Why the machine stopped; the value of ERROR_CODE.code."""

    NONE = 0
    BAD_OPCODE = 1
    BAD_LENGTH = 2
    UNALIGNED = 3
    OUT_OF_WINDOW = 4
    READ_RESPONSE = 5
    WRITE_RESPONSE = 6
    CHIP_ADDRESS = 7
    WATCHDOG = 8
    BAD_FIELD = 9


ERROR_MEANINGS: Mapping[ErrorCode, str] = {
    ErrorCode.NONE: "no error",
    ErrorCode.BAD_OPCODE: "no instruction has this opcode",
    ErrorCode.BAD_LENGTH: "an instruction is longer than its opcode says or too short, or a program has no END",
    ErrorCode.UNALIGNED: "a DRAM address or stride is not a multiple of the beat",
    ErrorCode.OUT_OF_WINDOW: "a DRAM address outside WINDOW_BASE to WINDOW_LIMIT",
    ErrorCode.READ_RESPONSE: "memory answered a read with an error",
    ErrorCode.WRITE_RESPONSE: "memory answered a write with an error",
    ErrorCode.CHIP_ADDRESS: "an address outside an on-chip memory",
    ErrorCode.WATCHDOG: "no progress for as many cycles as WATCHDOG says",
    ErrorCode.BAD_FIELD: "a field of an instruction has a value that is not allowed, such as a count of zero",
}
"""What a driver may tell its user."""


class Unit(IntEnum):
    """Which unit stopped; the value of ERROR_CODE.unit."""

    COMMAND = 0
    LOAD_X = 1
    LOAD_A = 2
    COMPUTE = 3
    VECTOR = 4
    STORE_0 = 5
    STORE_1 = 6


def _capability(name: str, offset: int, *fields: tuple[str, int, int, str], doc: str) -> Register:
    return Register(name, offset, tuple(Field(n, lsb, w, Access.READ, text) for n, lsb, w, text in fields), doc)


def _value(name: str, offset: int, access: Access, doc: str, *, wide: bool = False, reset: int = 0) -> Register:
    item = Field("value", 0, 64 if wide else 32, access, doc, reset)
    return Register(name, offset, (item,), doc, wide=wide)


def _counters(base: int) -> Iterator[Register]:
    rows = [
        ("CYCLES", "clock cycles while a program ran"),
        ("MAC_CYCLES", "cycles in which the array took a vector"),
    ]
    units = [unit.name for unit in Unit if unit is not Unit.COMMAND]
    rows += [(f"{unit}_BUSY", f"cycles in which {unit.lower()} executed an instruction") for unit in units]
    rows += [(f"{unit}_WAIT", f"cycles in which {unit.lower()} waited for other units") for unit in units]
    rows += [(f"{unit}_BEATS", f"bus beats read by {unit.lower()}") for unit in ("COMMAND", "LOAD_X", "LOAD_A")]
    rows += [(f"{unit}_BEATS", f"bus beats written by {unit.lower()}") for unit in ("STORE_0", "STORE_1")]
    for index, (name, doc) in enumerate(rows):
        item = Field("value", 0, 64, Access.READ, doc)
        text = f"Counter, cleared by a start: {doc}."
        yield Register(name, base + 8 * index, (item,), text, wide=True, snapshot=True)


REGISTER_MAP = RegisterMap(
    address_width=12,
    registers=(
        Register(
            "ID",
            0x000,
            (Field("value", 0, 32, Access.CONSTANT, "0x45465448, the letters EFTH", IDENTIFICATION),),
            "Identification of the core.",
        ),
        Register(
            "VERSION",
            0x004,
            (
                Field("patch", 0, 8, Access.READ, "patch level of the gateware"),
                Field("minor", 8, 8, Access.READ, "minor version of the gateware"),
                Field("major", 16, 8, Access.READ, "major version of the gateware"),
                Field("register_map", 24, 8, Access.CONSTANT, "version of this table and the instruction set",
                      REGISTER_MAP_VERSION),
            ),
            "Versions. A driver refuses a register_map it does not know.",
        ),
        _capability(
            "CONFIGURATION_HASH",
            0x008,
            ("value", 0, 32, "hash"),
            doc="Low 32 bits of the hash of the elaboration parameters.",
        ),
        _capability(
            "CAPABILITY_ARRAY",
            0x010,
            ("rows", 0, 16, "Tm, outputs per cycle"),
            ("lanes", 16, 16, "Tn, products summed per row per cycle"),
            doc="Size of the MAC array.",
        ),
        _capability(
            "CAPABILITY_FORMAT",
            0x014,
            ("exponent", 0, 8, "exponent bits of an operand"),
            ("mantissa", 8, 8, "stored mantissa bits of an operand"),
            doc="Operand format of the array; results and accumulators are FP32.",
        ),
        _capability(
            "CAPABILITY_PORTS",
            0x018,
            ("count", 0, 8, "AXI4 manager ports"),
            ("data_width", 8, 16, "bits of a beat"),
            ("address_width", 24, 8, "bits of an address"),
            doc="Memory ports.",
        ),
        _capability(
            "CAPABILITY_STREAMING", 0x01C, ("value", 0, 32, "vectors"), doc="Depth of the streaming buffer in vectors."
        ),
        _capability(
            "CAPABILITY_STATIONARY",
            0x020,
            ("value", 0, 32, "vectors"),
            doc="Depth of the stationary buffer in vectors.",
        ),
        _capability(
            "CAPABILITY_ACCUMULATOR",
            0x024,
            ("depth", 0, 24, "words"),
            ("banks", 24, 8, "banks"),
            doc="Accumulators of one row: depth of a bank in FP32 words, and how many banks.",
        ),
        _capability(
            "CAPABILITY_OPERAND",
            0x028,
            ("value", 0, 32, "words"),
            doc="Depth of the vector unit's operand buffer in words.",
        ),
        Register(
            "CONTROL",
            0x040,
            (
                Field("start", 0, 1, Access.PULSE, "run the program; ignored while busy or halted"),
                Field("soft_reset", 1, 1, Access.PULSE, "drain the buses, then reset everything but these registers"),
                Field("interrupt_enable", 2, 1, Access.WRITE, "drive the interrupt pin"),
            ),
            "Control.",
        ),
        Register(
            "STATUS",
            0x044,
            (
                Field("busy", 0, 1, Access.READ, "a program runs"),
                Field("done", 1, 1, Access.CLEAR, "a program ended without error"),
                Field("error", 2, 1, Access.READ, "stopped by an error; ERROR_* say which; soft_reset clears it"),
                Field("halted", 3, 1, Access.READ, "all units have stopped and the buses are quiet"),
                Field("resetting", 4, 1, Access.READ, "a soft reset is in progress"),
            ),
            "Status.",
        ),
        Register(
            "INTERRUPT_STATUS",
            0x048,
            (
                Field("done", 0, 1, Access.CLEAR, "a program ended without error"),
                Field("error", 1, 1, Access.CLEAR, "the machine stopped with an error"),
            ),
            "Pending interrupts; each needs its enable bit and CONTROL.interrupt_enable to reach the pin.",
        ),
        Register(
            "INTERRUPT_ENABLE",
            0x04C,
            (
                Field("done", 0, 1, Access.WRITE, "enable the done interrupt"),
                Field("error", 1, 1, Access.WRITE, "enable the error interrupt"),
            ),
            "Interrupt enables.",
        ),
        _value("PROGRAM_ADDRESS", 0x050, Access.WRITE, "Byte address of the program.", wide=True),
        _value("PROGRAM_BYTES", 0x058, Access.WRITE, "Length of the program in bytes."),
        _value(
            "WINDOW_BASE",
            0x060,
            Access.WRITE,
            "Lowest byte address that the machine may touch.",
            wide=True,
        ),
        _value(
            "WINDOW_LIMIT",
            0x068,
            Access.WRITE,
            "First byte address above those that the machine may touch; zero after reset, so nothing is allowed.",
            wide=True,
        ),
        Register(
            "BURST",
            0x070,
            (
                Field("read_bytes", 0, 16, Access.WRITE, "longest read burst, a multiple of the beat", 128),
                Field("write_bytes", 16, 16, Access.WRITE, "longest write burst, a multiple of the beat", 128),
            ),
            "Burst lengths in bytes; rounded down to beats, at least one, at most what AXI and the FIFOs allow.",
        ),
        _value("WATCHDOG", 0x074, Access.WRITE, "Cycles without progress that count as an error; 0 switches it off."),
        Register(
            "ERROR_CODE",
            0x080,
            (
                Field("code", 0, 8, Access.READ, ", ".join(f"{int(code)} {code.name}" for code in ErrorCode)),
                Field("unit", 8, 8, Access.READ, ", ".join(f"{int(unit)} {unit.name}" for unit in Unit)),
                Field("tag", 16, 16, Access.READ, "tag of the instruction of ERROR_INSTRUCTION"),
            ),
            "The first error since reset.",
        ),
        _value("ERROR_INSTRUCTION", 0x084, Access.READ, "Index of the failed unit's oldest unfinished instruction."),
        _value(
            "ERROR_ADDRESS", 0x088, Access.READ,
            "Byte address that failed (a burst's first), if any. WATCHDOG: bit n is set if unit n was busy.", wide=True,
        ),
        Register(
            "FP_FLAGS",
            0x090,
            (
                Field("overflow", 0, 1, Access.CLEAR, "a result was too large for FP32"),
                Field("invalid", 1, 1, Access.CLEAR, "an operation had no defined result, such as inf - inf"),
            ),
            "Sticky floating-point flags.",
        ),
        _value("LEARNING_RATE", 0x0A0, Access.WRITE, "FP32 bit pattern."),
        _value("WEIGHT_DECAY", 0x0A4, Access.WRITE, "FP32 bit pattern."),
        _value("MOMENTUM", 0x0A8, Access.WRITE, "FP32 bit pattern."),
        Register(
            "TIMESTAMP_INDEX",
            0x0B0,
            (Field("value", 0, 9, Access.WRITE, "entry of the timestamp log to be read"),),
            "Selects an entry of the timestamp log.",
        ),
        _value("TIMESTAMP_DATA", 0x0B4, Access.READ, "Low word of CYCLES at that stamped STORE_0, BARRIER or END."),
        Register(
            "TIMESTAMP_COUNT",
            0x0B8,
            (Field("value", 0, 16, Access.READ, "entries since the start"),),
            "Timestamps taken by the present or last program; the log keeps the first 512.",
        ),
        *_counters(0x100),
    ),
)
