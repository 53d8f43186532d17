# amaranth: UnusedElaboratable=no
"""The read DMA on Verilator, tested by ``sim/axi/bench_read_dma.py``."""

import pytest

from eftrain_hdl.rtl.axi.read_dma import ReadDma
from sim.axi.tops import dma_bundle
from sim.runner import run_bench


def test_bench() -> None:
    assert run_bench(dma_bundle(ReadDma), "sim.axi.bench_read_dma") == 24 + 3 + 4 + 12 + 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_width": 16}, "data_width must be one of 32, 64, 128, 256, not 16"),
        ({"data_width": 64, "address_width": 12}, "address_width must be an integer from 13 to 64, not 12"),
        ({"data_width": 64, "outstanding": 0}, "outstanding must be an integer from 1 to 64, not 0"),
        ({"data_width": 64, "fifo_beats": 1}, "fifo_beats must be an integer from 2 to 65536, not 1"),
        ({"data_width": 64, "protection": 8}, "protection must be an integer from 0 to 7, not 8"),
    ],
)
def test_constructor_errors(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        ReadDma(**options)
