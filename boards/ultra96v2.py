"""Avnet Ultra96-V2: Zynq UltraScale+ ZU3EG, 2 GiB LPDDR4 of 32 bits."""

from eftrain_hdl.boards._board import Board
from eftrain_hdl.boards._zynqmp import ZYNQMP, ZynqMPPlatform
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16

__all__ = ["BOARD", "Ultra96V2Platform"]


class Ultra96V2Platform(ZynqMPPlatform):
    """Part of the Ultra96-V2 (industrial grade; the first Ultra96 has ``1-e``)."""

    device = "xczu3eg"
    package = "sbva484"
    speed = "1-i"


BOARD = Board(
    name="ultra96v2",
    title="Avnet Ultra96-V2",
    platform=Ultra96V2Platform,
    ps=ZYNQMP,
    board_part="*:ultra96v2:*",
    lut=70_560, ff=141_120, bram36=216, dsp=360,
    # One port takes all that this DRAM gives; HP1 shares it evenly between reads and writes, HP0 does not.
    hp=(1,),
    clock_mhz=200.0,
    memory="ultra96",
    dram_bytes=2 << 30,
    configs={
        # The planner's best for VGG-16: `eftrain plan --search --board ultra96v2 --model vgg16 --batch 8`.
        "fp32": Config(rows=8, lanes=16, streaming_depth=2048, stationary_depth=2048),
        "bf16": Config(rows=16, lanes=16, operand=BF16),
    },
)

if __name__ == "__main__":
    from eftrain_hdl.cli import board_main

    raise SystemExit(board_main(BOARD))
