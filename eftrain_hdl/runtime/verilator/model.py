"""One verilated accelerator with its DRAM, as a Python object."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.planner.dram import MemoryModel

from .memory import PORT_STATISTICS, Config, PortStats, memory_config

__all__ = ["FUNCTIONS", "HANDLE", "BusError", "Function", "ProtocolError", "VerilatedModel"]

_INTERRUPT, _PROTOCOL = 1, 2
_TIMEOUT, _BREACH = -1, -2
_RESPONSES = {1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}


class BusError(RuntimeError):
    """The control port answered with an error, or not at all."""


class ProtocolError(RuntimeError):
    """The accelerator broke a rule of AXI; the message says port, cycle, rule and address."""


@dataclass(frozen=True)
class Function:
    """One entry of the library."""

    name: str
    result: type | None
    arguments: tuple[type, ...]


HANDLE = ctypes.c_void_p
FUNCTIONS = (
    Function("eft_create", HANDLE, (ctypes.POINTER(Config), ctypes.c_uint32)),
    Function("eft_destroy", None, (HANDLE,)),
    Function("eft_dram", ctypes.c_void_p, (HANDLE,)),
    Function("eft_reset", None, (HANDLE, ctypes.c_uint32)),
    Function("eft_read32", ctypes.c_int, (HANDLE, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))),
    Function("eft_write32", ctypes.c_int, (HANDLE, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)),
    Function("eft_run", ctypes.c_int, (HANDLE, ctypes.c_uint64)),
    Function("eft_bench_bare", None, (HANDLE, ctypes.c_uint64)),
    Function("eft_cycles", ctypes.c_uint64, (HANDLE,)),
    Function("eft_interrupt", ctypes.c_int, (HANDLE,)),
    Function("eft_protocol_error", ctypes.c_char_p, (HANDLE,)),
    Function("eft_clear_protocol_error", None, (HANDLE,)),
    Function("eft_stall", None, (HANDLE, ctypes.c_int, ctypes.c_int)),
    Function("eft_gaps", None, (HANDLE, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint32))),
    Function("eft_fault", None, (HANDLE, ctypes.c_uint64, ctypes.c_int, ctypes.c_uint32)),
    Function("eft_clear_faults", None, (HANDLE,)),
    Function("eft_stats", None, (HANDLE, ctypes.c_uint32, ctypes.POINTER(PortStats))),
)


class VerilatedModel:
    """The accelerator in Verilator behind the DRAM model, held in reset for a few cycles and then released.

    Use as a context manager, or call :meth:`close`; views of :attr:`dram` must not outlive it.

    Parameters
    ----------
    library
        From :func:`build_model`, with the same ``ports`` and ``data_width``.
    memory
        What the DRAM can do.
    dram_bytes
        Its size. Pages are taken from the host when they are first touched.
    clock_mhz
        The accelerator's clock; nanoseconds of the memory model become cycles of it.

    Raises ``ValueError`` if the library was built for another width or port count, ``MemoryError`` if the host has no
    address space for the DRAM.
    """

    _functions: ClassVar[tuple[Function, ...]] = FUNCTIONS

    def __init__(
        self, library: Path, *, ports: int, data_width: int, memory: MemoryModel, dram_bytes: int, clock_mhz: float
    ) -> None:
        config = memory_config(
            memory, dram_bytes=dram_bytes, clock_mhz=clock_mhz, ports=ports, data_width=data_width
        )
        self._library = ctypes.CDLL(str(library))
        for function in self._functions:
            entry = getattr(self._library, function.name)
            entry.restype, entry.argtypes = function.result, function.arguments
        self._handle = self._library.eft_create(ctypes.byref(config), ctypes.sizeof(config))
        if not self._handle:
            raise ValueError(
                f"the model cannot be created: either {library} was built for other than {ports} ports of "
                f"{data_width} bits, or the host has no {dram_bytes} bytes of address space"
            )
        self.ports = ports
        self.clock_mhz = clock_mhz
        pointer = ctypes.cast(self._library.eft_dram(self._handle), ctypes.POINTER(ctypes.c_uint8))
        self._dram: NDArray[np.uint8] | None = np.ctypeslib.as_array(pointer, shape=(dram_bytes,))
        self.reset()

    def __enter__(self) -> "VerilatedModel":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the model and its DRAM. Closing twice does nothing."""
        if self._handle:
            self._dram = None
            self._library.eft_destroy(self._handle)
            self._handle = None

    @property
    def _open(self) -> int:
        if not self._handle:
            raise ValueError("the model is closed")
        return self._handle

    @property
    def dram(self) -> NDArray[np.uint8]:
        """The DRAM, shared with the model: address 0 of the ports is element 0."""
        if self._dram is None:
            raise ValueError("the model is closed")
        return self._dram

    @property
    def cycles(self) -> int:
        """Clock cycles since the model was created."""
        return self._library.eft_cycles(self._open)

    @property
    def interrupt(self) -> bool:
        """Level of the interrupt output."""
        return bool(self._library.eft_interrupt(self._open))

    @property
    def protocol_error(self) -> str | None:
        """The first breach of the AXI protocol that the memory side saw, or None."""
        text = self._library.eft_protocol_error(self._open)
        return text.decode() if text else None

    def clear_protocol_error(self) -> None:
        """Forget the recorded breach, so that the next one is recorded."""
        self._library.eft_clear_protocol_error(self._open)

    def reset(self, cycles: int = 16) -> None:
        """Hold ``aresetn`` low for some cycles. Bursts under way are dropped; DRAM contents and statistics stay."""
        self._library.eft_reset(self._open, cycles)

    def _check(self, response: int, what: str) -> None:
        if response == _BREACH:
            raise ProtocolError(self.protocol_error)
        if response == _TIMEOUT:
            raise BusError(f"{what}: no answer from the control port")
        if response:
            raise BusError(f"{what}: {_RESPONSES[response]}")

    def read32(self, address: int) -> int:
        """Read a register over AXI4-Lite. Takes a few clock cycles. Raises :class:`BusError` on an error response."""
        value = ctypes.c_uint32()
        response = self._library.eft_read32(self._open, address, ctypes.byref(value))
        self._check(response, f"read of register {address:#x}")
        return value.value

    def write32(self, address: int, value: int, strobe: int = 0xF) -> None:
        """Write the bytes of a register that ``strobe`` names, over AXI4-Lite. Takes a few clock cycles. Raises
        :class:`BusError` on an error response.
        """
        if not 0 <= strobe <= 0xF:
            raise ValueError(f"strobe must lie between 0 and 15, not {strobe!r}")
        self._check(self._library.eft_write32(self._open, address, value, strobe), f"write of register {address:#x}")

    def run(self, max_cycles: int) -> bool:
        """Clock until the interrupt is high or ``max_cycles`` have passed; return whether it is high.

        Raises :class:`ProtocolError` at the first breach of the AXI protocol.
        """
        result = self._library.eft_run(self._open, max_cycles)
        if result == _PROTOCOL:
            raise ProtocolError(self.protocol_error)
        return result == _INTERRUPT

    def bench_bare(self, cycles: int) -> None:
        """Clock without the DRAM, to compare speeds: the bus stands still, so call :meth:`reset` afterwards."""
        self._library.eft_bench_bare(self._open, cycles)

    def stall_memory(self, *, reads: bool = True, writes: bool = True) -> None:
        """Make the DRAM neither accept nor answer until called again with False, or until :meth:`reset`."""
        self._library.eft_stall(self._open, reads, writes)

    def hold_back(self, seed: int, *, ar: float = 0, aw: float = 0, w: float = 0, r: float = 0, b: float = 0) -> None:
        """Hold each channel of each port back in random cycles: the chance in a cycle that ready (``ar``, ``aw``,
        ``w``) or a new valid (``r``, ``b``) is withheld. Until called again, or until :meth:`reset`.
        """
        chances = {"ar": ar, "aw": aw, "w": w, "r": r, "b": b}
        for name, chance in chances.items():
            if not 0 <= chance < 1:
                raise ValueError(f"{name} must be a chance from 0 to below 1, not {chance!r}")
        scaled = (ctypes.c_uint32 * len(chances))(*(round(chance * 0x10000) for chance in chances.values()))
        self._library.eft_gaps(self._open, seed, scaled)

    def add_fault(self, address: int, direction: Literal["read", "write"], response: int = 2) -> None:
        """Answer each access to the byte at ``address`` with an error (2 SLVERR, 3 DECERR) until cleared."""
        if direction not in ("read", "write"):
            raise ValueError(f"direction must be 'read' or 'write', not {direction!r}")
        if response not in (2, 3):
            raise ValueError(f"response must be 2 (SLVERR) or 3 (DECERR), not {response!r}")
        self._library.eft_fault(self._open, address, direction == "write", response)

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._library.eft_clear_faults(self._open)

    def stats(self, port: int) -> dict[str, int]:
        """Totals of one port: bytes, bursts, DRAM requests and row misses; cycles with valid and without ready."""
        if not 0 <= port < self.ports:
            raise ValueError(f"port must lie between 0 and {self.ports - 1}, not {port!r}")
        stats = PortStats()
        self._library.eft_stats(self._open, port, ctypes.byref(stats))
        return {name: getattr(stats, name) for name in PORT_STATISTICS}
