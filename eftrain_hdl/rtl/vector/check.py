"""What an element of the nest needs, and whether it may have it."""

from __future__ import annotations

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.registers import ErrorCode

from .layouts import element_layout, position_layout

__all__ = ["ElementCheck"]


class ElementCheck(wiring.Component):
    """Judges coordinates and addresses of the elements of VECTOR instructions; two cycles, one element a cycle.

    Parameters
    ----------
    config : Config
        Sizes of the accumulators (``accumulator_depth``, ``accumulator_banks``, ``rows``) and of the operand memories
        (``operand_depth``).

    Members
    -------
    i : In(stream of :func:`~.layouts.position_layout`)
    o : Out(stream of :func:`~.layouts.element_layout`)
        ``error`` is set where an address lies outside a memory that the element uses, on ``bad_field``, and for a bank
        that does not exist.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(position_layout())),
            "o": Out(stream.Signature(element_layout())),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self._config
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]
        i = self.i.payload

        def below(value: Value, limit: Value | int) -> Value:
            return value.as_unsigned() < limit

        valid = Signal()
        held = Signal(position_layout(), reset_less=True)
        names = ("row", "col", "y", "x")
        inside = {name: Signal(name=f"{name}_inside", reset_less=True) for name in names}
        depths = {
            "acc": config.accumulator_depth, "group": config.rows // config.vector_lanes, "c": config.operand_depth,
            "a": config.operand_depth, "b": config.operand_depth,
        }
        outside = {name: Signal(name=f"{name}_outside", reset_less=True) for name in depths}
        with m.If(move):
            m.d.sync += [valid.eq(self.i.valid), held.eq(i)]
            for name in names:
                # A negative coordinate is large as an unsigned number, but a limit may be larger still.
                m.d.sync += inside[name].eq(~i.at[name][-1] & below(i.at[name], i.settings[f"{name}_limit"]))
            m.d.sync += [outside[name].eq(~below(i.at[name], depth)) for name, depth in depths.items()]

        settings, at = held.settings, held.at
        present = inside["row"] & inside["col"]
        compete = present | ~settings.reduce
        emit = inside["y"] & inside["x"] & (held.last | ~settings.reduce)
        uses_a = settings.mask_a | settings.match_a | settings.add_a | settings.sgd
        used = {
            "acc": present & ~settings.source, "group": present & ~settings.source, "c": present & settings.source,
            "a": compete & uses_a, "b": compete & settings.add_b,
        }
        wrong = Signal(len(used))
        m.d.comb += wrong.eq(Cat(used[name] & outside[name] for name in used))

        bad_field = held.bad_field | (settings.bank >= config.accumulator_banks)
        o = Signal(element_layout(), reset_less=True)
        m.d.comb += self.o.payload.eq(o)
        tags = o.tags
        same = ("source", "mask_a", "match_a", "add_a", "scale_a", "add_b", "scale_b", "relu", "reduce", "gate", "sgd")
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(valid),
                o.drain.eq(present & ~settings.source),
                o.bank.eq(settings.bank),
                *[o[name].eq(at[name]) for name in depths],
                *[tags[name].eq(settings[name]) for name in same],
                tags.clear.eq(~present),
                tags.compete.eq(compete),
                tags.first.eq(held.first | ~settings.reduce),
                tags.emit_0.eq(emit & settings.emit_0),
                tags.emit_1.eq(emit & settings.emit_1),
                tags.end.eq(held.end),
                tags.index.eq(at.index),
                o.error.eq(wrong.any() | bad_field),
                o.error_code.eq(Mux(bad_field, ErrorCode.BAD_FIELD, ErrorCode.CHIP_ADDRESS)),
                o.error_address.eq(0),
            ]
            for k, name in reversed(list(enumerate(used))):
                with m.If(wrong[k] & ~bad_field):
                    m.d.sync += o.error_address.eq(at[name].as_unsigned())
        return m
