"""Log of the cycle counts at which stamped stores of a program were complete, and its barriers were passed."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["TimestampLog"]

DEPTH = 512


class TimestampLog(wiring.Component):
    """Memory of 512 timestamps; later ones are counted but not kept.

    Members
    -------
    clear : In(1)
        Begin anew.
    append : In(1), timestamp : In(32)
    index : In(9), data : Out(32)
        The entry that software looks at, one cycle after its index.
    count : Out(16)
        Timestamps since ``clear``; stays at 65535.
    """

    def __init__(self) -> None:
        super().__init__({
            "clear": In(1),
            "append": In(1),
            "timestamp": In(32),
            "index": In(range(DEPTH)),
            "data": Out(32),
            "count": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(32), depth=DEPTH, init=[])
        write = memory.write_port()
        read = memory.read_port()
        full = Signal()
        m.d.comb += [
            full.eq(self.count >= DEPTH),
            write.addr.eq(self.count),
            write.data.eq(self.timestamp),
            write.en.eq(self.append & ~full),
            read.addr.eq(self.index),
            self.data.eq(read.data),
        ]
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Elif(self.append & ~self.count.all()):
            m.d.sync += self.count.eq(self.count + 1)
        return m
