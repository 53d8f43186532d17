"""Watchdog: notices that a program makes no progress."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Counts the cycles without progress.

    Members
    -------
    running : In(1)
        A program runs.
    progress : In(1)
        Something moved in this cycle.
    limit : In(32)
        Cycles without progress that are too many; 0 switches the watchdog off.
    expired : Out(1)
        High for one cycle, three cycles after the last of ``limit`` cycles in a row without progress.
    """

    def __init__(self) -> None:
        super().__init__({"running": In(1), "progress": In(1), "limit": In(32), "expired": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(32)
        moved = Signal(init=1)
        m.d.sync += [
            moved.eq(~self.running | self.progress | (self.limit == 0)),
            self.expired.eq((count == self.limit) & (self.limit != 0)),
        ]
        with m.If(moved | (count == self.limit)):
            m.d.sync += count.eq(0)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        return m
