"""One row of the array: stationary operand, fused dot product, accumulators."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.compute.accumulator import Accumulator
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.fp import DecodedDot, decoded_layout

__all__ = ["MacRow", "accumulate_layout"]


def accumulate_layout(config: Config) -> data.StructLayout:
    """What goes to the accumulators with each streamed vector."""
    return data.StructLayout(
        {
            "en": 1,
            "init": 1,
            "bank": range(config.accumulator_banks),
            "address": config.accumulator_depth.bit_length() - 1,
        }
    )


class MacRow(wiring.Component):
    """One row: every cycle ``dot(A, b)`` with the stationary ``A``, added into an accumulator word.

    All that comes from the row above leaves for the row below one cycle later, so no wire is longer than a row.

    Parameters
    ----------
    config : Config
        ``lanes``, ``operand``, ``window``; depth and banks of the accumulators.

    Members
    -------
    b : In(lanes of decoded operand), b_first : In(1)
        Streamed vector; ``b_first`` marks the first one of a block, which makes the shadow block the active one.
    b_next, b_first_next : Out
        The same for the next row.
    accumulate : In(accumulate_layout), accumulate_next : Out
        Accumulator control, :attr:`accumulate_lag` cycles after the vector it belongs to.
    a : In(lanes of decoded operand), a_next : Out
        Shift chain of the shadow block.
    load : In(1), armed : In(1), armed_next : Out(1)
        The row shifts when both are high. ``armed_next`` follows one cycle later, so that row m joins in m cycles after
        row 0:
        by then the block before has left its shadow.
    busy, drain_address, drain_bank, drain_data
        See :class:`Accumulator`.
    overflow, invalid : Out(1)
        Flags of the dot product and the accumulation.
    """

    def __init__(self, config: Config):
        self._config = config
        self._dot = DecodedDot(config.lanes, config.operand, config.window)
        self._accumulator = Accumulator(config.accumulator_depth, config.accumulator_banks)
        vector = data.ArrayLayout(decoded_layout(config.operand), config.lanes)
        address = unsigned(config.accumulator_depth.bit_length() - 1)
        super().__init__(
            {
                "b": In(vector),
                "b_first": In(1),
                "b_next": Out(vector),
                "b_first_next": Out(1),
                "accumulate": In(accumulate_layout(config)),
                "accumulate_next": Out(accumulate_layout(config)),
                "a": In(vector),
                "a_next": Out(vector),
                "load": In(1),
                "armed": In(1),
                "armed_next": Out(1),
                "busy": In(config.accumulator_banks),
                "drain_address": In(address),
                "drain_bank": In(range(config.accumulator_banks)),
                "drain_data": Out(32),
                "overflow": Out(1),
                "invalid": Out(1),
            }
        )

    @property
    def accumulate_lag(self) -> int:
        """Cycles from ``b`` to its ``accumulate``."""
        return 1 + self._dot.latency - Accumulator.data_lag

    @property
    def recurrence(self) -> int:
        """See :attr:`Accumulator.recurrence`."""
        return self._accumulator.recurrence

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = self._dot
        m.submodules.accumulator = accumulator = self._accumulator
        vector = self.b.shape()

        shift = Signal()
        m.d.comb += shift.eq(self.load & self.armed)
        m.d.sync += self.armed_next.eq(shift)
        shadow = Signal(vector, reset_less=True)
        active = Signal(vector, reset_less=True)
        with m.If(shift):
            m.d.sync += shadow.eq(self.a)
        with m.If(self.b_first):
            m.d.sync += active.eq(shadow)
        b = Signal(vector, reset_less=True)
        m.d.sync += [b.eq(self.b), self.b_first_next.eq(self.b_first), self.accumulate_next.eq(self.accumulate)]
        m.d.comb += [self.a_next.eq(shadow), self.b_next.eq(b), dot.a.eq(active), dot.b.eq(b)]

        m.d.comb += [
            accumulator.en.eq(self.accumulate.en),
            accumulator.init.eq(self.accumulate.init),
            accumulator.bank.eq(self.accumulate.bank),
            accumulator.address.eq(self.accumulate.address),
            accumulator.d.eq(dot.o),
            accumulator.busy.eq(self.busy),
            accumulator.drain_address.eq(self.drain_address),
            accumulator.drain_bank.eq(self.drain_bank),
            self.drain_data.eq(accumulator.drain_data),
        ]
        arrived = delay(m, self.accumulate.en, Accumulator.data_lag, name="arrived", reset_less=False)
        m.d.sync += [
            self.overflow.eq(dot.overflow & arrived | accumulator.overflow),
            self.invalid.eq(dot.invalid & arrived | accumulator.invalid),
        ]
        return m
