"""The driver: everything a device with registers does, whatever the registers are reached through."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from eftrain_hdl.registers import IDENTIFICATION, REGISTER_MAP, ErrorCode, Unit
from eftrain_hdl.runtime.device import Device, RunResult
from eftrain_hdl.runtime.errors import DeviceError

__all__ = ["ConfigurationMismatch", "RegisterDevice"]

_LOG_ENTRIES = 1 << REGISTER_MAP["TIMESTAMP_INDEX"].field("value").width
_COUNTERS = tuple(register.name for register in REGISTER_MAP if register.snapshot)


class ConfigurationMismatch(RuntimeError):
    """The hardware is not what the software was compiled for; the message names the register and both values."""


class RegisterDevice(Device):
    """A device behind the register map of :mod:`eftrain_hdl.registers`.

    A back end gives register access, memory access and :meth:`wait`; it calls :meth:`open` when both work.
    """

    @abstractmethod
    def read32(self, offset: int) -> int:
        """Read a register word."""

    @abstractmethod
    def write32(self, offset: int, value: int) -> None:
        """Write a register word."""

    @abstractmethod
    def wait(self) -> None:
        """Return when the interrupt is raised; raise :class:`DeviceError` (WATCHDOG) if that takes too long."""

    def read_register(self, name: str) -> int:
        """Value of a register of either size."""
        offset = REGISTER_MAP.offset(name)
        low = self.read32(offset)
        return low | self.read32(offset + 4) << 32 if REGISTER_MAP[name].wide else low

    def write_register(self, name: str, value: int) -> None:
        """Write a register of either size; the high word last, which is what takes effect."""
        offset = REGISTER_MAP.offset(name)
        self.write32(offset, value & 0xFFFF_FFFF)
        if REGISTER_MAP[name].wide:
            self.write32(offset + 4, value >> 32)

    def read_field(self, register: str, field: str) -> int:
        """Value of one field."""
        return REGISTER_MAP[register].field(field).get(self.read_register(register))

    def open(self, *, burst_bytes: int, watchdog: int) -> None:
        """Check that the hardware is the configuration's and set it up.

        Raises
        ------
        ConfigurationMismatch
            If identification or a capability differs; nothing has been written then.
        """
        config = self.config
        self._expect("ID", "value", IDENTIFICATION)
        for register, field, value in (
            ("CAPABILITY_ARRAY", "rows", config.rows),
            ("CAPABILITY_ARRAY", "lanes", config.lanes),
            ("CAPABILITY_FORMAT", "exponent", config.operand.exponent),
            ("CAPABILITY_FORMAT", "mantissa", config.operand.mantissa),
            ("CAPABILITY_PORTS", "count", config.ports),
            ("CAPABILITY_PORTS", "data_width", config.data_width or 0),
            ("CAPABILITY_STREAMING", "value", config.streaming_depth),
            ("CAPABILITY_STATIONARY", "value", config.stationary_depth),
            ("CAPABILITY_ACCUMULATOR", "depth", config.accumulator_depth),
            ("CAPABILITY_ACCUMULATOR", "banks", config.accumulator_banks),
            ("CONFIGURATION_HASH", "value", config.digest),
        ):
            self._expect(register, field, value)
        self.write_register("WINDOW_BASE", self.window_base)
        self.write_register("WINDOW_LIMIT", self.window_limit)
        self.write_register("BURST", REGISTER_MAP["BURST"].pack(read_bytes=burst_bytes, write_bytes=burst_bytes))
        self.write_register("WATCHDOG", watchdog)
        self.write_register("INTERRUPT_ENABLE", REGISTER_MAP["INTERRUPT_ENABLE"].pack(done=1, error=1))
        self.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(interrupt_enable=1))

    def _expect(self, register: str, field: str, value: int) -> None:
        found = self.read_field(register, field)
        if found != value:
            raise ConfigurationMismatch(f"{register}.{field} reads {found:#x}, the configuration says {value:#x}")

    def set_scalars(self, learning_rate: float, weight_decay: float, momentum: float) -> None:
        for name, value in (("LEARNING_RATE", learning_rate), ("WEIGHT_DECAY", weight_decay), ("MOMENTUM", momentum)):
            self.write_register(name, int(np.float32(value).view(np.uint32)))

    def run(self, program_address: int, program_bytes: int) -> RunResult:
        self._raise_error("the device needs a reset")
        self.write_register("PROGRAM_ADDRESS", program_address)
        self.write_register("PROGRAM_BYTES", program_bytes)
        self.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(start=1, interrupt_enable=1))
        self.wait()
        self.write_register("INTERRUPT_STATUS", REGISTER_MAP["INTERRUPT_STATUS"].pack(done=1, error=1))
        self._raise_error("")
        self.write_register("STATUS", REGISTER_MAP["STATUS"].pack(done=1))
        counters = {name: self.read_register(name) for name in _COUNTERS}
        return RunResult(counters["CYCLES"], counters, self._timestamps())

    def _raise_error(self, detail: str) -> None:
        if not self.read_field("STATUS", "error"):
            return
        code, address = ErrorCode(self.read_field("ERROR_CODE", "code")), self.read_register("ERROR_ADDRESS")
        if code is ErrorCode.WATCHDOG:
            busy = [unit.name for unit in Unit if address >> unit & 1]
            detail = f"no progress; {' and '.join(busy) if busy else 'no unit'} busy" + (detail and f"; {detail}")
        unit, instruction = Unit(self.read_field("ERROR_CODE", "unit")), self.read_register("ERROR_INSTRUCTION")
        raise DeviceError(code, unit, address, instruction, detail)

    def _timestamps(self) -> list[int]:
        stamps = []
        for index in range(min(self.read_register("TIMESTAMP_COUNT"), _LOG_ENTRIES)):
            self.write_register("TIMESTAMP_INDEX", index)
            stamps.append(self.read_register("TIMESTAMP_DATA"))
        return stamps

    def flags(self) -> dict[str, bool]:
        return {name: bool(self.read_field("FP_FLAGS", name)) for name in ("overflow", "invalid")}

    def clear_flags(self) -> None:
        self.write_register("FP_FLAGS", REGISTER_MAP["FP_FLAGS"].pack(overflow=1, invalid=1))
