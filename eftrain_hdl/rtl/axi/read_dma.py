"""Read DMA: N-dimensional transfers in, a stream of beats out."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator, check_dma_parameters
from eftrain_hdl.rtl.axi.descriptor import BeatLayout, TransferLayout
from eftrain_hdl.rtl.axi.dma_parts import BadResponse, Flight, add_flight, connect_generator, stop_on_error
from eftrain_hdl.rtl.axi.signature import (
    BURST_LIMIT_SHAPE,
    DEFAULT_PROTECTION,
    AXI4ReadSignature,
    check_protection,
    drive_read_constants,
)

__all__ = ["ReadDma"]

_ADDRESS_QUEUE = 4


class _Beat(NamedTuple):
    """A beat as it came from the bus, a cycle ago."""

    valid: Signal
    data: Signal
    bad: Signal
    last: Signal


class ReadDma(wiring.Component):
    """AXI4 read manager.

    Bursts are issued ahead of the data, also those of the next transfer, as long as fewer than ``outstanding`` are in
    flight and the FIFO has a place for every beat asked for; so ``rready`` is always set and a slow consumer never
    blocks the bus. Latency from a transfer to its first ``arvalid`` is 10 cycles, from a beat on the bus to ``o`` 3;
    a consumer that keeps up gets one beat a cycle.

    Parameters
    ----------
    data_width, address_width : bits of the bus
    outstanding : bursts in flight
    fifo_beats : beats of buffer; also a bound on the burst length
    axi3 : bursts of at most 16 beats
    protection : AxPROT

    Members
    -------
    i_transfer : transfers (``TransferLayout``); the next one is taken while data of earlier ones still arrive
    o : beats (``BeatLayout``)
    axi : AR and R channels
    burst_beats : run-time limit in beats; 0 counts as 1, too much as the most that is possible
    window_base, window_limit : byte addresses (limit exclusive); a burst not wholly inside is an error and not issued
    halt : a pulse or level; see below
    busy : a transfer, a beat on the bus or a beat in the FIFO is left
    idle : no burst is in flight
    error, error_code, error_address : sticky until reset. BAD_LENGTH, UNALIGNED (address of the transfer);
        OUT_OF_WINDOW, READ_RESPONSE (address of the burst)

    An error or ``halt`` stops the DMA until reset: it takes nothing more, puts out those bursts that it has already
    decided on (at most 4 wait for ``arready``), and receives and drops what is in flight. Beats that were in the FIFO
    already stay on offer. A reset is safe once ``idle`` is set, from the second cycle after the error or ``halt`` on.
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
        signature = AXI4ReadSignature(data_width, address_width)
        self.data_width = data_width
        self.address_width = address_width
        self.outstanding = outstanding
        self.fifo_beats = fifo_beats
        self.protection = protection
        self.max_beats = min(fifo_beats, 16 if axi3 else 256)
        super().__init__(
            {
                "i_transfer": In(stream.Signature(TransferLayout(address_width))),
                "o": Out(stream.Signature(BeatLayout(data_width))),
                "axi": Out(signature),
                "burst_beats": In(BURST_LIMIT_SHAPE),
                "window_base": In(address_width),
                "window_limit": In(address_width),
                "halt": In(1),
                "busy": Out(1),
                "idle": Out(1),
                "error": Out(1),
                "error_code": Out(ErrorCode),
                "error_address": Out(address_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drive_read_constants(m, self.axi, self.data_width, self.protection)
        m.submodules.generator = generator = BurstGenerator(
            self.data_width, self.address_width, max_beats=self.max_beats
        )
        stopped = Signal()
        connect_generator(m, self, generator, stopped)
        popped = Signal()
        flight = self._elaborate_issue(m, generator, stopped, popped)
        beat = self._elaborate_bus(m)
        buffer = self._elaborate_buffer(m, beat, flight, stopped)
        m.d.sync += popped.eq(self.o.valid & self.o.ready)
        bad_response = BadResponse(beat.valid & beat.bad, ErrorCode.READ_RESPONSE, flight.head.address)
        stop_on_error(m, self, generator, stopped, bad_response)
        m.d.comb += [
            self.idle.eq(flight.fifo.level == 0),
            self.busy.eq(~self.idle | (buffer.level != 0) | (generator.busy & ~stopped)),
        ]
        return m

    def _elaborate_issue(self, m: Module, generator: BurstGenerator, stopped: Signal, popped: Signal) -> Flight:
        """Put out a burst once the buffer has a place for all of its beats; ``popped`` gives one back."""
        axi = self.axi
        # The number of places in the buffer not yet promised to a burst.
        credit = Signal(range(self.fifo_beats + 1), init=self.fifo_beats)
        flight = add_flight(m, self)
        # A queue, so that the decision to issue does not hang on `arready`; buffered, so that `arvalid` is a register.
        m.submodules.addresses = addresses = SyncFIFOBuffered(width=self.address_width + 8, depth=_ADDRESS_QUEUE)
        burst = generator.o.payload
        issue = Signal()
        # Compared a cycle before it counts: until a burst is issued there can only be more of them.
        fits = Signal()
        m.d.sync += fits.eq(generator.o.valid & ~issue & (burst.beats <= credit))
        m.d.comb += [
            generator.o.ready.eq(fits & flight.fifo.w_rdy & addresses.w_rdy & ~stopped),
            issue.eq(generator.o.valid & generator.o.ready),
            flight.fifo.w_data.eq(Cat(burst.address, burst.last)),
            flight.fifo.w_en.eq(issue),
            addresses.w_data.eq(Cat(burst.address, (burst.beats - 1)[:8])),
            addresses.w_en.eq(issue),
            Cat(axi.araddr, axi.arlen).eq(addresses.r_data),
            axi.arvalid.eq(addresses.r_rdy),
            addresses.r_en.eq(axi.arready),
        ]
        credited = credit + popped
        m.d.sync += credit.eq(Mux(issue, credited - burst.beats, credited))
        return flight

    def _elaborate_bus(self, m: Module) -> _Beat:
        """Register what comes. Every beat asked for has its place, so the bus never waits."""
        axi = self.axi
        beat = _Beat(
            valid=Signal(name="beat_valid"),
            data=Signal(self.data_width, name="beat", reset_less=True),
            bad=Signal(name="beat_bad", reset_less=True),
            last=Signal(name="beat_last", reset_less=True),
        )
        m.d.comb += axi.rready.eq(1)
        m.d.sync += [
            beat.valid.eq(axi.rvalid),
            beat.data.eq(axi.rdata),
            beat.bad.eq(axi.rresp[1]),
            beat.last.eq(axi.rlast),
        ]
        return beat

    def _elaborate_buffer(self, m: Module, beat: _Beat, flight: Flight, stopped: Signal) -> SyncFIFOBuffered:
        """Keep the good beats until they are taken."""
        # It has one place more than it promises: its last one is the output register, which fills a cycle late.
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=self.data_width + 1, depth=self.fifo_beats + 1)
        m.d.comb += [
            flight.fifo.r_en.eq(beat.valid & beat.last),
            buffer.w_data.eq(Cat(beat.data, beat.last & flight.head.last)),
            buffer.w_en.eq(beat.valid & ~beat.bad & ~stopped),
            self.o.valid.eq(buffer.r_rdy),
            self.o.payload.as_value().eq(buffer.r_data),
            buffer.r_en.eq(self.o.ready),
        ]
        return buffer
