"""Systolic array: Tm rows of Tn lanes with their accumulators."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.compute.mac_row import MacRow, accumulate_layout
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.fp import OperandDecoder
from eftrain_hdl.rtl.layouts import DrainRead

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """Holds a stationary block ``A[rows][lanes]``; each cycle a vector b streams past and every row adds ``dot(A[m],
    b)`` to one of its words.

    Row m works m cycles after row 0 (design: one dataflow for all three phases). One vector a cycle; the sums of a
    vector can be read :attr:`latency` cycles later, and two vectors that add into the same word must lie
    :attr:`recurrence` cycles apart.

    Parameters
    ----------
    config : Config
        ``rows``, ``lanes``, ``operand``, ``window``; depth and banks of the accumulators.

    Members
    -------
    b : In(lanes of operand), b_first : In(1)
        Streamed vector. ``b_first`` in the cycle of a block's first vector makes the loaded block active.
    accumulate : In(accumulate_layout)
        In the same cycle as its ``b``.
    a : In(lanes of operand), load : In(1), load_first : In(1)
        One row of the next block per cycle with ``load``, the last row first, ``load_first`` with the first of them. A
        load of ``rows`` cycles
        may start in the cycle of the former block's ``b_first``, and must have ended one cycle before its own.
    drain : In(DrainRead)
        Accumulator read port; ``drain.bank_busy`` repeats ``busy``.
    busy : In(banks)
        Banks that the array is adding into.
    overflow, invalid : Out(1)
        Some row raised the flag.

    Raises
    ------
    TypeError
        If ``config`` is not a Config.
    """

    def __init__(self, config: Config):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self._config = config
        self._rows = [MacRow(config) for _ in range(config.rows)]
        vector = data.ArrayLayout(unsigned(config.operand.width), config.lanes)
        super().__init__(
            {
                "b": In(vector),
                "b_first": In(1),
                "accumulate": In(accumulate_layout(config)),
                "a": In(vector),
                "load": In(1),
                "load_first": In(1),
                "drain": In(DrainRead(config)),
                "busy": In(config.accumulator_banks),
                "overflow": Out(1),
                "invalid": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``b`` until its sum can be read in every row."""
        row = self._rows[0]
        return OperandDecoder.latency + row.accumulate_lag + row.recurrence + self._config.rows

    @property
    def recurrence(self) -> int:
        """Cycles that must lie between two vectors that add into the same word."""
        return self._rows[0].recurrence

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._rows
        lag = OperandDecoder.latency + rows[0].accumulate_lag
        m.submodules.decode_b = decode_b = OperandDecoder(self._config.lanes, self._config.operand)
        m.submodules.decode_a = decode_a = OperandDecoder(self._config.lanes, self._config.operand)
        m.d.comb += [decode_b.i.eq(self.b), decode_a.i.eq(self.a)]
        vector = decode_b.o
        vector_first, load, load_first = (
            delay(m, value, OperandDecoder.latency, name=name, reset_less=False)
            for name, value in (("b_first", self.b_first), ("load", self.load), ("load_first", self.load_first))
        )
        accumulate = data.View(accumulate_layout(self._config), delay(m, self.accumulate, lag, name="accumulate"))
        chain, armed = decode_a.o, 1
        drain_address = Signal(self._config.accumulator_depth.bit_length() - 1, reset_less=True)
        drain_bank = Signal.like(self.drain.bank, reset_less=True)
        busy = Signal.like(self.busy)
        m.d.sync += [drain_address.eq(self.drain.address), drain_bank.eq(self.drain.bank), busy.eq(self.busy)]
        m.d.comb += self.drain.bank_busy.eq(self.busy)
        for k, row in enumerate(rows):
            m.submodules[f"row_{k}"] = row
            m.d.comb += [
                row.b.eq(vector),
                row.b_first.eq(vector_first),
                row.accumulate.eq(accumulate),
                row.a.eq(chain),
                row.load.eq(load),
                row.armed.eq(armed),
                row.busy.eq(busy),
                row.drain_address.eq(drain_address),
                row.drain_bank.eq(drain_bank),
            ]
            vector, vector_first, accumulate = row.b_next, row.b_first_next, row.accumulate_next
            chain, armed = row.a_next, row.armed_next & ~load_first
        self._elaborate_drain(m)
        m.d.sync += [
            self.overflow.eq(reduce(or_, (row.overflow for row in rows))),
            self.invalid.eq(reduce(or_, (row.invalid for row in rows))),
        ]
        return m

    def _elaborate_drain(self, m: Module) -> None:
        words = self._config.vector_lanes
        groups = self._config.rows // words
        group = delay(m, self.drain.group, DrainRead.LATENCY - 1, name="drain_group")
        for w in range(words):
            choices = [self._rows[g * words + w].drain_data for g in range(groups)]
            output = Signal(32, name=f"drain_{w}", reset_less=True)
            m.d.sync += output.eq(Array(choices)[group[: max(1, (groups - 1).bit_length())]])
            m.d.comb += self.drain.data[w].eq(output)
