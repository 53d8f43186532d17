"""The description of a board as data: what is on it, how the accelerator is wired, which accelerators it gets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from amaranth.vendor import XilinxPlatform

from eftrain_hdl.checks import counted
from eftrain_hdl.config import Config

__all__ = ["Board", "FabricPlatform", "ProcessingSystem"]


class FabricPlatform(XilinxPlatform):
    """Fabric beside a processing system, as an Amaranth platform for Vivado.

    It gives the part for Vivado projects and scripts. It has no resources and no default clock: the accelerator's
    clock, reset, interrupt and DRAM ports belong to the processing system, which stands in Vivado's block design and
    is not modelled here. A design for it brings its own clock domain.
    """

    default_clk = None
    default_rst = None
    resources: ClassVar[list[object]] = []
    connectors: ClassVar[list[object]] = []

    @classmethod
    @abstractmethod
    def part(cls) -> str:
        """The device as Vivado writes it."""


@dataclass(frozen=True)
class ProcessingSystem:
    """What all boards with the same kind of processing system share.

    Attributes
    ----------
    name
        Names the Tcl file of the family in ``eftrain_hdl/vivado/files``.
    vivado_family, yosys_family
        What the tools call the fabric.
    port_bits
        Width of a memory port (HP) at its widest.
    port_clock_mhz
        Fastest clock of a memory port.
    axi3
        Whether the ports take AXI3 bursts, of at most 16 beats.
    kept_apart
        Pairs of ports of which only one is to be used.
    dram_windows
        Where DRAM lies for the ports: base address and the most bytes that a window holds, in the order it is filled.
    registers_base
        Address at which the CPU finds the accelerator's registers.
    interrupt_spi
        Number of the accelerator's interrupt in a device tree: shared peripheral interrupt, level, active high.
    interrupt_parent
        Label of the interrupt controller in Linux's device tree of the family.
    """

    name: str
    vivado_family: str
    yosys_family: str
    port_bits: int
    port_clock_mhz: float
    axi3: bool
    kept_apart: tuple[tuple[int, int], ...]
    dram_windows: tuple[tuple[int, int], ...]
    registers_base: int
    interrupt_spi: int
    interrupt_parent: str


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes
    ----------
    name, title
        Key and full name.
    platform
        Amaranth platform class; it has the part.
    ps
        Its kind of processing system.
    board_part
        Pattern that finds the board's preset among those that Vivado knows; the newest version is taken.
    lut, ff, bram36, dsp
        What the fabric has; a RAM block is one of 36 Kb.
    hp
        Memory ports of the processing system that the accelerator's ``m_axi`` ports are wired to, in their order. An
        accelerator with fewer ports takes the first.
    clock_mhz
        Accelerator clock that is asked for. A target: nothing has been placed and routed for it.
    memory
        Name of the DRAM model for simulation and planning.
    dram_bytes
        Size of the DRAM.
    configs
        Accelerators by operand format; ``fp32`` is the board's default. They are checked against the board.
    """

    name: str
    title: str
    platform: type[FabricPlatform]
    ps: ProcessingSystem
    board_part: str
    lut: int
    ff: int
    bram36: int
    dsp: int
    hp: tuple[int, ...]
    clock_mhz: float
    memory: str
    dram_bytes: int
    configs: Mapping[str, Config]

    def __post_init__(self) -> None:
        if len(set(self.hp)) != len(self.hp) or not set(self.hp) <= {0, 1, 2, 3}:
            raise ValueError(f"{self.name}: hp must name different ports from 0 to 3, not {self.hp}")
        for pair in self.ps.kept_apart:
            if set(pair) <= set(self.hp):
                raise ValueError(
                    f"{self.name}: HP{pair[0]} and HP{pair[1]} share one port of the DRAM controller; "
                    f"use one of them, not {self.hp}"
                )
        if self.dram_bytes > sum(size for _, size in self.ps.dram_windows):
            raise ValueError(f"{self.name}: the ports do not reach {self.dram_bytes} bytes of DRAM")
        if "fp32" not in self.configs:
            raise ValueError(f"{self.name}: configs has no fp32")
        for operand, config in self.configs.items():
            if config.operand.name != operand:
                raise ValueError(f"{self.name}: the configuration for {operand} has operand {config.operand.name}")
            self.check(config)
        self.check_clock(self.clock_mhz)

    def check(self, config: Config) -> None:
        """Raise ``ValueError`` if this board cannot be wired to an accelerator of this configuration."""
        if config.ports > len(self.hp):
            raise ValueError(
                f"{self.name} wires {counted(len(self.hp), 'memory port')}, the configuration has ports={config.ports}"
            )
        if (config.data_width or 0) > self.ps.port_bits:
            raise ValueError(
                f"{self.name}: a memory port has at most {self.ps.port_bits} bits, not data_width={config.data_width}"
            )
        if config.axi3 != self.ps.axi3:
            raise ValueError(f"{self.name}: its memory ports need axi3={self.ps.axi3}, not axi3={config.axi3}")
        base, size = self.dram_windows[-1]
        if base + size > 1 << config.address_width:
            raise ValueError(
                f"{self.name}: address_width={config.address_width} does not reach the end of the DRAM "
                f"at {base + size:#x}"
            )

    def check_clock(self, clock_mhz: float) -> None:
        """Raise ``ValueError`` if the memory ports cannot run at this clock."""
        if not 0 < clock_mhz <= self.ps.port_clock_mhz:
            raise ValueError(
                f"{self.name}: the memory ports run at up to {self.ps.port_clock_mhz:g} MHz, not {clock_mhz!r}"
            )

    @property
    def config(self) -> Config:
        """The accelerator that the board gets by default."""
        return self.configs["fp32"]

    @property
    def part(self) -> str:
        """The device as Vivado writes it: device, package, speed and temperature grade."""
        return self.platform.part()

    @property
    def family(self) -> str:
        """Yosys's name of the fabric."""
        return self.ps.yosys_family

    @property
    def dram_windows(self) -> tuple[tuple[int, int], ...]:
        """Base address and bytes of each piece of this board's DRAM, as the memory ports see it."""
        windows, left = [], self.dram_bytes
        for base, most in self.ps.dram_windows:
            if left:
                windows.append((base, min(left, most)))
                left -= windows[-1][1]
        return tuple(windows)
