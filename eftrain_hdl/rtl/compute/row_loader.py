"""Reads the rows of a stationary block and feeds them to the array."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.compute.banked_buffer import BankedBuffer
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.layouts import BufferWrite

__all__ = ["RowLoader", "row_block_layout"]


def row_block_layout(config: Config) -> data.StructLayout:
    """What the loader must know of a block: fields of COMPUTE by name; ``valid_lanes`` is 0 to ``lanes``."""
    return data.StructLayout(
        {
            "a": config.stationary_depth.bit_length() - 1,
            "a_lane": 8,
            "a_tile": config.stationary_depth.bit_length() - 1,
            "a_last_tile": config.stationary_depth.bit_length() - 1,
            "a_rows": 16,
            "transposed": 1,
            "valid_lanes": 7,
        }
    )


class RowLoader(wiring.Component):
    """The stationary buffer and the sequencer that takes a block out of it, last row first, one row per cycle.

    Parameters
    ----------
    config : Config
        ``stationary_depth``, ``rows``, ``lanes`` and the operand format.

    Members
    -------
    write : In(BufferWrite)
        Beats for the stationary buffer.
    block : In(row_block_layout), start : In(1)
        The block to load, taken with ``start``. The first row leaves in the next cycle.
    a : Out(lanes of operand), load : Out(1), load_first : Out(1)
        To the array, :attr:`latency` cycles after the row left.
    """

    def __init__(self, config: Config):
        self._config = config
        self._buffer = BankedBuffer(config, config.stationary_depth)
        super().__init__(
            {
                "write": In(BufferWrite(config)),
                "block": In(row_block_layout(config)),
                "start": In(1),
                "a": Out(data.ArrayLayout(unsigned(config.operand.width), config.lanes)),
                "load": Out(1),
                "load_first": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the row counter to the array."""
        return 4 + self._buffer.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        lanes = config.lanes
        lane_bits = lanes.bit_length() - 1
        group = min(config.rows, lanes)
        m.submodules.buffer = buffer = self._buffer
        wiring.connect(m, wiring.flipped(self.write), buffer.write)

        block = Signal(row_block_layout(config))
        row = Signal(range(config.rows))
        inner = Signal(range(group))
        tile = Signal(len(block.a))
        loading, first = Signal(), Signal()
        with m.If(self.start):
            m.d.sync += [
                block.eq(self.block),
                tile.eq(self.block.a + self.block.a_last_tile),
                row.eq(config.rows - 1),
                inner.eq(group - 1),
                loading.eq(1),
                first.eq(1),
            ]
        with m.Elif(loading):
            m.d.sync += [row.eq(row - 1), inner.eq(inner - 1), loading.eq(row != 0), first.eq(0)]
            with m.If(inner == 0):
                m.d.sync += [inner.eq(group - 1), tile.eq(tile - block.a_tile)]

        # Address and lane of the row; then the bank shift; then a row address for every bank.
        address_1 = Signal(len(block.a), reset_less=True)
        lane_1 = Signal(lane_bits, reset_less=True)
        m.d.sync += [
            address_1.eq(tile + Mux(block.transposed, 0, inner)),
            lane_1.eq(Mux(block.transposed, block.a_lane + inner, 0)),
        ]
        transposed_1 = delay(m, block.transposed, 1, name="transposed")
        address_2 = delay(m, address_1, 1, name="address")
        shift_2 = Signal(lane_bits, reset_less=True)
        m.d.sync += shift_2.eq(address_1 + lane_1)
        transposed_2 = delay(m, transposed_1, 1, name="transposed_1")
        for k in range(lanes):
            offset = Signal(lane_bits, name=f"offset_{k}")
            bank_row = Signal(len(block.a), name=f"row_{k}", reset_less=True)
            m.d.comb += [offset.eq(k - shift_2), buffer.rows[k].eq(bank_row)]
            m.d.sync += bank_row.eq(address_2 + Mux(transposed_2, offset, 0))
        m.d.comb += buffer.shift.eq(delay(m, shift_2, 1, name="shift_2"))

        # Zeros where the row or the lane does not exist. The counts stay valid: the next block starts `rows` cycles
        # later at the earliest.
        lag = 3 + buffer.latency
        exists = Signal(reset_less=True)
        m.d.sync += exists.eq(row < block.a_rows)
        exists_late = delay(m, exists, lag - 1, name="exists")
        valid = delay(m, block.valid_lanes, lag, name="valid_lanes")
        for j in range(lanes):
            output = Signal(config.operand.width, name=f"a_{j}", reset_less=True)
            m.d.sync += output.eq(Mux(exists_late & (j < valid), buffer.o[j], 0))
            m.d.comb += self.a[j].eq(output)
        m.d.comb += [
            self.load.eq(delay(m, loading, lag + 1, name="load", reset_less=False)),
            self.load_first.eq(delay(m, first & loading, lag + 1, name="load_first", reset_less=False)),
        ]
        return m
