"""Avnet Ultra96-V2: Zynq UltraScale+ ZU3EG, 2 GiB LPDDR4 of 32 bits."""

from eftrain_hdl.boards._zynqmp import Board, ZynqMPPlatform
from eftrain_hdl.config import Config

__all__ = ["BOARD", "Ultra96Platform"]


class Ultra96Platform(ZynqMPPlatform):
    """Part of the Ultra96-V2 (industrial grade; the first Ultra96 has ``1-e``)."""

    device = "xczu3eg"
    package = "sbva484"
    speed = "1-i"


BOARD = Board(
    name="ultra96",
    title="Avnet Ultra96-V2",
    platform=Ultra96Platform,
    board_part="avnet.com:ultra96v2:part0:1.2",
    family="xcup",
    lut=70_560, ff=141_120, bram36=216, dsp=360,
    # One port takes all that this DRAM gives; HP1 shares it evenly between reads and writes, HP0 does not.
    hp=(1,),
    clock_mhz=200.0,
    memory="ultra96",
    dram_bytes=2 << 30,
    config=Config(rows=8, lanes=8, ports=1),
)
