"""Soft reset: drain the buses, then reset the core."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Supervisor"]

SETTLE = 8
"""Cycles that a halt needs to reach every DMA, and that a reset is held."""


class Supervisor(wiring.Component):
    """Resets the core without breaking an AXI burst.

    Members
    -------
    soft_reset : In(1)
        Halt the core, wait until it is quiet, reset it. ``resetting`` stays set while memory leaves a burst unanswered.
    error : In(1), quiet : In(1)
        From the core.
    stop : Out(1), core_reset : Out(1)
        To the core.
    resetting : Out(1)
        A soft reset is in progress.
    halted : Out(1)
        The core has met an error, all units have stopped and the buses are quiet.
    """

    def __init__(self) -> None:
        super().__init__({
            "soft_reset": In(1),
            "error": In(1),
            "quiet": In(1),
            "stop": Out(1),
            "core_reset": Out(1),
            "resetting": Out(1),
            "halted": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        settled = Signal(range(SETTLE + 1))
        stable = settled == SETTLE
        m.d.comb += [self.stop.eq(self.resetting), self.halted.eq(self.error & stable & ~self.resetting)]
        with m.If((self.error | self.stop) & self.quiet):
            with m.If(~stable):
                m.d.sync += settled.eq(settled + 1)
        with m.Else():
            m.d.sync += settled.eq(0)

        held = Signal(range(SETTLE))
        with m.FSM():
            with m.State("RUN"):
                with m.If(self.soft_reset):
                    m.d.sync += [self.resetting.eq(1), settled.eq(0)]
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(stable):
                    m.d.sync += [self.core_reset.eq(1), held.eq(SETTLE - 1)]
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += held.eq(held - 1)
                with m.If(held == 0):
                    m.d.sync += [self.core_reset.eq(0), self.resetting.eq(0), settled.eq(0)]
                    m.next = "RUN"
        return m
