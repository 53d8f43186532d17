"""What boards have in common, whatever their registers and their memory are reached through."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer, number
from eftrain_hdl.config import Config
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.runtime.driver import RegisterDevice

__all__ = ["BoardDevice", "Buffer", "Registers", "check_expected", "memory_advice"]

_SHORTEST, _LONGEST = 20e-6, 2e-3
"""Seconds between two looks at the machine: first, and at most."""
_MOST_BURST = REGISTER_MAP["BURST"].field("read_bytes").mask
_MOST_WATCHDOG = REGISTER_MAP["WATCHDOG"].field("value").mask
_MEMINFO = Path("/proc/meminfo")


class Registers(Protocol):
    """Access to 32-bit registers by byte offset."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, value: int) -> None: ...


class Buffer(ABC):
    """Physically contiguous memory that CPU and accelerator share, and the CPU may hold in its caches.

    Attributes
    ----------
    address : int
        Physical address of the first byte, which is what the accelerator uses.
    array : NDArray[np.uint8]
        The bytes as the CPU sees them.
    """

    address: int
    array: NDArray[np.uint8]

    @abstractmethod
    def flush(self, start: int, nbytes: int) -> None:
        """Make what the CPU has written visible to the accelerator."""

    @abstractmethod
    def invalidate(self, start: int, nbytes: int) -> None:
        """Make what the accelerator has written visible to the CPU."""

    @abstractmethod
    def close(self) -> None:
        """Give the memory back; ``array`` must not be used any more."""


def check_expected(
    config: Config, memory_bytes: int, *, timeout: float = 60.0, burst_bytes: int = 128, watchdog: int = 1_000_000
) -> int:
    """``memory_bytes``: TypeError or ValueError, before anything on a board is touched, unless all can be meant."""
    check_kind("config", config, Config, "a Config, such as a plan has")
    number("timeout", timeout, 0, math.inf)
    integer("burst_bytes", burst_bytes, 1, _MOST_BURST)
    integer("watchdog", watchdog, 0, _MOST_WATCHDOG)
    return integer("memory_bytes", memory_bytes, 1, 1 << config.address_width)


class BoardDevice(RegisterDevice):
    """The accelerator of a board.

    Programs and tensors live in one buffer, outside of which the accelerator can touch nothing. The host polls for the
    end of a program.

    Parameters
    ----------
    config : Config
        What the hardware is expected to be.
    registers : Registers
    buffer : Buffer
    timeout : float
        Seconds that a program may take.
    burst_bytes : int
        Longest AXI burst.
    watchdog : int
        Cycles without progress after which the machine stops with an error; 0: never.

    Raises TypeError or ValueError for settings that cannot be meant, ConfigurationMismatch if the hardware is another
    configuration; nothing has been written then.
    """

    def __init__(
        self, config: Config, registers: Registers, buffer: Buffer, *, timeout: float = 60.0, burst_bytes: int = 128,
        watchdog: int = 1_000_000,
    ) -> None:  # fmt: skip
        try:
            check_expected(config, len(buffer.array), timeout=timeout, burst_bytes=burst_bytes, watchdog=watchdog)
        except BaseException:
            buffer.close()
            raise
        self.config, self.timeout = config, timeout
        self._registers, self._buffer = registers, buffer
        self.window_base, self.window_limit = buffer.address, buffer.address + len(buffer.array)
        try:
            self.open(burst_bytes=burst_bytes, watchdog=watchdog)
            # What ran before, perhaps in a process that was killed, may be running still.
            self.reset()
        except BaseException:
            buffer.close()
            raise

    def close(self) -> None:
        """Give the memory back, after a reset if a program was left that may still write to it."""
        try:
            if self.needs_reset:
                self.reset()
        finally:
            self._buffer.close()

    def read32(self, offset: int) -> int:
        return self._registers.read(offset)

    def write32(self, offset: int, value: int) -> None:
        self._registers.write(offset, value)

    def write(self, address: int, array: np.ndarray) -> None:
        data = self.as_bytes(array)
        self.check_range(address, data.size)
        start = address - self.window_base
        self._buffer.array[start : start + data.size] = data
        self._buffer.flush(start, data.size)

    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        self.check_range(address, nbytes)
        start = address - self.window_base
        self._buffer.invalidate(start, nbytes)
        return np.array(self._buffer.array[start : start + nbytes])

    def wait(self) -> None:
        self._poll("INTERRUPT_STATUS", ("done", "error"), True)

    def settle(self) -> None:
        self._poll("STATUS", ("resetting",), False)

    def _poll(self, register: str, fields: tuple[str, ...], value: bool) -> None:
        """Look at a register until one of its fields has the value, less and less often."""
        start, pause = time.monotonic(), _SHORTEST
        while not any(self.read_field(register, field) == value for field in fields):
            if time.monotonic() - start > self.timeout:
                self.give_up()
            time.sleep(pause)
            pause = min(_LONGEST, 1.5 * pause)


def memory_advice(needed: int) -> str:
    """What the kernel says of its contiguous memory, and how to give it more than ``needed`` bytes."""
    free = ""
    if _MEMINFO.exists():
        sizes = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        if "CmaFree" in sizes:
            free = f"; the kernel has {sizes['CmaFree'].strip()} of {sizes['CmaTotal'].strip()} left"
    mebibytes = -(-needed // (1 << 20))
    return (
        f"{mebibytes} MiB of contiguous memory are needed{free}. Boot with more of it (cma={mebibytes + 32}M on the "
        "kernel's command line), or compile with a smaller --batch"
    )
