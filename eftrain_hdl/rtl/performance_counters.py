"""Performance counters."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import REGISTER_MAP

__all__ = ["COUNTERS", "PerformanceCounters"]

COUNTERS: tuple[str, ...] = tuple(register.name for register in REGISTER_MAP if register.snapshot)
"""Registers that are counters."""

WIDTH = 48
"""Ten days at 300 MHz."""


class PerformanceCounters(wiring.Component):
    """Counts cycles with an event, for each register of ``COUNTERS``; an event shows after 2 cycles.

    Members
    -------
    clear : In(1)
        All to zero.
    event_x : In(1), count_x : Out(64), for every counter ``x`` in lower case
    """

    def __init__(self) -> None:
        members = {}
        for name in COUNTERS:
            members[f"event_{name.lower()}"] = In(1)
            members[f"count_{name.lower()}"] = Out(64)
        super().__init__({"clear": In(1), **members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name in map(str.lower, COUNTERS):
            event = Signal(name=f"seen_{name}")
            count = Signal(WIDTH, name=f"counter_{name}")
            m.d.sync += event.eq(getattr(self, f"event_{name}"))
            with m.If(self.clear):
                m.d.sync += [count.eq(0), event.eq(0)]
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
            m.d.comb += getattr(self, f"count_{name}").eq(count)
        return m
