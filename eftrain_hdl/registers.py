"""The AXI4-Lite register map: one table from which gateware, driver, C header and documentation derive.

The module imports nothing but the standard library, so that a driver on a board can use it without the HDL tools.

Conventions: offsets are bytes; every register is 32 bits, or 64 bits as a low word and a high word 4 bytes above it.
Reading the low word of a 64-bit counter captures its high word, and the next read of a high word of *any* counter
returns the captured value: read low, then high, one counter at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum

__all__ = [
    "Access",
    "ErrorCode",
    "Field",
    "IDENTIFICATION",
    "IP_VLNV",
    "REGISTER_MAP",
    "REGISTER_MAP_VERSION",
    "Register",
    "RegisterMap",
    "Unit",
]

IDENTIFICATION = 0x4546_5448
REGISTER_MAP_VERSION = 1

IP_VLNV = f"eftrain-hdl:accelerator:eftrain:{REGISTER_MAP_VERSION}.0"
"""Vendor, library, name and version of the packaged accelerator; drivers find it in a hardware description by this."""


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
    TOKEN_OVERFLOW = 8
    WATCHDOG = 9
    BAD_FIELD = 10


class Unit(IntEnum):
    """Which unit stopped; the value of ERROR_CODE.unit."""

    COMMAND = 0
    LOAD_X = 1
    LOAD_A = 2
    COMPUTE = 3
    VECTOR = 4
    STORE_0 = 5
    STORE_1 = 6


class Access(Enum):
    """What software may do with a field, and which port the register bank has for it."""

    CONSTANT = "const"
    """Reads its reset value; no port."""
    READ = "ro"
    """Reads an input port."""
    WRITE = "rw"
    """Held in the bank, drives an output port."""
    CLEAR = "w1c"
    """A bit held in the bank: an input port sets it, writing 1 clears it (setting wins), an output port shows it."""
    PULSE = "wo"
    """Writing puts the value on an output port for one cycle; reads as zero."""


@dataclass(frozen=True)
class Field:
    """Bits ``lsb + width - 1`` to ``lsb`` of a register; ``reset`` is also the value of a CONSTANT field."""

    name: str
    lsb: int
    width: int
    access: Access
    doc: str
    reset: int = 0

    def __post_init__(self) -> None:
        if self.lsb < 0 or self.width < 1 or self.lsb + self.width > 64:
            raise ValueError(f"field {self.name!r}: bits {self.lsb} + {self.width} do not fit a register")
        if not 0 <= self.reset < 1 << self.width:
            raise ValueError(f"field {self.name!r}: reset value {self.reset!r} does not fit {self.width} bits")

    @property
    def mask(self) -> int:
        """Ones where the field is in its register."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, value: int) -> int:
        """Extract this field from the value of its register."""
        return (value & self.mask) >> self.lsb


@dataclass(frozen=True)
class Register:
    """A register of 32 bits, or of 64 if ``wide``; ``snapshot`` as described at the top of this module."""

    name: str
    offset: int
    fields: tuple[Field, ...]
    doc: str
    wide: bool = False
    snapshot: bool = False

    def __post_init__(self) -> None:
        if self.offset < 0 or self.offset % (8 if self.wide else 4):
            raise ValueError(f"register {self.name!r}: offset {self.offset:#x} is not aligned")
        if not self.fields:
            raise ValueError(f"register {self.name!r} has no fields")
        if self.snapshot and not (self.wide and not self.writable):
            raise ValueError(f"register {self.name!r}: only a wide read-only register can have a snapshot")
        taken = 0
        for item in self.fields:
            if item.mask >= 1 << (64 if self.wide else 32):
                raise ValueError(f"register {self.name!r}: field {item.name!r} does not fit")
            if item.mask & taken:
                raise ValueError(f"register {self.name!r}: field {item.name!r} overlaps another")
            taken |= item.mask

    @property
    def size(self) -> int:
        """Bytes occupied, 4 or 8."""
        return 8 if self.wide else 4

    @property
    def writable(self) -> bool:
        """Whether a write is accepted (the bank answers SLVERR otherwise)."""
        return any(item.access in (Access.WRITE, Access.CLEAR, Access.PULSE) for item in self.fields)

    def field(self, name: str) -> Field:
        """Find a field by name; ``KeyError`` if there is none."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(f"register {self.name} has no field {name!r}")

    def port(self, item: Field) -> str:
        """Name of the register bank's port for ``item``; a sole field called ``value`` is left out of it."""
        name = self.name.lower()
        return name if len(self.fields) == 1 and item.name == "value" else f"{name}_{item.name}"

    def pack(self, **values: int) -> int:
        """Build the register's value from fields; those not named are zero. ``ValueError`` if one does not fit."""
        result = 0
        for name, value in values.items():
            item = self.field(name)
            if not 0 <= value < 1 << item.width:
                raise ValueError(f"{self.name}.{name} is {item.width} bits wide, {value!r} does not fit")
            result |= value << item.lsb
        return result


@dataclass(frozen=True)
class RegisterMap:
    """An address map: ``registers`` in the order of their offsets, within ``1 << address_width`` bytes."""

    registers: tuple[Register, ...]
    address_width: int
    _by_name: dict[str, Register] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, Register] = {}
        end = 0
        for register in self.registers:
            if register.name in by_name:
                raise ValueError(f"register {register.name!r} is in the map twice")
            if register.offset < end:
                raise ValueError(f"register {register.name!r} overlaps or precedes the one before it")
            by_name[register.name] = register
            end = register.offset + register.size
        if end > 1 << self.address_width:
            raise ValueError(f"registers end at {end:#x}, beyond {self.address_width} address bits")
        ports = [register.port(item) for register in self.registers for item in register.fields]
        if len(set(ports)) != len(ports):
            raise ValueError("two fields have the same port name")
        object.__setattr__(self, "_by_name", by_name)

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def __getitem__(self, name: str) -> Register:
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no register is called {name!r}") from None

    def offset(self, name: str) -> int:
        """Byte offset of a register, or of one word of a wide one: ``offset("CYCLES")``, ``offset("CYCLES_HI")``."""
        if name not in self._by_name:
            for suffix, distance in (("_LO", 0), ("_HI", 4)):
                wide = self._by_name.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
                if wide is not None and wide.wide:
                    return wide.offset + distance
        return self[name].offset

    def markdown(self) -> str:
        """The whole map as a Markdown table, one line a field."""
        lines = [
            "| Offset | Register | Bits | Field | Access | Reset | Meaning |",
            "|---|---|---|---|---|---|---|",
        ]
        for register in self.registers:
            offset = f"0x{register.offset:03X}"
            if register.wide:
                offset += f", 0x{register.offset + 4:03X}"
            lines.append(f"| {offset} | **{register.name}** | | | | | {register.doc} |")
            for item in register.fields:
                bits = f"{item.lsb + item.width - 1}:{item.lsb}" if item.width > 1 else f"{item.lsb}"
                reset = "" if item.access in (Access.READ, Access.PULSE) else f"0x{item.reset:X}"
                lines.append(f"| | | {bits} | {item.name} | {item.access.value} | {reset} | {item.doc} |")
        return "\n".join(lines) + "\n"


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
    rows += [(f"{unit}_WAIT", f"cycles in which {unit.lower()} waited for a dependency token") for unit in units]
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
                Field("register_map", 24, 8, Access.CONSTANT, "version of this table", REGISTER_MAP_VERSION),
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
