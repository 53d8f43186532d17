"""What the Zynq UltraScale+ boards share: the description of a board as data, and its Amaranth platform."""

from dataclasses import dataclass
from typing import ClassVar

from amaranth.vendor import XilinxPlatform

from eftrain_hdl.config import Config

__all__ = ["Board", "ZynqMPPlatform"]

HP_PORT_BITS = 128
"""Width of a PS slave port (HP and HPC) at its widest."""

HP_CLOCK_LIMIT_MHZ = 333.0
"""Fastest clock of a PS slave port (PG201)."""


class ZynqMPPlatform(XilinxPlatform):
    """Fabric of a Zynq UltraScale+ as an Amaranth platform for Vivado.

    It gives the part for Vivado projects and scripts. It has no resources and no default clock: the accelerator's
    clock, reset, interrupt and DRAM ports belong to the processing system, which stands in Vivado's block design and
    is not modelled here. A design for it brings its own clock domain.
    """

    default_clk = None
    default_rst = None
    resources: ClassVar[list[object]] = []
    connectors: ClassVar[list[object]] = []


@dataclass(frozen=True)
class Board:
    """One board: what is on it, and the accelerator that it gets by default.

    Attributes
    ----------
    name, title
        Key and full name.
    platform
        Amaranth platform class.
    board_part
        Vivado's name of the board's preset. The version at its end changes with Vivado's.
    family
        Yosys's name of the family.
    lut, ff, bram36, dsp
        What the fabric has; a RAM block is one of 36 Kb.
    hp
        PS slave ports that the accelerator's ``m_axi`` ports are wired to, in their order.
    clock_mhz
        Accelerator clock that is asked for. A target: nothing has been placed and routed for it.
    memory
        Name of the DRAM model for simulation.
    dram_bytes
        Size of the DRAM.
    config
        The accelerator.
    """

    name: str
    title: str
    platform: type[ZynqMPPlatform]
    board_part: str
    family: str
    lut: int
    ff: int
    bram36: int
    dsp: int
    hp: tuple[int, ...]
    clock_mhz: float
    memory: str
    dram_bytes: int
    config: Config

    def __post_init__(self) -> None:
        if len(self.hp) != self.config.ports:
            raise ValueError(
                f"{self.name}: {self.config.ports} ports of the accelerator need as many in hp, not {self.hp}"
            )
        if len(set(self.hp)) != len(self.hp) or not set(self.hp) <= {0, 1, 2, 3}:
            raise ValueError(f"{self.name}: hp must name different ports from 0 to 3, not {self.hp}")
        if {1, 2} <= set(self.hp):
            raise ValueError(
                f"{self.name}: HP1 and HP2 share one port of the DRAM controller; use one of them, not {self.hp}"
            )
        if (self.config.data_width or 0) > HP_PORT_BITS:
            raise ValueError(f"{self.name}: a port has at most {HP_PORT_BITS} bits, not {self.config.data_width}")
        if not 0 < self.clock_mhz <= HP_CLOCK_LIMIT_MHZ:
            raise ValueError(f"{self.name}: the ports run at up to {HP_CLOCK_LIMIT_MHZ:g} MHz, not {self.clock_mhz!r}")

    @property
    def part(self) -> str:
        """The device as Vivado writes it: device, package, speed and temperature grade."""
        return f"{self.platform.device}-{self.platform.package}-{self.platform.speed}"

    def verilog(self) -> str:
        """Return the Verilog of the board's accelerator, module ``eftrain``."""
        from eftrain_hdl.rtl.top import generate_verilog

        return generate_verilog(self.config)
