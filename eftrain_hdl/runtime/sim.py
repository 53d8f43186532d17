"""The gateware in Verilator as a device: what a board would do, cycle for cycle, on a laptop."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

import eftrain_hdl
from eftrain_hdl import checks
from eftrain_hdl.config import Config
from eftrain_hdl.planner.dram import MemoryModel, check_clock, memory_model
from eftrain_hdl.runtime.driver import RegisterDevice
from eftrain_hdl.runtime.verilator import VerilatedModel, build_model, cached, find_toolchain

__all__ = ["SimDevice", "cached_verilog"]

_GATEWARE = (
    "rtl", "numerics", "checks.py", "config.py", "isa.py", "register_map.py", "registers.py", "synthesis/merge.py",
)
"""What the Verilog depends on, folders and files."""
_RESET_CYCLES = 100_000
_CHUNK = 1 << 14
_LEAST_MEMORY = 4096
_MOST_BURST, _MOST_WATCHDOG = (1 << 16) - 1, (1 << 32) - 1


def _gateware_key(config: Config) -> str:
    """Hash of the configuration and of every source file that the Verilog depends on."""
    root = Path(eftrain_hdl.__file__).parent
    versions = f"{eftrain_hdl.__version__} {version('amaranth')}"
    digest = hashlib.sha256(f"{versions} {sorted(config.as_dict().items())}".encode())
    for name in _GATEWARE:
        path = root / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def cached_verilog(
    config: Config, progress: Callable[[str], None] | None = None, *, probed: bool = False
) -> str:
    """Verilog of the accelerator, with probes or without; elaborated once for each configuration and version of the
    sources. Raises CacheError if the cache cannot be used.
    """
    what = f"the {config.rows} x {config.lanes} accelerator"

    def make(work: Path) -> Path:
        from eftrain_hdl.rtl.probes import generate_probed_verilog
        from eftrain_hdl.rtl.top import generate_verilog

        if progress:
            progress(f"elaborating {what}")
        path = work / "top.v"
        path.write_text(generate_probed_verilog(config) if probed else generate_verilog(config), encoding="utf-8")
        return path

    name = f"verilog/{_gateware_key(config)}{'-probed' if probed else ''}.v"
    return cached(name, f"the Verilog of {what}", make, progress).read_text(encoding="utf-8")


def _listener(progress: Callable[[str], None] | Literal[False] | None) -> Callable[[str], None] | None:
    """Whom to tell of slow steps."""
    if progress is None:
        return _say if sys.stderr is not None and sys.stderr.isatty() else None
    if progress is False:
        return None
    if not callable(progress):
        raise TypeError(f"progress={checks.shown(progress)}: expected a function of a text, None or False")
    return progress


def _say(what: str) -> None:
    print(f"eftrain_hdl: {what} ...", file=sys.stderr, flush=True)


class SimDevice(RegisterDevice):
    """The accelerator's RTL in Verilator, in this process, behind a model of a board's DRAM.

    The first use of a configuration elaborates and compiles it (a minute or so); the result is cached.

    Parameters
    ----------
    config : Config
    memory : str or MemoryModel
        DRAM behaviour: a name in ``MEMORY_MODELS`` (``zcu102``, ``ultra96``, ``kv260``, ``zynq7020``, ``ideal``) or a
        model.
    memory_bytes : int
        Size of the DRAM; the host provides pages when they are touched.
    clock_mhz : float
        Clock of the accelerator, 1 to 1000 MHz, which turns the memory's nanoseconds into cycles.
    burst_bytes : int
        Longest AXI burst.
    watchdog : int
        Cycles without progress after which the machine stops with an error; 0: never.
    progress : callable, None or False
        Told in a line of text before each slow step of the first use. None writes the line to standard error if that
        is a terminal; False keeps silent.

    Raises TypeError or ValueError, which names the parameter, before anything slow begins; ToolError if a tool
    is missing or fails, CacheError if the folder of compiled models cannot be used.
    """

    _model: ClassVar[type[VerilatedModel]] = VerilatedModel
    _probed: ClassVar[bool] = False

    def __init__(
        self,
        config: Config,
        *,
        memory: str | MemoryModel = "zcu102",
        memory_bytes: int = 1 << 28,
        clock_mhz: float = 250.0,
        burst_bytes: int = 128,
        watchdog: int = 100_000,
        progress: Callable[[str], None] | Literal[False] | None = None,
    ):
        checks.check_kind("config", config, Config, "a Config(rows=..., lanes=...)")
        checks.check_kind("memory", memory, (str, MemoryModel), "a name such as 'zcu102', or a MemoryModel")
        memory = memory_model(memory) if isinstance(memory, str) else memory
        memory_bytes = checks.integer("memory_bytes", memory_bytes, _LEAST_MEMORY, 1 << min(40, config.address_width))
        clock_mhz = check_clock(clock_mhz)
        burst_bytes = checks.integer("burst_bytes", burst_bytes, 1, _MOST_BURST)
        watchdog = checks.integer("watchdog", watchdog, 0, _MOST_WATCHDOG)
        told = _listener(progress)
        self.config = config
        self.window_base = 0
        self.window_limit = memory_bytes
        assert config.data_width is not None
        find_toolchain()  # or say what is missing before anything is elaborated
        library = build_model(
            cached_verilog(config, told, probed=self._probed),
            ports=config.ports,
            data_width=config.data_width,
            top="eftrain",
            probed=self._probed,
            progress=told,
        )
        self.model = self._model(
            library,
            ports=config.ports,
            data_width=config.data_width,
            memory=memory,
            dram_bytes=memory_bytes,
            clock_mhz=clock_mhz,
        )
        self.open(burst_bytes=burst_bytes, watchdog=watchdog)

    def close(self) -> None:
        """Free the model and its memory."""
        self.model.close()

    def read32(self, offset: int) -> int:
        return self.model.read32(offset)

    def write32(self, offset: int, value: int) -> None:
        self.model.write32(offset, value)

    def write(self, address: int, array: np.ndarray) -> None:
        data = self.as_bytes(array)
        self.check_range(address, data.size)
        self.model.dram[address : address + data.size] = data

    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        self.check_range(address, nbytes)
        return self.model.dram[address : address + nbytes].copy()

    def wait(self) -> None:
        # The machine's own watchdog ends every program that makes no progress; one that has stopped without an
        # interrupt is a dead control path.
        deadline, quiet = time.monotonic() + self.timeout, 0
        while not self.model.run(_CHUNK):
            quiet = quiet + 1 if self.read_field("STATUS", "halted") else 0
            if quiet > 1 or time.monotonic() > deadline:
                self.give_up()

    def settle(self) -> None:
        start = self.model.cycles
        while self.read_field("STATUS", "resetting"):
            if self.model.cycles - start > _RESET_CYCLES:
                # Memory that does not answer even now: the reset pin.
                self.model.reset()
                break
