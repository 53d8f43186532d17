"""Turns N-dimensional transfers into legal AXI bursts, one a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BurstLayout, TransferLayout
from eftrain_hdl.rtl.axi.signature import BURST_LIMIT_SHAPE, PAGE_BYTES, check_bus_parameters

__all__ = ["BurstGenerator", "check_dma_parameters"]

_QUEUE_DEPTH = 16


def check_dma_parameters(outstanding: int, fifo_beats: int) -> None:
    """Raise ``ValueError`` unless a DMA can be built with this many bursts in flight and this FIFO."""
    if not isinstance(outstanding, int) or not 1 <= outstanding <= 64:
        raise ValueError(f"outstanding must be an integer from 1 to 64, not {outstanding!r}")
    if not isinstance(fifo_beats, int) or not 2 <= fifo_beats <= 65536:
        raise ValueError(f"fifo_beats must be an integer from 2 to 65536, not {fifo_beats!r}")


class BurstGenerator(wiring.Component):
    """Address generator common to the read and the write DMA.

    A run is cut at every multiple of 4 KiB and wherever ``burst_beats`` is reached; a burst that is not wholly inside
    the window ``[window_base, window_limit)`` stops the generator. Peak rate is one burst a cycle across runs, and a
    transfer every second cycle; the first burst of a transfer is on ``o`` eight cycles after the transfer was taken.

    Parameters
    ----------
    data_width, address_width : bits of the bus
    max_beats : longest burst that may be generated (256, or 16 for AXI3, or less if a FIFO is smaller)

    Members
    -------
    i : transfers (``TransferLayout``)
    o : bursts (``BurstLayout``), never longer than ``max_beats``
    burst_beats : run-time limit in beats; 0 counts as 1, more than ``max_beats`` as ``max_beats``
    window_base, window_limit : byte addresses; the limit is exclusive
    stop : takes and generates nothing more while set
    busy : a transfer has been taken and not all of its bursts have left ``o``
    error, error_code, error_address : sticky until reset; bursts before the offending one still leave ``o``.
        Codes: BAD_LENGTH (run or count zero), UNALIGNED (address or stride), OUT_OF_WINDOW
    """

    def __init__(self, data_width: int, address_width: int = 40, *, max_beats: int = 256) -> None:
        check_bus_parameters(data_width, address_width)
        if not isinstance(max_beats, int) or not 1 <= max_beats <= 256:
            raise ValueError(f"max_beats must be an integer from 1 to 256, not {max_beats!r}")
        self.data_width = data_width
        self.address_width = address_width
        self.max_beats = max_beats
        super().__init__(
            {
                "i": In(stream.Signature(TransferLayout(address_width))),
                "o": Out(stream.Signature(BurstLayout(address_width))),
                "burst_beats": In(BURST_LIMIT_SHAPE),
                "window_base": In(address_width),
                "window_limit": In(address_width),
                "stop": In(1),
                "busy": Out(1),
                "error": Out(1),
                "error_code": Out(ErrorCode),
                "error_address": Out(address_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.address_width
        beat_bytes = self.data_width // 8
        shift = beat_bytes.bit_length() - 1
        page_beats = PAGE_BYTES // beat_bytes

        limit = Signal(range(self.max_beats + 1), init=1)
        with m.If(self.burst_beats == 0):
            m.d.sync += limit.eq(1)
        with m.Elif(self.burst_beats > self.max_beats):
            m.d.sync += limit.eq(self.max_beats)
        with m.Else():
            m.d.sync += limit.eq(self.burst_beats)

        # Stage 1: the descriptor as received, with the verdict on its fields.
        given = Signal(TransferLayout(width), reset_less=True)
        given_valid = Signal()
        given_bad_length = Signal()
        given_unaligned = Signal()
        given_take = Signal()
        given_good = given_valid & ~given_bad_length & ~given_unaligned
        m.d.comb += self.i.ready.eq(~given_valid & ~self.stop & ~self.error)
        with m.If(given_take):
            m.d.sync += given_valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            offered = self.i.payload
            offsets = (offered.stride1, offered.stride2, offered.stride3)
            m.d.sync += [
                given.eq(offered),
                given_valid.eq(1),
                given_bad_length.eq(
                    (offered.run == 0) | (offered.count1 == 0) | (offered.count2 == 0) | (offered.count3 == 0)
                ),
                given_unaligned.eq(Cat(offered.address[:shift], *(offset[:shift] for offset in offsets)).any()),
            ]

        # Stage 2: the loop nest over runs. starts[n] is the address at which level n's current repetition began;
        # final[n] says that this repetition is the level's last.
        run_valid = Signal()
        run_take = Signal()
        run_beats = Signal(24, reset_less=True)
        starts = [Signal(width, name=f"start{n + 1}", reset_less=True) for n in range(3)]
        strides = [Signal(signed(32), name=f"stride{n + 1}", reset_less=True) for n in range(3)]
        counts = [Signal(16, name=f"count{n + 1}", reset_less=True) for n in range(3)]
        lefts = [Signal(16, name=f"left{n + 1}", reset_less=True) for n in range(3)]
        single = [Signal(name=f"single{n + 1}", reset_less=True) for n in range(3)]
        final = [Signal(name=f"final{n + 1}", reset_less=True) for n in range(3)]
        run_last = final[0] & final[1] & final[2]
        base = Mux(final[0], Mux(final[1], starts[2], starts[1]), starts[0])
        stride = Mux(final[0], Mux(final[1], strides[2], strides[1]), strides[0])
        following = Signal(width)
        m.d.comb += following.eq(base + stride)
        m.d.comb += given_take.eq(given_good & (~run_valid | (run_take & run_last)))
        with m.If(given_take):
            m.d.sync += [run_valid.eq(1), run_beats.eq(given.run)]
            for n in range(3):
                count = given[f"count{n + 1}"]
                m.d.sync += [
                    starts[n].eq(given.address),
                    strides[n].eq(given[f"stride{n + 1}"]),
                    counts[n].eq(count),
                    lefts[n].eq(count),
                    single[n].eq(count == 1),
                    final[n].eq(count == 1),
                ]
        with m.Elif(run_take):
            with m.If(run_last):
                m.d.sync += run_valid.eq(0)
            carry: Value = Const(1)
            for n in range(3):
                with m.If(carry):
                    m.d.sync += [
                        lefts[n].eq(Mux(final[n], counts[n], lefts[n] - 1)),
                        final[n].eq(Mux(final[n], single[n], lefts[n] == 2)),
                    ]
                carry = carry & final[n]
            m.d.sync += starts[0].eq(following)
            with m.If(final[0]):
                m.d.sync += starts[1].eq(following)
            with m.If(final[0] & final[1]):
                m.d.sync += starts[2].eq(following)

        # Stage 3: the rest of the current run; `page` is what fits below the next multiple of 4 KiB.
        cut_valid = Signal()
        cut_address = Signal(width, reset_less=True)
        cut_left = Signal(24, reset_less=True)
        cut_page = Signal(range(page_beats + 1), reset_less=True)
        cut_last = Signal(reset_less=True)
        emit = Signal()
        left_fits_limit = cut_left <= limit
        left_fits_page = cut_left <= cut_page
        page_fits_limit = cut_page <= limit
        ends_run = left_fits_limit & left_fits_page
        ends_page = page_fits_limit & ~left_fits_page
        beats = Signal(BurstLayout(width).members["beats"])
        m.d.comb += [
            beats.eq(Mux(ends_run, cut_left, Mux(ends_page, cut_page, limit))),
            run_take.eq(run_valid & (~cut_valid | (emit & ends_run))),
        ]
        with m.If(run_take):
            m.d.sync += [
                cut_valid.eq(1),
                cut_address.eq(starts[0]),
                cut_left.eq(run_beats),
                cut_page.eq(page_beats - starts[0][shift:12]),
                cut_last.eq(run_last),
            ]
        with m.Elif(emit):
            m.d.sync += [
                cut_valid.eq(~ends_run),
                cut_address.eq(cut_address + (beats << shift)),
                cut_left.eq(cut_left - beats),
                cut_page.eq(Mux(ends_page, page_beats, cut_page - beats)),
            ]

        # Stages 4 to 6 never stall: a burst leaves stage 3 only if the queue behind them has a place for it, with one
        # to spare because `room` is a cycle old.
        queued = Signal(range(_QUEUE_DEPTH + 1))
        room = Signal()
        taken = Signal()
        m.d.comb += emit.eq(cut_valid & room & ~self.stop & ~self.error)
        m.d.sync += [
            queued.eq(queued + emit - taken),
            room.eq(queued < _QUEUE_DEPTH - 1),
            taken.eq(self.o.valid & self.o.ready),
        ]

        layout = BurstLayout(width)
        stages = [Signal(layout, name=f"stage{n}", reset_less=True) for n in (4, 5, 6)]
        valid = [Signal(name=f"stage{n}_valid") for n in (4, 5, 6)]
        end = Signal(width + 1, reset_less=True)
        below = Signal(reset_less=True)
        outside = Signal(reset_less=True)
        m.d.sync += [
            valid[0].eq(emit),
            stages[0].address.eq(cut_address),
            stages[0].beats.eq(beats),
            stages[0].last.eq(cut_last & ends_run),
            valid[1].eq(valid[0]),
            stages[1].eq(stages[0]),
            end.eq(stages[0].address + (stages[0].beats << shift)),
            below.eq(stages[0].address < self.window_base),
            valid[2].eq(valid[1]),
            stages[2].eq(stages[1]),
            outside.eq(below | (end > self.window_limit)),
        ]

        m.submodules.queue = queue = SyncFIFO(width=layout.size, depth=_QUEUE_DEPTH)
        head = Signal(layout, reset_less=True)
        head_valid = Signal()
        m.d.comb += [
            queue.w_data.eq(stages[2].as_value()),
            queue.w_en.eq(valid[2] & ~outside & ~self.error),
            queue.r_en.eq(~head_valid | self.o.ready),
            self.o.payload.eq(head),
            self.o.valid.eq(head_valid),
            self.busy.eq(given_valid | run_valid | cut_valid | (queued != 0)),
        ]

        with m.If(queue.r_en):
            m.d.sync += [head_valid.eq(queue.r_rdy), head.eq(data.View(layout, queue.r_data))]

        # A bad descriptor is reported only after the bursts before it, so that errors keep the order of the program.
        ahead = run_valid | cut_valid | (queued != 0)
        with m.If(~self.error):
            with m.If(valid[2] & outside):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(ErrorCode.OUT_OF_WINDOW),
                    self.error_address.eq(stages[2].address),
                ]
            with m.Elif(given_valid & ~given_good & ~ahead):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(Mux(given_bad_length, ErrorCode.BAD_LENGTH, ErrorCode.UNALIGNED)),
                    self.error_address.eq(given.address),
                ]
        return m
