"""AMD ZCU102: Zynq UltraScale+ ZU9EG, 4 GiB DDR4 of 64 bits."""

from eftrain_hdl.boards._board import Board
from eftrain_hdl.boards._zynqmp import ZYNQMP, ZynqMPPlatform
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16

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
    ps=ZYNQMP,
    board_part="*:zcu102:*",
    lut=274_080, ff=548_160, bram36=912, dsp=2520,
    # The three that reach 14 GB/s together; HP1 with HP2 reaches 8. Stores have the last one to themselves.
    hp=(0, 1, 3),
    clock_mhz=200.0,
    memory="zcu102",
    dram_bytes=4 << 30,
    configs={
        # The planner's best for VGG-16 at 60 % of the board, which leaves room for routing at this clock:
        # `eftrain plan --search --board zcu102 --model vgg16 --batch 16 --share 0.6`.
        "fp32": Config(rows=32, lanes=16, ports=3),
        "bf16": Config(rows=64, lanes=16, ports=2, operand=BF16),
    },
)

if __name__ == "__main__":
    from eftrain_hdl.cli import board_main

    raise SystemExit(board_main(BOARD))
