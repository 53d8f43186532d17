"""From a VECTOR instruction to its elements, one a cycle."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import VECTOR_LEVELS, VECTOR_QUANTITIES, Opcode
from eftrain_hdl.rtl.layouts import instruction_layout

from .layouts import position_layout, quantities_layout

__all__ = ["VectorNest"]

_ROWS = 8  # of the step memory, for one instruction: VECTOR_LEVELS rounded up


class VectorNest(wiring.Component):
    """Walks the nest of a VECTOR instruction.

    The steps of the next instruction are copied into a small memory (six cycles) while the present one runs, so that
    elements of two instructions follow each other without a gap when the next one has been valid for long enough. The
    first element of one that finds the unit idle is on ``o`` nine cycles after ``i.valid``.

    Members
    -------
    i : In(stream of instruction)
        Taken when its first element appears on ``o`` at the next clock edge; must stay valid until then.
    o : Out(stream of :func:`~.layouts.position_layout`)
        Elements in order. An instruction with a count of zero, or both ``sgd`` and ``reduce``, yields one element with
        ``bad_field``.
    """

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(instruction_layout(Opcode.VECTOR))),
            "o": Out(stream.Signature(position_layout())),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        fields = self.i.payload
        m.submodules.steps = steps = memory.Memory(shape=quantities_layout(), depth=2 * _ROWS, init=[])
        write, read = steps.write_port(), steps.read_port(domain="comb")

        move = Signal()
        m.d.comb += move.eq(~self.o.valid | self.o.ready)

        # Copying: `taken` says that the instruction on `i` is already running.
        level = Signal(range(VECTOR_LEVELS))
        half = Signal()
        ready, taken, bad = Signal(), Signal(), Signal()
        start = Signal()
        copy = self.i.valid & ~ready & ~taken
        m.d.comb += [write.addr.eq(Cat(level, half)), write.en.eq(copy)]
        with m.Switch(level):
            for k in range(VECTOR_LEVELS):
                with m.Case(k):
                    m.d.comb += [write.data[name].eq(fields[f"n{k}_{name}"]) for name, _ in VECTOR_QUANTITIES]
        counts = [fields[f"n{k}_count"] for k in range(VECTOR_LEVELS)]
        with m.If(copy):
            m.d.sync += level.eq(level + 1)
            with m.If(level == VECTOR_LEVELS - 1):
                empty = Cat(count == 0 for count in counts).any()
                m.d.sync += [level.eq(0), ready.eq(1), bad.eq(empty | (fields.sgd & fields.reduce))]
        with m.If(start):
            m.d.sync += [ready.eq(0), taken.eq(1), half.eq(~half)]

        walk = self._counters(m, start, move, counts, bad)
        m.d.comb += start.eq(ready & (~walk.valid | (move & walk.end)))
        current_half = Signal()
        with m.If(start):
            m.d.sync += current_half.eq(half)
        m.d.comb += read.addr.eq(Cat(walk.level, current_half))

        held = Signal(walk.shape())
        step = Signal(quantities_layout(), reset_less=True)
        with m.If(move):
            m.d.sync += [held.eq(walk), step.eq(read.data)]

        begin = held.valid & held.begin
        m.d.comb += self.i.ready.eq(begin & move)
        with m.If(self.i.ready):
            m.d.sync += taken.eq(0)
        o = Signal(position_layout(), reset_less=True)
        m.d.comb += self.o.payload.eq(o)
        with m.If(move):
            m.d.sync += [self.o.valid.eq(held.valid), o.first.eq(held.first), o.last.eq(held.last)]
            m.d.sync += [o.end.eq(held.end), o.bad_field.eq(held.bad)]
            for name, _ in VECTOR_QUANTITIES:
                add = Mux(held.begin, fields[f"{name}_base"], step[name])
                m.d.sync += o.at[name].eq(Mux(held.begin, 0, o.at[name]) + add)
            with m.If(begin):
                m.d.sync += [o.settings[name].eq(fields[name]) for name, _ in o.settings.shape()]
        return m

    def _counters(self, m: Module, start: Signal, move: Signal, counts: Sequence[Value], bad: Signal) -> data.View:
        """Counters and, registered beside them, everything that is asked about them."""
        walk = Signal(data.StructLayout({
            "valid": 1, "begin": 1, "level": range(_ROWS), "first": 1, "last": 1, "end": 1, "bad": 1,
        }))
        valid, begin, first, failed = Signal(), Signal(), Signal(), Signal()
        level = Signal(range(_ROWS))
        last = Signal(VECTOR_LEVELS)
        m.d.comb += [
            walk.valid.eq(valid), walk.begin.eq(begin), walk.level.eq(level), walk.first.eq(first),
            walk.last.eq(last[:2].all()), walk.end.eq(last.all()), walk.bad.eq(failed),
        ]
        with m.If(move & valid):
            m.d.sync += [begin.eq(0), first.eq(last[:2].all())]
            for k in reversed(range(VECTOR_LEVELS)):
                with m.If(~last[k]):
                    m.d.sync += level.eq(k)
            with m.If(walk.end):
                m.d.sync += valid.eq(0)
        for k, count in enumerate(counts):
            total = Signal(16, name=f"count{k}", reset_less=True)
            left = Signal(16, name=f"left{k}", reset_less=True)
            single = Signal(name=f"single{k}", reset_less=True)
            below = last[:k].all() if k else 1
            with m.If(start):
                m.d.sync += [
                    total.eq(count), left.eq(count), single.eq(count == 1), last[k].eq((count == 1) | bad),
                ]
            with m.Elif(move & valid & below):
                with m.If(last[k]):
                    m.d.sync += [left.eq(total), last[k].eq(single)]
                with m.Else():
                    m.d.sync += [left.eq(left - 1), last[k].eq(left == 2)]
        with m.If(start):
            m.d.sync += [valid.eq(1), begin.eq(1), first.eq(1), failed.eq(bad)]
        return walk
