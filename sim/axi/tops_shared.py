"""Top level for the arbiter bench: three read and three write DMAs on one AXI4 port."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.rtl.axi.arbiter import ReadArbiter, WriteArbiter
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from eftrain_hdl.rtl.axi.signature import AXI4ReadSignature, AXI4WriteSignature
from eftrain_hdl.rtl.axi.write_dma import WriteDma

__all__ = ["MANAGERS", "OPTIONS", "SharedPort"]

MANAGERS = 3
OPTIONS: dict[str, int | bool] = {"data_width": 64, "address_width": 32, "outstanding": 8, "fifo_beats": 64}


class SharedPort(wiring.Component):
    """``r0`` to ``r2`` and ``w0`` to ``w2`` with all pins but their buses, which meet at ``shared_axi``."""

    def __init__(self) -> None:
        self.parts = {f"r{n}": ReadDma(**OPTIONS) for n in range(MANAGERS)}
        self.parts |= {f"w{n}": WriteDma(**OPTIONS) for n in range(MANAGERS)}
        members: dict[str, wiring.Member] = {}
        for name, part in self.parts.items():
            pins = {pin: member for pin, member in part.signature.members.items() if pin != "axi"}
            members[name] = Out(wiring.Signature(pins))
        members["read_axi"] = Out(AXI4ReadSignature(64, 32))
        members["write_axi"] = Out(AXI4WriteSignature(64, 32))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.readers = readers = ReadArbiter(MANAGERS, 64, 32, outstanding=16)
        m.submodules.writers = writers = WriteArbiter(MANAGERS, 64, 32, outstanding=16)
        wiring.connect(m, readers.axi, wiring.flipped(self.read_axi))
        wiring.connect(m, writers.axi, wiring.flipped(self.write_axi))
        for name, part in self.parts.items():
            m.submodules[name] = part
            arbiter = readers if name[0] == "r" else writers
            wiring.connect(m, part.axi, arbiter.managers[int(name[1:])])
            outer = getattr(self, name)
            for pin, member in outer.signature.members.items():
                inside, outside = getattr(part, pin), getattr(outer, pin)
                if member.is_signature:
                    wiring.connect(m, inside, wiring.flipped(outside))
                elif member.flow is In:
                    m.d.comb += inside.eq(outside)
                else:
                    m.d.comb += outside.eq(inside)
        return m
