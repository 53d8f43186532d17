"""Semaphores: what units give to each other and wait for."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import SEMAPHORE_MAX, SEMAPHORES

__all__ = ["SemaphorePort", "Semaphores"]


class SemaphorePort(wiring.Signature):
    """How a unit takes and gives semaphores, seen from the unit's side.

    Members
    -------
    take : Out(1)
        The unit wants one of each semaphore in ``take_mask``; held, with the mask, until ``taken``.
    take_mask : Out(16)
    taken : In(1)
        High for one cycle: all of them were taken.
    give : Out(1), give_mask : Out(16)
        Each semaphore of the mask grows by one; for every cycle with ``give`` high.
    """

    def __init__(self) -> None:
        super().__init__({
            "take": Out(1),
            "take_mask": Out(SEMAPHORES),
            "taken": In(1),
            "give": Out(1),
            "give_mask": Out(SEMAPHORES),
        })


class Semaphores(wiring.Component):
    """Sixteen counters from 0 to 255.

    A unit's whole mask is taken at once or not at all, one unit every third cycle; where several could be served, the
    unit after the one served last comes first. ``taken`` answers ``take`` after 2 cycles at the earliest, and ``give``
    after 4.

    Parameters
    ----------
    units : int
        Number of ports, at least 1.

    Members
    -------
    port : In(SemaphorePort), ``units`` times
    clear : In(1)
        Sets all counters to zero.
    error : Out(1), error_semaphore : Out(4)
        High for one cycle: that counter (the lowest, if several) would have exceeded 255 and stayed there.
    """

    def __init__(self, units: int) -> None:
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"units must be a positive integer, not {units!r}")
        self.units = units
        super().__init__({
            "port": In(SemaphorePort()).array(units),
            "clear": In(1),
            "error": Out(1),
            "error_semaphore": Out(range(SEMAPHORES)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = [self.port[unit] for unit in range(self.units)]

        given = [Signal(range(self.units + 1), name=f"given_{index}") for index in range(SEMAPHORES)]
        for index, count in enumerate(given):
            m.d.sync += count.eq(sum(port.give & port.give_mask[index] for port in ports))

        # Compare in one cycle, choose in the second, subtract in the third, choose again when the comparison shows it.
        available = Signal(SEMAPHORES)
        self._available = available
        served = Signal(self.units)
        masks = Signal(SEMAPHORES)
        satisfied = Signal(self.units)
        m.d.sync += satisfied.eq(Cat(port.take & ((port.take_mask & ~available) == 0) for port in ports))
        settled = Signal()
        m.d.sync += settled.eq(served == 0)
        choice = Signal(self.units)
        last = Signal(range(self.units))
        with m.Switch(last):
            for start in range(self.units):
                with m.Case(start):
                    for unit in [(start - k) % self.units for k in range(self.units)]:
                        with m.If(satisfied[unit]):
                            m.d.comb += choice.eq(1 << unit)
        m.d.sync += served.eq(0)
        with m.If((served == 0) & settled):
            m.d.sync += served.eq(choice)
            for unit in range(self.units):
                with m.If(choice[unit]):
                    m.d.sync += [last.eq(unit), masks.eq(ports[unit].take_mask)]
        m.d.comb += [port.taken.eq(served[unit]) for unit, port in enumerate(ports)]

        overflow = Signal(SEMAPHORES)
        for index in range(SEMAPHORES):
            counter = Signal(range(SEMAPHORE_MAX + 1), name=f"counter_{index}")
            total = Signal(range(SEMAPHORE_MAX + self.units + 1), name=f"total_{index}")
            m.d.comb += total.eq(counter + given[index] - ((served != 0) & masks[index]))
            with m.If(self.clear):
                m.d.sync += [counter.eq(0), available[index].eq(0)]
            with m.Else():
                m.d.sync += [counter.eq(total), available[index].eq(total != 0)]
                with m.If(total > SEMAPHORE_MAX):
                    m.d.sync += counter.eq(SEMAPHORE_MAX)
            m.d.sync += overflow[index].eq((total > SEMAPHORE_MAX) & ~self.clear)
        m.d.comb += self.error.eq(overflow != 0)
        for index in reversed(range(SEMAPHORES)):
            with m.If(overflow[index]):
                m.d.comb += self.error_semaphore.eq(index)
        return m
