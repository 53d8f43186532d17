"""Write DMA: N-dimensional transfers and a stream of beats in, memory written."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator, check_dma_parameters
from eftrain_hdl.rtl.axi.descriptor import TransferLayout
from eftrain_hdl.rtl.axi.dma_parts import BadResponse, Flight, add_flight, connect_generator, stop_on_error
from eftrain_hdl.rtl.axi.signature import (
    BURST_LIMIT_SHAPE,
    DEFAULT_PROTECTION,
    AXI4WriteSignature,
    check_protection,
    drive_write_constants,
)

__all__ = ["WriteDma"]

_ADDRESS_QUEUE = 4


class _Issued(NamedTuple):
    """The bursts in flight, and the lengths of those whose data are still to be sent."""

    flight: Flight
    lengths: SyncFIFO


class WriteDma(wiring.Component):
    """AXI4 write manager.

    A burst's address goes out only when all of its beats are in the FIFO, so a stalled producer never holds the bus.
    Data follow their address independently of whether it was accepted yet. Latency from the last beat of a burst at
    ``i`` to its ``awvalid`` is 3 cycles, to its first ``wvalid`` 5, from the last response to ``done`` 2; one beat a
    cycle is sustained.

    Parameters
    ----------
    data_width, address_width : bits of the bus
    outstanding : bursts in flight, counted from the address to the response
    fifo_beats : beats of buffer; also a bound on the burst length
    axi3 : bursts of at most 16 beats
    protection : AxPROT

    Members
    -------
    i_transfer : transfers (``TransferLayout``); the next one is taken while earlier ones are still being written
    i : beats; the product of run and counts of them belong to each transfer
    axi : AW, W and B channels
    burst_beats, window_base, window_limit, halt : as in ``ReadDma``
    done : set for one cycle per transfer, in order, when its last response has come: the data are in memory
    busy : a transfer or a response is left, or beats are in the FIFO
    idle : no burst is in flight
    error, error_code, error_address : as in ``ReadDma``, with WRITE_RESPONSE

    An error or ``halt`` stops the DMA until reset: it takes nothing more, puts out those bursts that it has already
    decided on (at most 4 wait for ``awready``), completes their beats with all strobes clear, and gives no more
    ``done``. A reset is safe once ``idle`` is set, from the second cycle after the error or ``halt`` on.
    """

    def __init__(
        self,
        data_width: int,
        address_width: int = 40,
        *,
        outstanding: int = 8,
        fifo_beats: int = 512,
        axi3: bool = False,
        protection: int = DEFAULT_PROTECTION,
    ) -> None:
        check_dma_parameters(outstanding, fifo_beats)
        check_protection(protection)
        signature = AXI4WriteSignature(data_width, address_width)
        self.data_width = data_width
        self.address_width = address_width
        self.outstanding = outstanding
        self.fifo_beats = fifo_beats
        self.protection = protection
        self.max_beats = min(fifo_beats, 16 if axi3 else 256)
        super().__init__(
            {
                "i_transfer": In(stream.Signature(TransferLayout(address_width))),
                "i": In(stream.Signature(data_width)),
                "axi": Out(signature),
                "burst_beats": In(BURST_LIMIT_SHAPE),
                "window_base": In(address_width),
                "window_limit": In(address_width),
                "halt": In(1),
                "done": Out(1),
                "busy": Out(1),
                "idle": Out(1),
                "error": Out(1),
                "error_code": Out(ErrorCode),
                "error_address": Out(address_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drive_write_constants(m, self.axi, self.data_width, self.protection)
        m.submodules.generator = generator = BurstGenerator(
            self.data_width, self.address_width, max_beats=self.max_beats
        )
        stopped = Signal()
        connect_generator(m, self, generator, stopped)
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=self.data_width, depth=self.fifo_beats + 1)
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
        ]
        flight, lengths = self._elaborate_issue(m, generator, stopped)
        self._elaborate_data(m, buffer, lengths, stopped)
        failed = self._elaborate_responses(m, flight, stopped)
        bad_response = BadResponse(failed, ErrorCode.WRITE_RESPONSE, flight.head.address)
        stop_on_error(m, self, generator, stopped, bad_response)
        m.d.comb += [
            self.idle.eq(flight.fifo.level == 0),
            self.busy.eq(~self.idle | ((generator.busy | (buffer.level != 0)) & ~stopped)),
        ]
        return m

    def _elaborate_issue(self, m: Module, generator: BurstGenerator, stopped: Signal) -> _Issued:
        """Put out a burst once all of its beats are in the buffer."""
        axi = self.axi
        pushed = Signal()
        # The number of beats in the buffer that belong to no burst yet.
        available = Signal(range(self.fifo_beats + 2))
        flight = add_flight(m, self)
        m.submodules.lengths = lengths = SyncFIFO(width=9, depth=self.outstanding)
        # A queue, so that the decision to issue does not hang on `awready`; buffered, so that `awvalid` is a register.
        m.submodules.addresses = addresses = SyncFIFOBuffered(width=self.address_width + 8, depth=_ADDRESS_QUEUE)
        burst = generator.o.payload
        issue = Signal()
        # Compared a cycle before it counts: until a burst is issued there can only be more of them.
        fits = Signal()
        m.d.sync += [
            pushed.eq(self.i.valid & self.i.ready),
            fits.eq(generator.o.valid & ~issue & (burst.beats <= available)),
        ]
        room = flight.fifo.w_rdy & lengths.w_rdy & addresses.w_rdy & ~stopped
        m.d.comb += [
            generator.o.ready.eq(fits & room),
            issue.eq(generator.o.valid & generator.o.ready),
            flight.fifo.w_data.eq(Cat(burst.address, burst.last)),
            flight.fifo.w_en.eq(issue),
            addresses.w_data.eq(Cat(burst.address, (burst.beats - 1)[:8])),
            addresses.w_en.eq(issue),
            Cat(axi.awaddr, axi.awlen).eq(addresses.r_data),
            axi.awvalid.eq(addresses.r_rdy),
            addresses.r_en.eq(axi.awready),
            lengths.w_data.eq(burst.beats),
            lengths.w_en.eq(issue),
        ]
        offered = available + pushed
        m.d.sync += available.eq(Mux(issue, offered - burst.beats, offered))
        return _Issued(flight, lengths)

    def _elaborate_data(self, m: Module, buffer: SyncFIFOBuffered, lengths: SyncFIFO, stopped: Signal) -> None:
        """Send the beats of each burst, which are all in the buffer, or on their way through it."""
        axi = self.axi
        # `left` counts the current burst down.
        sending = Signal()
        left = Signal(9, reset_less=True)
        final = Signal(reset_less=True)
        move = Signal()
        m.d.comb += [
            move.eq(sending & buffer.r_rdy & (~axi.wvalid | axi.wready)),
            buffer.r_en.eq(sending & (~axi.wvalid | axi.wready)),
            lengths.r_en.eq(~sending | (move & final)),
        ]
        with m.If(lengths.r_en):
            m.d.sync += [sending.eq(lengths.r_rdy), left.eq(lengths.r_data), final.eq(lengths.r_data == 1)]
        with m.Elif(move):
            m.d.sync += [left.eq(left - 1), final.eq(left == 2)]
        beat = Signal(self.data_width, reset_less=True)
        beat_last = Signal(reset_less=True)
        strobe = Signal(reset_less=True)
        m.d.comb += [
            axi.wdata.eq(beat),
            axi.wlast.eq(beat_last),
            axi.wstrb.eq(strobe.replicate(self.data_width // 8)),
        ]
        with m.If(move):
            m.d.sync += [axi.wvalid.eq(1), beat.eq(buffer.r_data), beat_last.eq(final), strobe.eq(~stopped)]
        with m.Elif(axi.wready):
            m.d.sync += axi.wvalid.eq(0)

    def _elaborate_responses(self, m: Module, flight: Flight, stopped: Signal) -> Value:
        """Let a burst go with its response, the last one of a transfer with ``done``. Returns whether one failed."""
        axi = self.axi
        response_valid = Signal()
        response_bad = Signal(reset_less=True)
        m.d.comb += [axi.bready.eq(1), flight.fifo.r_en.eq(response_valid)]
        m.d.sync += [response_valid.eq(axi.bvalid), response_bad.eq(axi.bresp[1])]
        failed = response_valid & response_bad
        m.d.sync += self.done.eq(response_valid & ~response_bad & flight.head.last & ~stopped)
        return failed
