"""AMD Kria KV260: a K26 module, Zynq UltraScale+ with 4 GiB DDR4 of 64 bits, on its starter carrier card."""

from dataclasses import replace

from eftrain_hdl.boards._board import Board
from eftrain_hdl.boards._zynqmp import ZYNQMP, ZynqMPPlatform
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16

__all__ = ["BOARD", "KV260Platform"]

# With the default depths the buffers take more RAM blocks than the K26 has.
_FP32 = Config(
    rows=16, lanes=16, ports=3, streaming_depth=2048, stationary_depth=2048, accumulator_depth=512, operand_depth=1024
)


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
    configs={"fp32": _FP32, "bf16": replace(_FP32, operand=BF16)},
)

if __name__ == "__main__":
    from eftrain_hdl.cli import board_main

    raise SystemExit(board_main(BOARD))
