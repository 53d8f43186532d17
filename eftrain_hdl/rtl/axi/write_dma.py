"""Write DMA: N-dimensional transfers and a stream of beats in, memory written."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator, check_dma_parameters
from eftrain_hdl.rtl.axi.descriptor import TransferLayout
from eftrain_hdl.rtl.axi.signature import (
    BURST_LIMIT_SHAPE,
    DEFAULT_PROTECTION,
    AXI4WriteSignature,
    check_protection,
    drive_write_constants,
)

__all__ = ["WriteDma"]

_ADDRESS_QUEUE = 4


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
        axi = self.axi
        drive_write_constants(m, axi, self.data_width, self.protection)
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

        m.submodules.buffer = buffer = SyncFIFOBuffered(width=self.data_width, depth=self.fifo_beats + 1)
        pushed = Signal()
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
        ]
        m.d.sync += pushed.eq(self.i.valid & self.i.ready)

        # Issue. `available` is the number of beats in the buffer that belong to no burst yet.
        available = Signal(range(self.fifo_beats + 2))
        flight_layout = data.StructLayout({"address": self.address_width, "last": 1})
        m.submodules.flight = flight = SyncFIFO(width=flight_layout.size, depth=self.outstanding)
        m.submodules.lengths = lengths = SyncFIFO(width=9, depth=self.outstanding)
        flight_head = data.View(flight_layout, flight.r_data)
        # A queue, so that the decision to issue does not hang on `awready`; buffered, so that `awvalid` is a register.
        m.submodules.addresses = addresses = SyncFIFOBuffered(width=self.address_width + 8, depth=_ADDRESS_QUEUE)
        burst = generator.o.payload
        issue = Signal()
        # Compared a cycle before it counts: until a burst is issued there can only be more of them.
        fits = Signal()
        m.d.sync += fits.eq(generator.o.valid & ~issue & (burst.beats <= available))
        room = flight.w_rdy & lengths.w_rdy & addresses.w_rdy & ~stopped
        m.d.comb += [
            generator.o.ready.eq(fits & room),
            issue.eq(generator.o.valid & generator.o.ready),
            flight.w_data.eq(Cat(burst.address, burst.last)),
            flight.w_en.eq(issue),
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

        # Data. `left` counts the current burst down; its beats are all in the buffer, or on their way through it.
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

        # Responses.
        response_valid = Signal()
        response_bad = Signal(reset_less=True)
        m.d.comb += [axi.bready.eq(1), flight.r_en.eq(response_valid)]
        m.d.sync += [response_valid.eq(axi.bvalid), response_bad.eq(axi.bresp[1])]
        failed = response_valid & response_bad
        m.d.sync += self.done.eq(response_valid & ~response_bad & flight_head.last & ~stopped)

        # The bursts in front of a bad transfer are still to be issued.
        bad_transfer = generator.error & ~generator.o.valid
        with m.If(self.halt | failed | bad_transfer):
            m.d.sync += stopped.eq(1)
        with m.If(~self.error):
            with m.If(failed):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(ErrorCode.WRITE_RESPONSE),
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
            self.busy.eq(~self.idle | ((generator.busy | (buffer.level != 0)) & ~stopped)),
        ]
        return m
