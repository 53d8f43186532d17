"""Skewed banked buffer: channel and pixel vectors without a conflict (``docs/execution.md``, memories on chip)."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.compute.rotator import Rotator
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.fp.round_to_format import RoundToFormat
from eftrain_hdl.rtl.layouts import BufferWrite

__all__ = ["BankedBuffer"]


class BankedBuffer(wiring.Component):
    """``lanes`` banks; a vector at address v keeps lane l in bank (l + v) mod ``lanes``, a planar element e lies in
    bank e mod ``lanes``.

    The read side takes one row address per *bank* and returns the banks rotated so that output j is bank (shift + j)
    mod ``lanes``.

    Parameters
    ----------
    config : Config
        ``lanes``, ``operand`` and the width of a beat.
    depth : int
        Rows, that is vectors: a power of two, at least 2.

    Members
    -------
    write : In(BufferWrite)
        Beats to write, FP32; rounded to the operand format. Visible to reads :attr:`write_latency` cycles later.
    rows : In(lanes of log2 depth)
        Row address of each bank.
    shift : In(log2 lanes)
        With ``rows``.
    o : Out(lanes of operand)
        :attr:`latency` cycles after ``rows``.

    Raises
    ------
    TypeError
        If ``config`` is not a Config.
    ValueError
        If ``depth`` is no power of two, or below 2.
    """

    write_latency = RoundToFormat.latency + 3
    """Cycles from ``write`` to the first ``rows`` that read it."""

    def __init__(self, config: Config, depth: int):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        if not isinstance(depth, int) or depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, at least 2, not {depth!r}")
        self._config = config
        self._depth = depth
        self._row_bits = depth.bit_length() - 1
        self._lane_bits = config.lanes.bit_length() - 1
        self._rotator = Rotator(config.operand.width, config.lanes)
        super().__init__(
            {
                "write": In(BufferWrite(config)),
                "rows": In(data.ArrayLayout(unsigned(self._row_bits), config.lanes)),
                "shift": In(self._lane_bits),
                "o": Out(data.ArrayLayout(unsigned(config.operand.width), config.lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``rows`` to ``o``: memory, its output register, rotation."""
        return 2 + self._rotator.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rotator = self._rotator
        writes = self._elaborate_write(m)
        for k in range(self._config.lanes):
            m.submodules[f"bank_{k}"] = bank = Memory(
                shape=unsigned(self._config.operand.width), depth=self._depth, init=[], attrs={"ram_style": "block"}
            )
            write, read = bank.write_port(), bank.read_port()
            en, row, word = writes[k]
            registered = Signal(self._config.operand.width, name=f"bank_{k}_o", reset_less=True)
            m.d.comb += [
                write.en.eq(en),
                write.addr.eq(row),
                write.data.eq(word),
                read.en.eq(1),
                read.addr.eq(self.rows[k]),
                self._rotator.i[k].eq(registered),
            ]
            m.d.sync += registered.eq(read.data)
        m.d.comb += self._rotator.shift.eq(delay(m, self.shift, 2, name="shift"))
        m.d.comb += self.o.eq(self._rotator.o)
        return m

    def _elaborate_write(self, m: Module) -> list[tuple[Signal, Signal, Signal]]:
        """Round the words of a beat and send each to its bank: (enable, row, word) per bank."""
        config = self._config
        lanes, words = config.lanes, config.vector_lanes
        rounded = []
        for i in range(words):
            m.submodules[f"round_{i}"] = unit = RoundToFormat(config.operand)
            m.d.comb += unit.i.eq(self.write.data[i])
            rounded.append(unit.o)

        lag = RoundToFormat.latency
        en = delay(m, self.write.en, lag, name="write_en", reset_less=False)
        planar = delay(m, self.write.planar, lag, name="write_planar")
        address = delay(m, self.write.address, lag, name="write_address")
        lane = delay(m, self.write.lane, lag, name="write_lane")

        # First bank of the beat, and the row there.
        en_1 = Signal()
        planar_1 = Signal(reset_less=True)
        bank_1 = Signal(self._lane_bits, reset_less=True)
        row_1 = Signal(self._row_bits, reset_less=True)
        m.d.sync += [
            en_1.eq(en),
            planar_1.eq(planar),
            bank_1.eq(address[: self._lane_bits] + Mux(planar, 0, lane)),
            row_1.eq(Mux(planar, address >> self._lane_bits, address)),
        ]
        words_1 = [delay(m, word, 1, name=f"write_word_{i}") for i, word in enumerate(rounded)]

        # A planar beat that wraps round the banks goes on in the next row; with more than two rows of carry impossible.
        next_1 = Signal(self._row_bits)
        m.d.comb += next_1.eq(row_1 + 1)
        result = []
        for k in range(lanes):
            offset = Signal(self._lane_bits, name=f"write_offset_{k}")
            bank_en = Signal(name=f"write_en_{k}")
            row = Signal(self._row_bits, name=f"write_row_{k}", reset_less=True)
            word = Signal(config.operand.width, name=f"write_data_{k}", reset_less=True)
            m.d.comb += offset.eq(k - bank_1)
            m.d.sync += [
                bank_en.eq(en_1 & (offset < words)),
                row.eq(Mux(planar_1 & (k < bank_1), next_1, row_1)),
                word.eq(Array(words_1)[offset[: max(1, words.bit_length() - 1)]] if words > 1 else words_1[0]),
            ]
            result.append((bank_en, row, word))
        return result
