"""Memories of a design on both families: those whose ports share an address, and that the others stay as they were."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.synthesis import synthesize
from eftrain_hdl.synthesis import yosys as yosys_module

# Words, bits, whether reading takes a cycle.
Shape = tuple[int, int, bool]


class Memories(wiring.Component):
    """Memories with one port for writing and one for reading, on one address or on two."""

    def __init__(self, shapes: list[Shape], *, one_address: bool) -> None:
        self.shapes, self.one_address = shapes, one_address
        widths = {f"q{k}": Out(bits) for k, (_, bits, _) in enumerate(shapes)}
        super().__init__({"a": In(16), "b": In(16), "write": In(1), "data": In(64), **widths})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for k, (words, bits, registered) in enumerate(self.shapes):
            m.submodules[f"memory{k}"] = store = memory.Memory(shape=bits, depth=words, init=[])
            writer, reader = store.write_port(), store.read_port(domain="sync" if registered else "comb")
            m.d.comb += [writer.addr.eq(self.a), writer.data.eq(self.data), writer.en.eq(self.write),
                         reader.addr.eq(self.a if self.one_address else self.b),
                         getattr(self, f"q{k}").eq(reader.data)]  # fmt: skip
        return m


def lut_memories(cells: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in cells.items() if kind.startswith("RAM") and not kind.startswith("RAMB")}


@pytest.mark.parametrize("family, cells", [
    ("xcup", {"RAM256X1S": 2, "RAM512X1S": 8 + 2 * 4}),
    ("xc7", {"RAM256X1S": 2 + 2 * 8 + 4 * 4}),
])
def test_ports_that_share_an_address(family: str, cells: dict[str, int]) -> None:
    """Each bit takes a LUT memory of 512 words (8 LUTs), of which there are none on 7 series, or of 256 (4 LUTs)."""
    shapes = [(256, 2, False), (512, 8, False), (1024, 4, False), (4096, 32, True)]
    found = synthesize(Memories(shapes, one_address=True), family)
    assert lut_memories(found.cells) == cells
    # The one that is large and registered is made of blocks.
    assert found.bram36 == 4
    assert found.lutram == 4 * cells["RAM256X1S"] + 8 * cells.get("RAM512X1S", 0)


@pytest.mark.full
def test_other_memories_are_mapped_as_yosys_does(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(words, bits, registered) for words, bits in ((16, 32), (64, 7), (512, 8), (2048, 36))
              for registered in (False, True) if registered or words < 2048]  # fmt: skip
    found = synthesize(Memories(shapes, one_address=False), "xcup")
    monkeypatch.setattr(yosys_module, "MAP_MEMORIES", "")
    assert synthesize(Memories(shapes, one_address=False), "xcup") == found
    assert found.bram36 > 0 and found.lutram > 0
