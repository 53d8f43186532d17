"""The driver: everything a device with registers does, whatever the registers are reached through."""

from __future__ import annotations

from abc import abstractmethod
from typing import NoReturn

import numpy as np

from eftrain_hdl.registers import IDENTIFICATION, REGISTER_MAP, REGISTER_MAP_VERSION, ErrorCode, Unit
from eftrain_hdl.runtime.describe import describe
from eftrain_hdl.runtime.device import Device, RunResult
from eftrain_hdl.runtime.errors import ConfigurationMismatch, DeviceError, DeviceNotReady, DeviceTimeout

__all__ = ["RegisterDevice"]

_LOG_ENTRIES = 1 << REGISTER_MAP["TIMESTAMP_INDEX"].field("value").width
_COUNTERS = tuple(register.name for register in REGISTER_MAP if register.snapshot)
_UNSEEN = ("window", "outstanding", "axi3")


class RegisterDevice(Device):
    """A device behind the register map of :mod:`eftrain_hdl.registers`.

    A back end gives register access, memory access, :meth:`wait` and :meth:`settle`; it calls :meth:`open` when both
    kinds of access work.
    """

    _scalars = (0.0, 0.0, 0.0)

    @abstractmethod
    def read32(self, offset: int) -> int:
        """Read a register word."""

    @abstractmethod
    def write32(self, offset: int, value: int) -> None:
        """Write a register word."""

    @abstractmethod
    def wait(self) -> None:
        """Return when a program ends or stops with an error, and call :meth:`give_up` if that takes too long."""

    @abstractmethod
    def settle(self) -> None:
        """Return when a soft reset is over; pull the reset pin, or raise `DeviceTimeout`, if that takes too long."""

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
        self._setup = burst_bytes, watchdog
        self._check_hardware()
        self.write_register("WINDOW_BASE", self.window_base)
        self.write_register("WINDOW_LIMIT", self.window_limit)
        self.write_register("BURST", REGISTER_MAP["BURST"].pack(read_bytes=burst_bytes, write_bytes=burst_bytes))
        self.write_register("WATCHDOG", watchdog)
        self.write_register("INTERRUPT_ENABLE", REGISTER_MAP["INTERRUPT_ENABLE"].pack(done=1, error=1))
        self.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(interrupt_enable=1))

    def _check_hardware(self) -> None:
        known = (("ID", "value", IDENTIFICATION), ("VERSION", "register_map", REGISTER_MAP_VERSION))
        for register, field, value in known:
            found = self.read_field(register, field)
            if found != value:
                raise ConfigurationMismatch(
                    f"{register}.{field} reads {found:#x}, expected {value:#x}: no accelerator that this driver knows"
                )
        differ = [
            f"{what} {found:,} in the hardware, {wanted:,} in the plan"
            for what, found, wanted in self._capabilities() if found != wanted
        ]  # fmt: skip
        if differ:
            raise ConfigurationMismatch("the hardware is another configuration: " + "; ".join(differ))
        found = self.read_field("CONFIGURATION_HASH", "value")
        if found != self.config.digest:
            raise ConfigurationMismatch(
                f"the hardware is another configuration: CONFIGURATION_HASH reads {found:#010x}, expected "
                f"{self.config.digest:#010x}, and all sizes that can be read agree; one of "
                f"{', '.join(_UNSEEN)} differs"
            )

    def _capabilities(self) -> list[tuple[str, int, int]]:
        """Name, value in the hardware and value in the configuration of all that registers tell."""
        config = self.config
        expected = (
            ("rows", "CAPABILITY_ARRAY", "rows", config.rows),
            ("lanes", "CAPABILITY_ARRAY", "lanes", config.lanes),
            ("exponent bits of operand", "CAPABILITY_FORMAT", "exponent", config.operand.exponent),
            ("mantissa bits of operand", "CAPABILITY_FORMAT", "mantissa", config.operand.mantissa),
            ("ports", "CAPABILITY_PORTS", "count", config.ports),
            ("data_width", "CAPABILITY_PORTS", "data_width", config.data_width or 0),
            ("address_width", "CAPABILITY_PORTS", "address_width", config.address_width),
            ("streaming_depth", "CAPABILITY_STREAMING", "value", config.streaming_depth),
            ("stationary_depth", "CAPABILITY_STATIONARY", "value", config.stationary_depth),
            ("accumulator_depth", "CAPABILITY_ACCUMULATOR", "depth", config.accumulator_depth),
            ("accumulator_banks", "CAPABILITY_ACCUMULATOR", "banks", config.accumulator_banks),
            ("words of operand memory", "CAPABILITY_OPERAND", "value", config.operand_depth * config.vector_lanes),
        )
        return [(what, self.read_field(register, field), wanted) for what, register, field, wanted in expected]

    def set_scalars(self, learning_rate: float, weight_decay: float, momentum: float) -> None:
        self._scalars = (learning_rate, weight_decay, momentum)
        for name, value in zip(("LEARNING_RATE", "WEIGHT_DECAY", "MOMENTUM"), self._scalars, strict=True):
            self.write_register(name, int(np.float32(value).view(np.uint32)))

    def check_ready(self) -> None:
        super().check_ready()
        status, fields = self.read_register("STATUS"), REGISTER_MAP["STATUS"]
        if fields.field("error").get(status):
            raise DeviceNotReady(self._error())
        for name, what in (("busy", "the machine is busy with a program"), ("resetting", "the machine is in a reset")):
            if fields.field(name).get(status):
                # The machine ignores a start while it is busy, and the end of the other program would count as ours.
                raise DeviceNotReady(f"{what} that this device did not start")

    def _run(self, program_address: int, program_bytes: int) -> RunResult:
        self.write_register("PROGRAM_ADDRESS", program_address)
        self.write_register("PROGRAM_BYTES", program_bytes)
        self.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(start=1, interrupt_enable=1))
        self.wait()
        self.write_register("INTERRUPT_STATUS", REGISTER_MAP["INTERRUPT_STATUS"].pack(done=1, error=1))
        if self.read_field("STATUS", "error"):
            raise self._error(program_address, program_bytes)
        self.write_register("STATUS", REGISTER_MAP["STATUS"].pack(done=1))
        counters = self._counters()
        return RunResult(counters["CYCLES"], counters, self._timestamps())

    def _reset(self) -> None:
        self.write_register("CONTROL", REGISTER_MAP["CONTROL"].pack(soft_reset=1, interrupt_enable=1))
        self.settle()
        burst_bytes, watchdog = self._setup
        self.open(burst_bytes=burst_bytes, watchdog=watchdog)
        self.write_register("INTERRUPT_STATUS", REGISTER_MAP["INTERRUPT_STATUS"].pack(done=1, error=1))
        self.write_register("STATUS", REGISTER_MAP["STATUS"].pack(done=1))
        self.set_scalars(*self._scalars)

    def give_up(self) -> NoReturn:
        """Raise `DeviceTimeout` with what can be seen of a machine that goes on for too long."""
        before, after = self._counters(), self._counters()
        units = [unit.name for unit in Unit if unit is not Unit.COMMAND]
        busy = [name for name in units if after[f"{name}_BUSY"] > before[f"{name}_BUSY"]]
        waiting = [name for name in units if after[f"{name}_WAIT"] > before[f"{name}_WAIT"]]
        seen = [f"{' and '.join(names)} {what}" for names, what in ((busy, "busy"), (waiting, "waiting")) if names]
        halted = ["halted"] if self.read_field("STATUS", "halted") else []
        detail = ", ".join(halted + seen) or "no unit busy or waiting"
        raise DeviceTimeout(self.timeout, self.read_register("PROGRAM_ADDRESS"), detail, after)

    def _counters(self) -> dict[str, int]:
        return {name: self.read_register(name) for name in _COUNTERS}

    def _error(self, program_address: int = 0, program_bytes: int = 0) -> DeviceError:
        """What the registers say of a machine that has stopped with an error."""
        code, address = ErrorCode(self.read_field("ERROR_CODE", "code")), self.read_register("ERROR_ADDRESS")
        detail = ""
        if code is ErrorCode.WATCHDOG:
            busy = [unit.name for unit in Unit if address >> unit & 1]
            detail = f"no progress; {' and '.join(busy) if busy else 'no unit'} busy"
        unit, instruction = Unit(self.read_field("ERROR_CODE", "unit")), self.read_register("ERROR_INSTRUCTION")
        command = self._command(program_address, program_bytes, instruction)
        return DeviceError(code, unit, address, instruction, detail, command=command, counters=self._counters())

    def _command(self, address: int, nbytes: int, index: int) -> str:
        """The instruction of a program in words; empty if the program is not known or has no such instruction."""
        if not nbytes or address < self.window_base or address + nbytes > self.window_limit:
            return ""
        return describe(self.read(address, nbytes // 4 * 4).view(np.uint32), index)

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
