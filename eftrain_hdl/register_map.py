"""What a register map is made of: fields, registers, and the checks on a table of them.

Like the table itself, :mod:`eftrain_hdl.registers`, it imports nothing but the standard library.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Access", "Field", "Register", "RegisterMap"]


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
