"""Top levels for the AXI benches: several configurations side by side, so that one compilation serves all tests."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from eftrain_hdl.rtl.axi.read_dma import ReadDma
from eftrain_hdl.rtl.axi.write_dma import WriteDma

__all__ = ["CONFIGURATIONS", "Bundle", "dma_bundle"]

CONFIGURATIONS: dict[str, dict[str, int | bool]] = {
    "c32": {"data_width": 32, "outstanding": 4, "fifo_beats": 64},
    "c64": {"data_width": 64, "address_width": 32, "outstanding": 8, "fifo_beats": 32, "axi3": True},
    "c128": {"data_width": 128, "outstanding": 8, "fifo_beats": 256},
    "c256": {"data_width": 256, "outstanding": 16, "fifo_beats": 48},
    "deep": {"data_width": 128, "outstanding": 32, "fifo_beats": 512},
}


class Bundle(wiring.Component):
    """Independent components side by side; the ports of the one called ``x`` have the prefix ``x_``."""

    def __init__(self, parts: dict[str, wiring.Component]) -> None:
        self.parts = parts
        super().__init__({name: Out(part.signature) for name, part in parts.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
            wiring.connect(m, part, wiring.flipped(getattr(self, name)))
        return m


def dma_bundle(kind: type[ReadDma] | type[WriteDma]) -> Bundle:
    """All of ``CONFIGURATIONS`` of one kind of DMA."""
    return Bundle({name: kind(**options) for name, options in CONFIGURATIONS.items()})
