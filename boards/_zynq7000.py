"""What the Zynq-7000 boards share."""

from eftrain_hdl.boards._board import FabricPlatform, ProcessingSystem

__all__ = ["ZYNQ7000", "Zynq7000Platform"]


class Zynq7000Platform(FabricPlatform):
    """Fabric of a Zynq-7000."""

    @classmethod
    def part(cls) -> str:
        """The device as Vivado writes it: device and package in one, speed grade."""
        return f"{cls.device}{cls.package}-{cls.speed}"


# UG585; clock of the ports: DS187.
ZYNQ7000 = ProcessingSystem(
    name="zynq7000",
    vivado_family="zynq",
    yosys_family="xc7",
    port_bits=64,
    port_clock_mhz=250.0,
    axi3=True,
    kept_apart=(),
    dram_windows=((0, 1 << 30),),
    # Where M_AXI_GP0 begins.
    registers_base=0x4000_0000,
    # IRQ_F2P[0].
    interrupt_spi=29,
    # Linux: arch/arm/boot/dts/xilinx/zynq-7000.dtsi.
    interrupt_parent="intc",
)
