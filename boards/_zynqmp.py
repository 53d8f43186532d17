"""What the Zynq UltraScale+ boards share."""

from eftrain_hdl.boards._board import FabricPlatform, ProcessingSystem

__all__ = ["ZYNQMP", "ZynqMPPlatform"]


class ZynqMPPlatform(FabricPlatform):
    """Fabric of a Zynq UltraScale+."""

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
    # Linux: arch/arm64/boot/dts/xilinx/zynqmp.dtsi.
    interrupt_parent="gic",
)
