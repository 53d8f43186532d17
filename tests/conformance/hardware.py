"""The accelerator's RTL as a board would have it: registers and DRAM, with memory that the CPU sees through caches."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.runtime.sim import cached_verilog
from eftrain_hdl.runtime.verilator import VerilatedModel, build_model

BASE = 0x40_0000
"""Physical address of the contiguous memory. What is below belongs to others."""
_POLLED = {REGISTER_MAP.offset("INTERRUPT_STATUS"), REGISTER_MAP.offset("STATUS")}
_CYCLES_BETWEEN_POLLS = 5_000


class Hardware:
    """The RTL in Verilator. ``cached`` is what the CPU sees of the contiguous memory: only a flush carries what it
    writes to the DRAM, only an invalidate shows it what the accelerator wrote.
    """

    def __init__(self, config: Config, memory_bytes: int) -> None:
        assert config.data_width is not None
        self.model = VerilatedModel(
            build_model(cached_verilog(config), ports=config.ports, data_width=config.data_width, top="eftrain"),
            ports=config.ports, data_width=config.data_width, memory=memory_model("zynq7020"),
            dram_bytes=BASE + memory_bytes, clock_mhz=100.0,
        )  # fmt: skip
        self.model.dram[:BASE] = np.random.default_rng(7).integers(0, 256, BASE, np.uint8)
        self._below = self.model.dram[:BASE].copy()
        self.cached = np.zeros(memory_bytes, np.uint8)

    def read(self, offset: int) -> int:
        """A register; time passes between two looks at those that software polls."""
        if offset in _POLLED:
            self.model.run(_CYCLES_BETWEEN_POLLS)
        return self.model.read32(offset)

    def write(self, offset: int, value: int) -> None:
        self.model.write32(offset, value)

    def flush(self, start: int, nbytes: int) -> None:
        self.model.dram[BASE + start : BASE + start + nbytes] = self.cached[start : start + nbytes]

    def invalidate(self, start: int, nbytes: int) -> None:
        self.cached[start : start + nbytes] = self.model.dram[BASE + start : BASE + start + nbytes]

    def assert_clean(self) -> None:
        """No rule of AXI was broken, and nobody else's memory was written."""
        assert self.model.protocol_error is None
        np.testing.assert_array_equal(self.model.dram[:BASE], self._below)
