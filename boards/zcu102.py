"""AMD ZCU102: Zynq UltraScale+ ZU9EG, 4 GiB DDR4 of 64 bits."""

from eftrain_hdl.boards._zynqmp import Board, ZynqMPPlatform
from eftrain_hdl.config import Config

__all__ = ["BOARD", "ZCU102Platform"]


class ZCU102Platform(ZynqMPPlatform):
    """Part of the ZCU102."""

    device = "xczu9eg"
    package = "ffvb1156"
    speed = "2-e"


BOARD = Board(
    name="zcu102",
    title="AMD ZCU102",
    platform=ZCU102Platform,
    board_part="xilinx.com:zcu102:part0:3.4",
    family="xcup",
    lut=274_080, ff=548_160, bram36=912, dsp=2520,
    # The three that reach 14 GB/s together; HP1 with HP2 reaches 8. Stores have the last one to themselves.
    hp=(0, 1, 3),
    clock_mhz=200.0,
    memory="zcu102",
    dram_bytes=4 << 30,
    # As many multiply-accumulates a cycle as EF-Train has on this board.
    config=Config(rows=16, lanes=16, ports=3),
)
