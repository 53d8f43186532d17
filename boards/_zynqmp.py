"""What the Zynq UltraScale+ boards share."""

from typing import ClassVar

from amaranth.vendor import XilinxPlatform

from eftrain_hdl.boards._board import ProcessingSystem

__all__ = ["ZYNQMP", "ZynqMPPlatform"]


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

    @classmethod
    def part(cls) -> str:
        """The device as Vivado writes it: device, package, speed and temperature grade."""
        return f"{cls.device}-{cls.package}-{cls.speed}"


# UG1085, PG201.
ZYNQMP = ProcessingSystem(
    name="zynqmp",
    vivado_family="zynquplus",
    yosys_family="xcup",
    port_bits=128,
    port_clock_mhz=333.0,
    axi3=False,
    kept_apart=((1, 2),),
    # DDR_LOW and DDR_HIGH.
    dram_windows=((0, 2 << 30), (0x8_0000_0000, 32 << 30)),
    # Where HPM0_FPD begins.
    registers_base=0xA000_0000,
    # pl_ps_irq0[0].
    interrupt_spi=89,
)
