"""Turns N-dimensional transfers into legal AXI bursts, one a cycle."""

from __future__ import annotations

from typing import NamedTuple

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


class _Given(NamedTuple):
    """Stage 1: the descriptor as received, with the verdict on its fields."""

    transfer: data.View
    valid: Signal
    bad_length: Signal
    unaligned: Signal
    take: Signal
    """The descriptor goes to the loop nest, which says so."""

    def good(self) -> Value:
        return self.valid & ~self.bad_length & ~self.unaligned


class _Level(NamedTuple):
    """One level of the loop nest over runs; level 1 is the innermost."""

    start: Signal
    """Address at which the current repetition began."""
    stride: Signal
    count: Signal
    left: Signal
    single: Signal
    """There is one repetition only."""
    final: Signal
    """The current repetition is the last."""

    @classmethod
    def numbered(cls, number: int, width: int) -> _Level:
        """Registers of level ``number`` for addresses of ``width`` bits."""
        return cls(
            start=Signal(width, name=f"start{number}", reset_less=True),
            stride=Signal(signed(32), name=f"stride{number}", reset_less=True),
            count=Signal(16, name=f"count{number}", reset_less=True),
            left=Signal(16, name=f"left{number}", reset_less=True),
            single=Signal(name=f"single{number}", reset_less=True),
            final=Signal(name=f"final{number}", reset_less=True),
        )


class _Run(NamedTuple):
    """Stage 2: the run at which the loop nest stands."""

    valid: Signal
    address: Signal
    beats: Signal
    last: Value
    take: Signal
    """The run goes to stage 3, which says so."""


class _Cut(NamedTuple):
    """Stage 3: the next burst of the run that is being cut."""

    valid: Signal
    address: Signal
    beats: Signal
    last: Value
    emit: Signal
    """The burst goes to stage 4; said by who knows whether there is room."""


