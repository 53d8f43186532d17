"""AMD Kria KV260: a K26 module, Zynq UltraScale+ with 4 GiB DDR4 of 64 bits, on its starter carrier card."""

from eftrain_hdl.boards._board import Board
from eftrain_hdl.boards._zynqmp import ZYNQMP, ZynqMPPlatform
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16

__all__ = ["BOARD", "KV260Platform"]


class KV260Platform(ZynqMPPlatform):
    """Part of the K26 module of the starter kit (commercial grade)."""

    device = "xck26"
    package = "sfvc784"
    speed = "2LV-c"


BOARD = Board(
    name="kv260",
    title="AMD Kria KV260",
    platform=KV260Platform,
    ps=ZYNQMP,
    board_part="*:kv260_som:*",
    lut=117_120, ff=234_240, bram36=144, dsp=1248,
    # As on the ZCU102; nobody has published what this board's ports reach.
    hp=(0, 1, 3),
    clock_mhz=200.0,
    memory="kv260",
    dram_bytes=4 << 30,
    configs={
        # The planner's best for VGG-16: `eftrain plan --search --board kv260 --model vgg16 --batch 16`. RAM blocks are
        # what is short.
        "fp32": Config(
            rows=32, lanes=8, ports=3, streaming_depth=1024, stationary_depth=1024, accumulator_depth=512,
            operand_depth=1024,
        ),
        "bf16": Config(
            rows=32, lanes=8, ports=3, operand=BF16, streaming_depth=2048, stationary_depth=2048, accumulator_depth=512,
            operand_depth=1024,
        ),
    },
)

if __name__ == "__main__":
    from eftrain_hdl.cli import board_main

    raise SystemExit(board_main(BOARD))
