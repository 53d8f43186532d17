"""Read DMA: N-dimensional transfers in, a stream of beats out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator, check_dma_parameters
from eftrain_hdl.rtl.axi.descriptor import BeatLayout, TransferLayout
from eftrain_hdl.rtl.axi.signature import (
    BURST_LIMIT_SHAPE,
    DEFAULT_PROTECTION,
    AXI4ReadSignature,
    check_protection,
    drive_read_constants,
)

__all__ = ["ReadDma"]

_ADDRESS_QUEUE = 4


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
        axi = self.axi
        drive_read_constants(m, axi, self.data_width, self.protection)
        m.submodules.generator = generator = BurstGenerator(
            self.data_width, self.address_width, max_beats=self.max_beats
        )
        stopped = Signal()
        wiring.connect(m, wiring.flipped(self.i_transfer), generator.i)
        m.d.comb += [
            generator.burst_beats.eq(self.burst_beats),
            generator.window_base.eq(self.window_base),
            generator.window_limit.eq(self.window_limit),
            generator.stop.eq(stopped),
        ]

        # Issue. `credit` is the number of FIFO places not yet promised to a burst.
        credit = Signal(range(self.fifo_beats + 1), init=self.fifo_beats)
        flight_layout = data.StructLayout({"address": self.address_width, "last": 1})
        m.submodules.flight = flight = SyncFIFO(width=flight_layout.size, depth=self.outstanding)
        flight_head = data.View(flight_layout, flight.r_data)
        # A queue, so that the decision to issue does not hang on `arready`; buffered, so that `arvalid` is a register.
        m.submodules.addresses = addresses = SyncFIFOBuffered(width=self.address_width + 8, depth=_ADDRESS_QUEUE)
        burst = generator.o.payload
        issue = Signal()
        # Compared a cycle before it counts: until a burst is issued there can only be more of them.
        fits = Signal()
        m.d.sync += fits.eq(generator.o.valid & ~issue & (burst.beats <= credit))
        popped = Signal()
        m.d.comb += [
            generator.o.ready.eq(fits & flight.w_rdy & addresses.w_rdy & ~stopped),
            issue.eq(generator.o.valid & generator.o.ready),
            flight.w_data.eq(Cat(burst.address, burst.last)),
            flight.w_en.eq(issue),
            addresses.w_data.eq(Cat(burst.address, (burst.beats - 1)[:8])),
            addresses.w_en.eq(issue),
            Cat(axi.araddr, axi.arlen).eq(addresses.r_data),
            axi.arvalid.eq(addresses.r_rdy),
            addresses.r_en.eq(axi.arready),
        ]
        credited = credit + popped
        m.d.sync += credit.eq(Mux(issue, credited - burst.beats, credited))

        # Receive. Every beat asked for has its place, so the bus never waits.
        beat_valid = Signal()
        beat = Signal(self.data_width, reset_less=True)
        beat_bad = Signal(reset_less=True)
        beat_last = Signal(reset_less=True)
        m.d.comb += axi.rready.eq(1)
        m.d.sync += [
            beat_valid.eq(axi.rvalid),
            beat.eq(axi.rdata),
            beat_bad.eq(axi.rresp[1]),
            beat_last.eq(axi.rlast),
        ]
        # The buffer has one place more than it promises: its last one is the output register, which fills a cycle late.
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=self.data_width + 1, depth=self.fifo_beats + 1)
        m.d.comb += [
            flight.r_en.eq(beat_valid & beat_last),
            buffer.w_data.eq(Cat(beat, beat_last & flight_head.last)),
            buffer.w_en.eq(beat_valid & ~beat_bad & ~stopped),
            self.o.valid.eq(buffer.r_rdy),
            self.o.payload.as_value().eq(buffer.r_data),
            buffer.r_en.eq(self.o.ready),
        ]
        m.d.sync += popped.eq(self.o.valid & self.o.ready)

        failed = beat_valid & beat_bad
        # The bursts in front of a bad transfer are still to be issued.
        bad_transfer = generator.error & ~generator.o.valid
        with m.If(self.halt | failed | bad_transfer):
            m.d.sync += stopped.eq(1)
        with m.If(~self.error):
            with m.If(failed):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(ErrorCode.READ_RESPONSE),
                    self.error_address.eq(flight_head.address),
                ]
            with m.Elif(bad_transfer):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(generator.error_code),
                    self.error_address.eq(generator.error_address),
                ]
        m.d.comb += [
            self.idle.eq(flight.level == 0),
            self.busy.eq(~self.idle | (buffer.level != 0) | (generator.busy & ~stopped)),
        ]
        return m