class _Checked(NamedTuple):
    """Stage 6: a burst with the verdict of the address window."""

    valid: Signal
    burst: data.View
    outside: Signal


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
        self._beat_shift = (data_width // 8).bit_length() - 1
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
        limit = self._elaborate_limit(m)
        given = self._elaborate_descriptor(m)
        run = self._elaborate_runs(m, given)
        cut = self._elaborate_cut(m, run, limit)
        queued = self._elaborate_room(m, cut)
        checked = self._elaborate_window(m, cut)
        self._elaborate_queue(m, checked)
        m.d.comb += self.busy.eq(given.valid | run.valid | cut.valid | (queued != 0))
        # A bad descriptor is reported only after the bursts before it, so that errors keep the order of the program.
        ahead = run.valid | cut.valid | (queued != 0)
        self._elaborate_errors(m, given, checked, ahead)
        return m

    def _elaborate_limit(self, m: Module) -> Signal:
        """The run-time limit of a burst, in beats, within what is possible."""
        limit = Signal(range(self.max_beats + 1), init=1)
        with m.If(self.burst_beats == 0):
            m.d.sync += limit.eq(1)
        with m.Elif(self.burst_beats > self.max_beats):
            m.d.sync += limit.eq(self.max_beats)
        with m.Else():
            m.d.sync += limit.eq(self.burst_beats)
        return limit

    def _elaborate_descriptor(self, m: Module) -> _Given:
        """Stage 1: take a transfer and look at its fields."""
        given = _Given(
            transfer=Signal(TransferLayout(self.address_width), name="given", reset_less=True),
            valid=Signal(name="given_valid"),
            bad_length=Signal(name="given_bad_length"),
            unaligned=Signal(name="given_unaligned"),
            take=Signal(name="given_take"),
        )
        m.d.comb += self.i.ready.eq(~given.valid & ~self.stop & ~self.error)
        with m.If(given.take):
            m.d.sync += given.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            offered = self.i.payload
            places = (offered.address, offered.stride1, offered.stride2, offered.stride3)
            m.d.sync += [
                given.transfer.eq(offered),
                given.valid.eq(1),
                given.bad_length.eq(
                    (offered.run == 0) | (offered.count1 == 0) | (offered.count2 == 0) | (offered.count3 == 0)
                ),
                given.unaligned.eq(Cat(place[: self._beat_shift] for place in places).any()),
            ]
        return given

    def _elaborate_runs(self, m: Module, given: _Given) -> _Run:
        """Stage 2: the loop nest over runs."""
        levels = [_Level.numbered(number, self.address_width) for number in (1, 2, 3)]
        inner, middle, outer = levels
        run = _Run(
            valid=Signal(name="run_valid"),
            address=inner.start,
            beats=Signal(24, name="run_beats", reset_less=True),
            last=inner.final & middle.final & outer.final,
            take=Signal(name="run_take"),
        )
        base = Mux(inner.final, Mux(middle.final, outer.start, middle.start), inner.start)
        stride = Mux(inner.final, Mux(middle.final, outer.stride, middle.stride), inner.stride)
        following = Signal(self.address_width)
        m.d.comb += following.eq(base + stride)
        m.d.comb += given.take.eq(given.good() & (~run.valid | (run.take & run.last)))
        with m.If(given.take):
            m.d.sync += [run.valid.eq(1), run.beats.eq(given.transfer.run)]
            for number, level in enumerate(levels, 1):
                count = given.transfer[f"count{number}"]
                m.d.sync += [
                    level.start.eq(given.transfer.address),
                    level.stride.eq(given.transfer[f"stride{number}"]),
                    level.count.eq(count),
                    level.left.eq(count),
                    level.single.eq(count == 1),
                    level.final.eq(count == 1),
                ]
        with m.Elif(run.take):
            with m.If(run.last):
                m.d.sync += run.valid.eq(0)
            self._advance(m, levels, following)
        return run

    def _advance(self, m: Module, levels: list[_Level], following: Signal) -> None:
        """To the next repetition of the innermost level that has one left; it and all within begin at ``following``."""
        carry: Value = Const(1)
        for level in levels:
            with m.If(carry):
                m.d.sync += [
                    level.left.eq(Mux(level.final, level.count, level.left - 1)),
                    level.final.eq(Mux(level.final, level.single, level.left == 2)),
                ]
            carry = carry & level.final
        inner, middle, outer = levels
        m.d.sync += inner.start.eq(following)
        with m.If(inner.final):
            m.d.sync += middle.start.eq(following)
        with m.If(inner.final & middle.final):
            m.d.sync += outer.start.eq(following)

    def _elaborate_cut(self, m: Module, run: _Run, limit: Signal) -> _Cut:
        """Stage 3: cut the rest of a run at the limit, and at the next multiple of 4 KiB, ``page`` beats away."""
        shift = self._beat_shift
        page_beats = PAGE_BYTES >> shift
        valid = Signal(name="cut_valid")
        address = Signal(self.address_width, name="cut_address", reset_less=True)
        left = Signal(24, name="cut_left", reset_less=True)
        page = Signal(range(page_beats + 1), name="cut_page", reset_less=True)
        last = Signal(name="cut_last", reset_less=True)
        emit = Signal()
        left_fits_limit = left <= limit
        left_fits_page = left <= page
        page_fits_limit = page <= limit
        ends_run = left_fits_limit & left_fits_page
        ends_page = page_fits_limit & ~left_fits_page
        beats = Signal(BurstLayout(self.address_width).members["beats"])
        m.d.comb += [
            beats.eq(Mux(ends_run, left, Mux(ends_page, page, limit))),
            run.take.eq(run.valid & (~valid | (emit & ends_run))),
        ]
        with m.If(run.take):
            m.d.sync += [
                valid.eq(1),
                address.eq(run.address),
                left.eq(run.beats),
                page.eq(page_beats - run.address[shift:12]),
                last.eq(run.last),
            ]
        with m.Elif(emit):
            m.d.sync += [
                valid.eq(~ends_run),
                address.eq(address + (beats << shift)),
                left.eq(left - beats),
                page.eq(Mux(ends_page, page_beats, page - beats)),
            ]
        return _Cut(valid=valid, address=address, beats=beats, last=last & ends_run, emit=emit)

    def _elaborate_room(self, m: Module, cut: _Cut) -> Signal:
        """Let a burst leave stage 3 only if the queue behind stages 4 to 6, which never stall, has a place for it.

        One place stays free, because ``room`` is a cycle old. Returns the number of bursts between stage 3 and ``o``.
        """
        queued = Signal(range(_QUEUE_DEPTH + 1))
        room = Signal()
        taken = Signal()
        m.d.comb += cut.emit.eq(cut.valid & room & ~self.stop & ~self.error)
        m.d.sync += [
            queued.eq(queued + cut.emit - taken),
            room.eq(queued < _QUEUE_DEPTH - 1),
            taken.eq(self.o.valid & self.o.ready),
        ]
        return queued

    def _elaborate_window(self, m: Module, cut: _Cut) -> _Checked:
        """Stages 4 to 6: register the burst, form its end, compare both with the window."""
        layout = BurstLayout(self.address_width)
        bursts = [Signal(layout, name=f"stage{n}", reset_less=True) for n in (4, 5, 6)]
        valid = [Signal(name=f"stage{n}_valid") for n in (4, 5, 6)]
        end = Signal(self.address_width + 1, reset_less=True)
        below = Signal(reset_less=True)
        outside = Signal(reset_less=True)
        m.d.sync += [
            valid[0].eq(cut.emit),
            bursts[0].address.eq(cut.address),
            bursts[0].beats.eq(cut.beats),
            bursts[0].last.eq(cut.last),
            valid[1].eq(valid[0]),
            bursts[1].eq(bursts[0]),
            end.eq(bursts[0].address + (bursts[0].beats << self._beat_shift)),
            below.eq(bursts[0].address < self.window_base),
            valid[2].eq(valid[1]),
            bursts[2].eq(bursts[1]),
            outside.eq(below | (end > self.window_limit)),
        ]
        return _Checked(valid=valid[2], burst=bursts[2], outside=outside)

    def _elaborate_queue(self, m: Module, checked: _Checked) -> None:
        """Keep the good bursts until they are taken; what is on offer is in registers."""
        layout = BurstLayout(self.address_width)
        m.submodules.queue = queue = SyncFIFO(width=layout.size, depth=_QUEUE_DEPTH)
        head = Signal(layout, reset_less=True)
        head_valid = Signal()
        m.d.comb += [
            queue.w_data.eq(checked.burst.as_value()),
            queue.w_en.eq(checked.valid & ~checked.outside & ~self.error),
            queue.r_en.eq(~head_valid | self.o.ready),
            self.o.payload.eq(head),
            self.o.valid.eq(head_valid),
        ]
        with m.If(queue.r_en):
            m.d.sync += [head_valid.eq(queue.r_rdy), head.eq(data.View(layout, queue.r_data))]

    def _elaborate_errors(self, m: Module, given: _Given, checked: _Checked, ahead: Value) -> None:
        """Keep the first error; that of a descriptor once no burst is ``ahead`` of it."""
        with m.If(~self.error):
            with m.If(checked.valid & checked.outside):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(ErrorCode.OUT_OF_WINDOW),
                    self.error_address.eq(checked.burst.address),
                ]
            with m.Elif(given.valid & ~given.good() & ~ahead):
                m.d.sync += [
                    self.error.eq(1),
                    self.error_code.eq(Mux(given.bad_length, ErrorCode.BAD_LENGTH, ErrorCode.UNALIGNED)),
                    self.error_address.eq(given.transfer.address),
                ]
