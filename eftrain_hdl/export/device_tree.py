"""A device tree overlay: by it Linux on a board gives a program registers, interrupt and contiguous memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eftrain_hdl.checks import integer, shown
from eftrain_hdl.registers import BUFFER_NAME, IP_NAME, IP_VLNV, REGISTER_MAP

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board

__all__ = ["COMPATIBLE", "board_device_tree", "default_buffer_bytes", "device_tree"]

_VENDOR, _, _, _VERSION = IP_VLNV.split(":")

COMPATIBLE = f"{_VENDOR},{IP_NAME}-{_VERSION}"
"""What the node of the accelerator is compatible with, before ``generic-uio``."""

_PAGE = 4096
_MOST_BUFFER_BYTES = 256 << 20


def device_tree(
    *,
    registers_base: int,
    interrupt_spi: int,
    interrupt_parent: str,
    buffer_bytes: int,
    registers_bytes: int = 1 << REGISTER_MAP.address_width,
) -> str:
    """The text of the overlay (``.dtso``).

    It has two nodes below the root: a bus with the accelerator for ``uio_pdrv_genirq``, and a buffer for u-dma-buf
    (github.com/ikwzm/udmabuf). The root is named by its path, since its children are devices in every device tree,
    whereas names of buses change with the kernel; the interrupt controller is named by its label, which does not.

    The bus says how many cells an address takes, so that the overlay goes with any base and changes nothing of it:
    properties of a node that is there already would be replaced. Its addresses are those of the CPU.

    Parameters
    ----------
    registers_base, registers_bytes
        Where the CPU finds the registers; whole pages of 4096 bytes, as UIO maps no less.
    interrupt_spi
        Number of the shared peripheral interrupt; level, active high.
    interrupt_parent
        Label of the interrupt controller, a GIC of three cells: kind, number, trigger.
    buffer_bytes
        Size of the contiguous buffer, whole pages. Linux takes it from its CMA area.

    Raises
    ------
    ValueError
        If a number does not fit or is not whole pages; the message names it.
    """
    for name, value, least, bits in (
        ("registers_base", registers_base, 0, 64), ("registers_bytes", registers_bytes, _PAGE, 32),
    ):  # fmt: skip
        if not least <= value < 1 << bits or value % _PAGE:
            raise ValueError(f"{name} must be whole pages of {_PAGE} bytes in {bits} bits, not {value:#x}")
    if buffer_bytes <= 0 or buffer_bytes % _PAGE:
        raise ValueError(f"buffer_bytes must be whole pages of {_PAGE} bytes, not {buffer_bytes}")
    if not 0 <= interrupt_spi < 988:
        raise ValueError(f"interrupt_spi must be 0 to 987, as a GIC has them, not {interrupt_spi}")
    return _OVERLAY.format(
        vlnv=IP_VLNV, name=IP_NAME, base=registers_base, compatible=COMPATIBLE,
        reg=f"{_cells(registers_base, 2)} {_cells(registers_bytes, 1)}", parent=interrupt_parent, spi=interrupt_spi,
        buffer=BUFFER_NAME, size=_cells(buffer_bytes, 2),
    )  # fmt: skip


def board_device_tree(board: Board, buffer_bytes: int | None = None) -> str:
    """The overlay of a board; ``buffer_bytes`` None: :func:`default_buffer_bytes`.

    ``ValueError`` as :func:`device_tree`, and if the buffer does not fit the board's DRAM.
    """
    if not hasattr(board, "dram_bytes"):
        raise TypeError(f"board={shown(board)}: expected a board such as eftrain_hdl.boards.get('zcu102')")
    buffer_bytes = default_buffer_bytes(board) if buffer_bytes is None else integer("buffer_bytes", buffer_bytes, 1)
    if buffer_bytes >= board.dram_bytes:
        raise ValueError(f"{board.name} has {board.dram_bytes} bytes of DRAM, no room for buffer_bytes={buffer_bytes}")
    return device_tree(
        registers_base=board.ps.registers_base,
        interrupt_spi=board.ps.interrupt_spi,
        interrupt_parent=board.ps.interrupt_parent,
        buffer_bytes=buffer_bytes,
    )


def default_buffer_bytes(board: Board) -> int:
    """A quarter of the board's DRAM, at most 256 MiB."""
    return min(board.dram_bytes // 4, _MOST_BUFFER_BYTES)


def _cells(value: int, cells: int) -> str:
    """A number as 32-bit words, most significant first."""
    return " ".join(f"0x{value >> 32 * cell & 0xFFFF_FFFF:x}" for cell in reversed(range(cells)))


_OVERLAY = """\
// Device tree overlay of the accelerator {vlnv}. Written by `eftrain export --format devicetree`.
// It needs a base tree with symbols, the driver uio_pdrv_genirq with of_id=generic-uio, and u-dma-buf.
//   dtc -@ -W no-avoid_default_addr_size -I dts -O dtb -o {name}.dtbo {name}.dtso
/dts-v1/;
/plugin/;

&{{/}} {{
	// Linux makes devices of the nodes on a simple-pm-bus in an overlay, of those on a simple-bus it does not.
	{name}-bus {{
		compatible = "simple-pm-bus";
		#address-cells = <2>;
		#size-cells = <1>;
		ranges;

		{name}@{base:x} {{
			compatible = "{compatible}", "generic-uio";
			reg = <{reg}>;
			interrupt-parent = <&{parent}>;
			interrupts = <0 {spi} 4>;
		}};
	}};

	{buffer} {{
		compatible = "ikwzm,u-dma-buf";
		device-name = "{buffer}";
		size = <{size}>;
	}};
}};
"""
