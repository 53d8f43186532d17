"""Accumulators of one row: banks of FP32 words and the adder that adds into them."""

from __future__ import annotations

from amaranth.hdl import Array, Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.fp import FloatAdd

__all__ = ["Accumulator"]

_MINUS_ZERO = 0x8000_0000
_READ_LATENCY = 2


class Accumulator(wiring.Component):
    """Adds a stream of dot products into addressed words.

    Parameters
    ----------
    depth : int
        Words of a bank.
    banks : int

    Members
    -------
    en : In(1), init : In(1), bank : In(log2 banks), address : In(log2 depth)
        One accumulation: the word, and whether it is overwritten instead of added to.
    d : In(32)
        The value, :attr:`data_lag` cycles after ``en``.
    busy : In(banks)
        The bank belongs to the array; otherwise its read port follows ``drain_address``.
    drain_address : In(log2 depth), drain_bank : In(log2 banks)
        Word to read.
    drain_data : Out(32)
        3 cycles after ``drain_address``.
    overflow, invalid : Out(1)
        Flags of the adder, for accumulations only.
    """

    data_lag = _READ_LATENCY
    """Cycles from ``en`` to ``d``."""

    def __init__(self, depth: int, banks: int):
        self._depth = depth
        self._banks = banks
        self._adder = FloatAdd()
        bits = depth.bit_length() - 1
        super().__init__({
            "en": In(1), "init": In(1), "bank": In(range(banks)), "address": In(bits),
            "d": In(32),
            "busy": In(banks),
            "drain_address": In(bits), "drain_bank": In(range(banks)), "drain_data": Out(32),
            "overflow": Out(1), "invalid": Out(1),
        })

    @property
    def recurrence(self) -> int:
        """Cycles that must lie between two accumulations into the same word."""
        return _READ_LATENCY + self._adder.latency + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.adder = adder = self._adder

        en = delay(m, self.en, _READ_LATENCY, name="en", reset_less=False)
        init = delay(m, self.init, _READ_LATENCY, name="init")
        bank = delay(m, self.bank, _READ_LATENCY, name="bank")
        written_en = delay(m, en, adder.latency, name="sum_en", reset_less=False)
        written_bank = delay(m, bank, adder.latency, name="sum_bank")
        written_address = delay(m, self.address, _READ_LATENCY + adder.latency, name="sum_address")

        outputs = []
        for k in range(self._banks):
            m.submodules[f"bank_{k}"] = memory = Memory(
                shape=unsigned(32), depth=self._depth, init=[], attrs={"ram_style": "block"})
            write, read = memory.write_port(), memory.read_port()
            output = Signal(32, name=f"bank_{k}_o", reset_less=True)
            m.d.comb += [
                read.en.eq(1),
                read.addr.eq(Mux(self.busy[k], self.address, self.drain_address)),
                write.en.eq(written_en & (written_bank == k)),
                write.addr.eq(written_address),
                write.data.eq(adder.o),
            ]
            m.d.sync += output.eq(read.data)
            outputs.append(output)

        # x + (-0) is x for every x, so that starting a sum needs no second path round the adder.
        m.d.comb += [
            adder.a.eq(self.d),
            adder.b.eq(Mux(init, Const(_MINUS_ZERO, 32), Array(outputs)[bank])),
            self.overflow.eq(adder.overflow & written_en),
            self.invalid.eq(adder.invalid & written_en),
        ]
        drain_bank = delay(m, self.drain_bank, _READ_LATENCY, name="drain_bank")
        m.d.sync += self.drain_data.eq(Array(outputs)[drain_bank])
        return m
