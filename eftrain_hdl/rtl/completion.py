"""How many instructions of each unit are dispatched and complete: what instructions wait for."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import AFTER, MOST_DISTANCE, Unit

__all__ = [
    "COUNT_BITS", "HALF_BITS", "MOST_AHEAD", "UNITS", "AfterLayout", "CompletionCounters", "CountsLayout",
    "not_reached", "thresholds",
]  # fmt: skip

UNITS: tuple[Unit, ...] = tuple(AFTER)
"""Units whose instructions are counted."""
COUNT_BITS = 10
"""Counts wrap: of two that are compared, neither may be half of their range before the other."""
HALF_BITS = 3 * COUNT_BITS
"""Bits of half a CountsLayout, which one word carries."""
_UNDER_WAY = 256
"""More instructions than a unit and its queue can hold: all but so many of those dispatched are complete."""
MOST_AHEAD = (1 << (COUNT_BITS - 1)) - _UNDER_WAY - MOST_DISTANCE
"""Instructions that may be dispatched behind one that has not started, so that no count gets too far ahead."""


class CountsLayout(data.StructLayout):
    """A count for each unit, by its field of :data:`~eftrain_hdl.isa.AFTER`."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(AFTER.values(), COUNT_BITS))


class AfterLayout(data.StructLayout):
    """The second word of an instruction: its fields of :data:`~eftrain_hdl.isa.AFTER`, and bits without a meaning."""

    def __init__(self) -> None:
        bits = MOST_DISTANCE.bit_length()
        super().__init__(dict.fromkeys(AFTER.values(), bits) | {"unused": 32 - bits * len(AFTER)})


def thresholds(distances: data.View, dispatched: data.View) -> dict[str, Value]:
    """Counts at which an instruction may start, by field, from its ``after`` fields when so many are dispatched."""
    return {
        name: (dispatched[name] - Mux(distances[name] == 0, _UNDER_WAY, distances[name] - 1))[:COUNT_BITS]
        for name in AFTER.values()
    }


def not_reached(completed: Value, threshold: Value) -> Value:
    """Whether a count of completed instructions is below a threshold."""
    return (completed - threshold)[COUNT_BITS - 1]


class CompletionCounters(wiring.Component):
    """Counts the completed instructions of each unit; a count follows ``posted`` by a cycle.

    Members
    -------
    clear : In(1)
        Sets all counts to zero, at the start of a program.
    posted : In(1) for each of ``UNITS``
        An instruction of the unit is complete.
    completed : Out(CountsLayout)
    """

    def __init__(self) -> None:
        super().__init__({
            "clear": In(1),
            "posted": In(1).array(len(UNITS)),
            "completed": Out(CountsLayout()),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        for k, name in enumerate(AFTER.values()):
            count = Signal(COUNT_BITS, name=f"completed_{name.removeprefix('after_')}")
            m.d.comb += self.completed[name].eq(count)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Elif(self.posted[k]):
                m.d.sync += count.eq(count + 1)
        return m
