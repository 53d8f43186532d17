# amaranth: UnusedElaboratable=no
"""The write DMA on Verilator, tested by ``sim/axi/bench_write_dma.py``."""

import pytest

from eftrain_hdl.rtl.axi.write_dma import WriteDma
from sim.axi.tops import dma_bundle
from sim.runner import run_bench


def test_bench() -> None:
    assert run_bench(dma_bundle(WriteDma), "sim.axi.bench_write_dma") == 24 + 3 + 2 + 4 + 1 + 14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_width": 512}, "data_width must be one of 32, 64, 128, 256, not 512"),
        ({"data_width": 64, "address_width": 65}, "address_width must be an integer from 13 to 64, not 65"),
        ({"data_width": 64, "outstanding": 65}, "outstanding must be an integer from 1 to 64, not 65"),
        ({"data_width": 64, "fifo_beats": 65537}, "fifo_beats must be an integer from 2 to 65536, not 65537"),
        ({"data_width": 64, "protection": -1}, "protection must be an integer from 0 to 7, not -1"),
    ],
)
def test_constructor_errors(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        WriteDma(**options)
