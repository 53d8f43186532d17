"""TUL PYNQ-Z2: Zynq-7000 7Z020, 512 MiB DDR3 of 16 bits."""

from dataclasses import replace

from eftrain_hdl.boards._board import Board
from eftrain_hdl.boards._zynq7000 import ZYNQ7000, Zynq7000Platform
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16

__all__ = ["BOARD", "PynqZ2Platform"]

# With the default depths the buffers take more RAM blocks than the 7Z020 has.
# The planner's best for EF-Train's "1X": `eftrain plan --search --board pynqz2 --model 1x --batch 16`.
_FP32 = Config(
    rows=8, lanes=8, ports=2, data_width=64, address_width=32, axi3=True, streaming_depth=2048, stationary_depth=2048
)
_BF16 = replace(
    _FP32, lanes=16, operand=BF16, streaming_depth=1024, stationary_depth=1024, accumulator_depth=2048
)  # fmt: skip


class PynqZ2Platform(Zynq7000Platform):
    """Part of the PYNQ-Z2."""

    device = "xc7z020"
    package = "clg400"
    speed = "1"


BOARD = Board(
    name="pynqz2",
    title="TUL PYNQ-Z2",
    platform=PynqZ2Platform,
    ps=ZYNQ7000,
    board_part="*:pynq-z2:*",
    lut=53_200, ff=106_400, bram36=140, dsp=220,
    # HP0 and HP1 share one port of the DRAM controller, HP2 and HP3 another: loads take one, stores the other.
    hp=(0, 2),
    clock_mhz=100.0,
    memory="zynq7020",
    dram_bytes=512 << 20,
    configs={"fp32": _FP32, "bf16": _BF16},
)

if __name__ == "__main__":
    from eftrain_hdl.cli import board_main

    raise SystemExit(board_main(BOARD))
