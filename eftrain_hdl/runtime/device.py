"""The protocol of everything that runs programs: emulator, simulated gateware, boards."""

from __future__ import annotations

import math
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import integer, shown
from eftrain_hdl.config import Config
from eftrain_hdl.runtime.errors import DeviceError, DeviceNotReady

__all__ = ["Device", "RunResult"]


# Not in the devices: one with a lock in it could not be copied.
_LOCKS: weakref.WeakKeyDictionary[Device, AbstractContextManager[object]] = weakref.WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


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
    _unfinished: DeviceError | str | None = None
    """What was left half way; `run` refuses until a reset has ended."""
    _owner: weakref.ref[object] | None = None

    def __repr__(self) -> str:
        config = self.config
        memory = f"{self.memory_bytes / 2**20:g} MiB at {self.window_base:#x}"
        return f"{type(self).__name__}({config.rows} x {config.lanes} {config.operand}, {memory})"

    @property
    def lock(self) -> AbstractContextManager[object]:
        """What one thread holds while the others must leave memory and machine alone."""
        with _LOCKS_LOCK:
            return _LOCKS.setdefault(self, threading.RLock())

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory."""
        return self.window_limit - self.window_base

    @property
    def needs_reset(self) -> bool:
        """Whether a run or a reset of this device was left by an exception: `run` refuses until `reset`."""
        return self._unfinished is not None

    def claim(self, owner: object) -> None:
        """Remember whose state is in memory from now on; nothing is kept alive by it."""
        self._owner = weakref.ref(owner)

    def is_claimed_by(self, owner: object) -> bool:
        """Whether ``owner`` was the latest to `claim` the memory."""
        return self._owner is not None and self._owner() is owner

    @abstractmethod
    def write(self, address: int, array: np.ndarray) -> None:
        """Copy the bytes of an array (any type, C order) to memory. ``ValueError`` if they do not fit in the window."""

    @abstractmethod
    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """Copy ``nbytes`` from memory. ``ValueError`` if they are not all in the window."""

    def read_float32(self, address: int, shape: int | tuple[int, ...]) -> NDArray[np.float32]:
        """Copy an FP32 array (C order) from memory. ``ValueError`` as for :meth:`read`."""
        sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
        count = math.prod(integer("shape", size, 0) for size in sizes)
        return self.read(address, 4 * count).view(np.float32).reshape(shape)

    @abstractmethod
    def set_scalars(self, learning_rate: float, weight_decay: float, momentum: float) -> None:
        """Set the registers that VECTOR instructions use, each rounded to FP32; zero at first."""

    def run(self, program_address: int, program_bytes: int) -> RunResult:
        """Run a program to its END.

        Whatever leaves this method by an exception, be it an error of the machine, of the bus or Ctrl-C, may leave a
        program behind that still runs: from then on `needs_reset` is true, and nothing runs until `reset`.

        Raises
        ------
        DeviceNotReady
            If a run or a reset before was left half way, or the machine is busy; nothing is started.
        DeviceError
            If the machine stops with an error.
        DeviceTimeout
            If the program does not end within `timeout`; `reset` stops it.
        """
        address, nbytes = integer("program_address", program_address, 0), integer("program_bytes", program_bytes, 0)
        self.check_ready()
        # Set before, cleared behind: an exception at any place in between, even inside of a handler, leaves it set.
        self._unfinished = "a program was left before its end"
        try:
            result = self._run(address, nbytes)
        except DeviceError as error:
            self._unfinished = error
            raise
        self._unfinished = None
        return result

    @abstractmethod
    def _run(self, program_address: int, program_bytes: int) -> RunResult:
        """Run a program on a machine that is ready."""

    def check_ready(self) -> None:
        """Raise `DeviceNotReady` unless a program can be started."""
        if self._unfinished is not None:
            raise DeviceNotReady(self._unfinished)

    def reset(self) -> None:
        """Make the device fit to run after an error. Memory, scalars and floating-point flags stay.

        DeviceTimeout if the machine does not come to rest. A reset that is left half way has to be done again.
        """
        self._unfinished = "a reset was left before its end"
        self._reset()
        self._unfinished = None

    @abstractmethod
    def _reset(self) -> None:
        """Stop the machine and set it up anew."""

    @abstractmethod
    def flags(self) -> dict[str, bool]:
        """Sticky floating-point flags ``overflow`` and ``invalid``."""

    @abstractmethod
    def clear_flags(self) -> None:
        """Clear the floating-point flags."""

    @staticmethod
    def as_bytes(array: np.ndarray) -> NDArray[np.uint8]:
        """The bytes of an array in C order; TypeError unless it holds numbers."""
        data = np.ascontiguousarray(array)
        if data.dtype.kind not in "biufcV" or data.dtype.hasobject:
            raise TypeError(f"array={shown(array)}: expected an array of numbers")
        return data.reshape(-1).view(np.uint8)

    def check_range(self, address: int, nbytes: int) -> None:
        """``ValueError`` unless the bytes lie in the window, TypeError unless both are integers."""
        address, nbytes = integer("address", address, 0), integer("nbytes", nbytes, 0)
        if address < self.window_base or address + nbytes > self.window_limit:
            raise ValueError(
                f"{nbytes} bytes at {address:#x} are not in memory ({self.window_base:#x} to {self.window_limit:#x})"
            )
