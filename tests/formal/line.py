"""A queue that is easy to reason about."""

from amaranth.hdl import Array, Module, Mux, Signal, Value

__all__ = ["Line"]


class Line:
    """A row of registers in which entry 0 is the oldest. Pushing to a full line, or popping an empty one, is for the
    bench to exclude.

    Parameters
    ----------
    push, value : append ``value`` at the end of the cycle
    pop : drop entry 0 at the end of the cycle
    depth : entries

    Attributes
    ----------
    level : number of entries
    """

    def __init__(self, m: Module, depth: int, *, push: Value, value: Value, pop: Value) -> None:
        self.level = Signal(range(depth + 2), name="line_level")
        self.depth = depth
        self._entries = [Signal(len(value), name=f"line{number}") for number in range(depth)]
        m.d.sync += self.level.eq(self.level + push - pop)
        for number, entry in enumerate(self._entries):
            following = self._entries[number + 1] if number + 1 < depth else entry
            m.d.sync += entry.eq(Mux(push & (self.level == number + pop), value, Mux(pop, following, entry)))

    def __getitem__(self, number: Value | int) -> Value:
        """Entry ``number``; meaningless from ``level`` on."""
        return self._entries[number] if isinstance(number, int) else Array(self._entries)[number]
