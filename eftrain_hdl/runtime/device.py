"""The protocol of everything that runs programs: emulator, simulated gateware, boards."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config

__all__ = ["Device", "RunResult"]


@dataclass(frozen=True)
class RunResult:
    """What one run of a program reports.

    Attributes
    ----------
    cycles : int or None
        Clock cycles from start to END; ``None`` on a device without a clock.
    counters : dict
        Performance counters by their names in :mod:`eftrain_hdl.registers`; only those that the device has.
    timestamps : list of int
        Cycle counts at each stamped STORE_0, each BARRIER and at END; empty on a device without a clock.
    """

    cycles: int | None
    counters: dict[str, int] = field(default_factory=dict)
    timestamps: list[int] = field(default_factory=list)


class Device(ABC):
    """One accelerator with its memory.

    Host and programs use the same byte addresses; memory occupies ``window_base`` up to (not including)
    ``window_limit``, and the machine is kept inside.

    Attributes
    ----------
    config : Config
        Sizes of the accelerator.
    window_base, window_limit : int
        The addresses that exist.
    timeout : float
        Seconds that a program, or a reset, may take before `DeviceTimeout` is raised.
    """

    timeout: float = math.inf
    config: Config
    window_base: int
    window_limit: int

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory."""
        return self.window_limit - self.window_base

    @abstractmethod
    def write(self, address: int, array: np.ndarray) -> None:
        """Copy the bytes of an array (any type, C order) to memory. ``ValueError`` if they do not fit in the window."""

    @abstractmethod
    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """Copy ``nbytes`` from memory. ``ValueError`` if they are not all in the window."""

    def read_float32(self, address: int, shape: int | tuple[int, ...]) -> NDArray[np.float32]:
        """Copy an FP32 array (C order) from memory. ``ValueError`` as for :meth:`read`."""
        count = int(np.prod(shape))
        return self.read(address, 4 * count).view(np.float32).reshape(shape)

    @abstractmethod
    def set_scalars(self, learning_rate: float, weight_decay: float, momentum: float) -> None:
        """Set the registers that VECTOR instructions use, each rounded to FP32; zero at first."""

    @abstractmethod
    def run(self, program_address: int, program_bytes: int) -> RunResult:
        """Run a program to its END.

        Raises
        ------
        DeviceError
            If the machine stops with an error, or has stopped before and was not reset.
        DeviceTimeout
            If the program does not end within `timeout`; `reset` stops it.
        """

    @abstractmethod
    def reset(self) -> None:
        """Make the device fit to run after an error. Memory, scalars and floating-point flags stay."""

    @abstractmethod
    def flags(self) -> dict[str, bool]:
        """Sticky floating-point flags ``overflow`` and ``invalid``."""

    @abstractmethod
    def clear_flags(self) -> None:
        """Clear the floating-point flags."""

    def check_range(self, address: int, nbytes: int) -> None:
        """``ValueError`` unless the bytes lie in the window."""
        if nbytes < 0 or address < self.window_base or address + nbytes > self.window_limit:
            raise ValueError(
                f"{nbytes} bytes at {address:#x} are not in memory ({self.window_base:#x} to {self.window_limit:#x})"
            )
