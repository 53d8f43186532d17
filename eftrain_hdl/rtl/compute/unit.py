"""The compute unit: array, buffers and their sequencers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.compute.block_sequencer import BlockSequencer
from eftrain_hdl.rtl.compute.lane_table import LaneTable
from eftrain_hdl.rtl.compute.mac_array import MacArray
from eftrain_hdl.rtl.compute.row_loader import RowLoader
from eftrain_hdl.rtl.compute.streamer import Streamer
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.layouts import BufferWrite, DrainRead, UnitControl

__all__ = ["ComputeUnit"]

_IN_FLIGHT = 32


class ComputeUnit(wiring.Component):
    """Executes COMPUTE (``docs/execution.md``): one vector a cycle; its sums can be read :attr:`latency` cycles later.

    Errors come out of ``control``: BAD_FIELD, CHIP_ADDRESS (the accumulator word).

    Parameters
    ----------
    config : Config
        Sizes of buffers, array and accumulators; operand format.

    Members
    -------
    control : Out(UnitControl)
        Instructions in, ``posted`` out.
    write_x, write_a : In(BufferWrite)
        Beats for the streaming and the stationary buffer; other targets are ignored.
    drain : In(DrainRead)
        Accumulator reads of the vector unit.
    overflow, invalid : Out(1)
        A dot product or accumulation raised the flag.
    mac_active : Out(1)
        A vector is issued to the array in this cycle.

    Raises
    ------
    TypeError
        If ``config`` is not a Config.
    """

    def __init__(self, config: Config):
        self._config = config
        self._array = MacArray(config)
        self._rows = RowLoader(config)
        self._streamer = Streamer(config)
        self._sequencer = BlockSequencer(
            config, load_lead=self._streamer.latency - self._rows.latency, recurrence=self._array.recurrence)
        super().__init__({
            "control": Out(UnitControl(Opcode.COMPUTE)),
            "write_x": In(BufferWrite(config)),
            "write_a": In(BufferWrite(config)),
            "drain": In(DrainRead(config)),
            "overflow": Out(1), "invalid": Out(1), "mac_active": Out(1),
        })

    @property
    def latency(self) -> int:
        """Cycles from the issue of a vector until its sums can be read."""
        return self._streamer.latency + self._array.latency

    @property
    def recurrence(self) -> int:
        """Cycles that must lie between two vectors that add into the same word."""
        return self._array.recurrence

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self._array
        m.submodules.rows = rows = self._rows
        m.submodules.streamer = streamer = self._streamer
        m.submodules.sequencer = sequencer = self._sequencer
        m.submodules.lane_table = lane_table = LaneTable(self._config)

        wiring.connect(m, wiring.flipped(self.write_x), streamer.write)
        wiring.connect(m, wiring.flipped(self.write_a), rows.write)
        wiring.connect(m, wiring.flipped(self.drain), array.drain)
        wiring.connect(m, wiring.flipped(self.control.instruction), sequencer.instruction)
        m.d.comb += [
            rows.block.eq(sequencer.rows), rows.start.eq(sequencer.rows_start),
            lane_table.nest.eq(sequencer.lanes), lane_table.start.eq(sequencer.lanes_start),
            lane_table.restart.eq(sequencer.lanes_restart), lane_table.swap.eq(streamer.swap),
            streamer.entries.eq(lane_table.entries), streamer.nest.eq(sequencer.nest),
            streamer.block.eq(sequencer.block), streamer.start.eq(sequencer.block_start),
            sequencer.issuing.eq(streamer.issuing), sequencer.finishing.eq(streamer.finishing),
            sequencer.halt.eq(self.control.halt),
            array.a.eq(rows.a), array.load.eq(rows.load), array.load_first.eq(rows.load_first),
            array.b.eq(streamer.b), array.b_first.eq(streamer.b_first), array.accumulate.eq(streamer.accumulate),
            self.overflow.eq(array.overflow), self.invalid.eq(array.invalid), self.mac_active.eq(streamer.issuing),
        ]
        self._elaborate_completion(m)
        self._elaborate_errors(m)
        return m

    def _elaborate_completion(self, m: Module) -> None:
        """An instruction is complete when its last sums are written; until then its accumulator bank is busy."""
        sequencer, streamer = self._sequencer, self._streamer
        m.submodules.ending_banks = ending_banks = SyncFIFOBuffered(width=len(sequencer.nest.bank), depth=_IN_FLIGHT)
        last = Signal()
        with m.If(sequencer.block_start):
            m.d.sync += last.eq(sequencer.last)
        ending = Signal()
        m.d.comb += ending.eq(streamer.finishing & last)
        written = delay(m, ending, self.latency, name="ending", reset_less=False)
        bank = ending_banks.r_data
        m.d.comb += [
            ending_banks.w_en.eq(ending), ending_banks.w_data.eq(sequencer.nest.bank), ending_banks.r_en.eq(written),
            self.control.posted.eq(written),
        ]
        users = []
        opening = Signal()
        m.d.sync += opening.eq(sequencer.block_start & sequencer.first)
        for k in range(self._config.accumulator_banks):
            count = Signal(range(_IN_FLIGHT + 1), name=f"users_{k}")
            up = opening & (sequencer.nest.bank == k)
            down = written & (bank == k)
            with m.If(up & ~down):
                m.d.sync += count.eq(count + 1)
            with m.Elif(~up & down):
                m.d.sync += count.eq(count - 1)
            users.append(count != 0)
        m.d.comb += self._array.busy.eq(Cat(users))
        m.d.comb += self.control.busy.eq(~sequencer.idle | streamer.issuing | Cat(users).any() | opening)

    def _elaborate_errors(self, m: Module) -> None:
        bad_field, address_error = self._sequencer.bad_field, self._streamer.address_error
        m.d.sync += [
            self.control.error.eq(bad_field | address_error),
            self.control.error_code.eq(Mux(bad_field, ErrorCode.BAD_FIELD, ErrorCode.CHIP_ADDRESS)),
            self.control.error_address.eq(Mux(bad_field, 0, self._streamer.error_address)),
        ]
