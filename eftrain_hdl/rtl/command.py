"""Command processor: fetches a program and hands its instructions to the units."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, FORMATS, HEADER_WORDS, Opcode, Unit
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BeatLayout, TransferLayout
from eftrain_hdl.rtl.completion import COUNT_BITS, HALF_BITS, MOST_AHEAD, AfterLayout, CountsLayout, thresholds
from eftrain_hdl.rtl.issue_queue import OriginLayout
from eftrain_hdl.rtl.timestamp_log import DEPTH, TimestampLog
from eftrain_hdl.rtl.word_unpacker import WordUnpacker

__all__ = ["CommandProcessor", "QUEUES"]

QUEUES: tuple[Opcode, ...] = tuple(
    sorted((o for o, f in FORMATS.items() if f.unit is not Unit.COMMAND), key=lambda o: FORMATS[o].unit)
)
"""Opcodes that have a queue, in the order of their units: queue ``k`` belongs to unit ``k + 1``."""

_RUN_BITS = 24


class _Program(NamedTuple):
    """What is wrong with the program that the registers name, if anything."""

    too_long: Signal
    empty: Signal
    beyond: Signal
    """Its address has more bits than there are."""


class _Dispatch(NamedTuple):
    """The instruction that is being dispatched, and the word on offer."""

    known: Signal
    """Which instruction the word on offer begins, if it does: one-hot, queues first, then BARRIER and END."""
    wrong: Signal
    """Its length is not allowed."""
    taken: Signal
    """The word on offer is taken."""
    ready: Signal
    """The queue of the instruction takes a word."""
    hold: Signal
    """Nothing more is dispatched for now."""
    queue: Signal
    waits: Signal
    """It is BARRIER or END."""
    unknown: Signal
    end: Signal
    wrong_length: Signal
    left: Signal
    """Words behind its header."""
    seen: Signal
    """Queues that have had an instruction with all its words."""
    dispatched: data.View
    wanted: data.View
    """Thresholds of the instruction."""
    position: Signal
    """Bytes of the program that are taken."""
    place: Signal
    """Bytes before the instruction."""
    index: Signal
    tag: Signal
    failed: Signal
    failed_code: Signal

    @classmethod
    def registers(cls) -> _Dispatch:
        """All of them."""
        widths = {
            "queue": len(QUEUES), "waits": 1, "unknown": 1, "end": 1, "wrong_length": 1, "left": 8, "seen": len(QUEUES),
            "position": 32, "place": 32, "index": 32, "tag": 16, "failed_code": 8,
        }  # fmt: skip
        registers = {name: Signal(width, name=name, reset_less=True) for name, width in widths.items()}
        return cls(
            known=Signal(len(QUEUES) + 2, name="begins"), wrong=Signal(), taken=Signal(), ready=Signal(), hold=Signal(),
            failed=Signal(), dispatched=Signal(CountsLayout()), wanted=Signal(CountsLayout(), reset_less=True),
            **registers,
        )  # fmt: skip


class CommandProcessor(wiring.Component):
    """Runs one program per ``start``: fetch, check, dispatch in program order, BARRIER and END.

    An instruction of n words (a short one has few) occupies the dispatch for n + 4 cycles, more while its queue is full
    or while one that has not started is far behind.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : In(1)
        Run the program at ``program_address``; ignored while ``running``, or after an error.
    program_address : In(64), program_bytes : In(32)
        Byte address of the first instruction and length, rounded up to whole beats; stable while ``running``.
    transfer : Out(stream of TransferLayout), data : In(stream of BeatLayout)
        To and from the ``ReadDma`` that fetches the program.
    queue : Out(stream of 32 bits), one for each of ``QUEUES``
        What an ``IssueQueue`` wants: index, first word and thresholds of the instruction, then its other words.
    held : In(1 for each of ``QUEUES``), head : In(COUNT_BITS), one for each
        From the queues: there is an instruction that has not started, and the last bits of its index.
    idle : In(1)
        All queues are empty, all units idle and all data written. Low within four cycles of a word to a queue; high
        only when an error of the last instruction would have halted the command processor.
    halt : In(1)
        Stop for good; held until reset.
    running : Out(1)
    begun : Out(1)
        High for one cycle when a program starts.
    finished : Out(1)
        High for one cycle when END is complete.
    error, error_code, error_address
        High for one cycle. BAD_OPCODE; BAD_LENGTH (also: the first instruction of an opcode is short; no program, one
        longer than the DMA can fetch, or without END); BAD_FIELD (BARRIER or END that waits for units): with the byte
        address of the instruction. OUT_OF_WINDOW (address bits above the address width): with that of the program.
    origin : Out(OriginLayout)
        The instruction being dispatched.
    cycles : In(32)
        Cycles since ``begun``, for the timestamps.
    stamp : In(1)
        A stamped store is complete: append a timestamp.
    timestamp_index : In(9), timestamp_data : Out(32), timestamp_count : Out(16)
        As in :class:`~eftrain_hdl.rtl.timestamp_log.TimestampLog`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "start": In(1),
            "program_address": In(64),
            "program_bytes": In(32),
            "transfer": Out(stream.Signature(TransferLayout(config.address_width))),
            "data": In(stream.Signature(BeatLayout(config.data_width))),
            "queue": Out(stream.Signature(32)).array(len(QUEUES)),
            "held": In(len(QUEUES)),
            "head": In(COUNT_BITS).array(len(QUEUES)),
            "idle": In(1),
            "halt": In(1),
            "running": Out(1),
            "begun": Out(1),
            "finished": Out(1),
            "error": Out(1),
            "error_code": Out(8),
            "error_address": Out(64),
            "origin": Out(OriginLayout()),
            "cycles": In(32),
            "stamp": In(1),
            "timestamp_index": In(range(DEPTH)),
            "timestamp_data": Out(32),
            "timestamp_count": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = self._words = WordUnpacker(self.config.data_width)
        passed = self._elaborate_log(m)
        program = self._elaborate_request(m)
        now = self._elaborate_decoder(m)
        self._elaborate_position(m, now)
        self._elaborate_hold(m, now)
        self._elaborate_errors(m, now)
        m.d.comb += self.running.eq(1)
        with m.FSM() as self._sequence:
            self._begin(m, now, program)
            self._judge(m, now)
            self._dispatch(m, now)
            self._wait(m, now, passed)
            with m.State("STOPPED"):
                pass
        return m

    def _elaborate_log(self, m: Module) -> Signal:
        """The timestamp log and the words; a signal that makes an entry for a BARRIER or END that is over."""
        words = self._words
        m.submodules.log = log = TimestampLog()
        passed = Signal()
        m.d.comb += [
            log.clear.eq(self.begun),
            log.append.eq(self.stamp | passed),
            log.timestamp.eq(self.cycles),
            log.index.eq(self.timestamp_index),
            self.timestamp_data.eq(log.data),
            self.timestamp_count.eq(log.count),
            words.clear.eq(self.begun),
            words.i.payload.eq(self.data.payload),
            words.i.valid.eq(self.data.valid),
            self.data.ready.eq(words.i.ready),
        ]
        return passed

    def _elaborate_request(self, m: Module) -> _Program:
        """The program as a transfer; registered, since the sums take a carry chain each."""
        config = self.config
        shift = (config.beat_bytes - 1).bit_length()
        beats = Signal(33 - shift, reset_less=True)
        program = _Program(*(Signal(name=name, reset_less=True) for name in ("too_long", "empty", "beyond")))
        m.d.sync += [
            beats.eq((self.program_bytes + (config.beat_bytes - 1)) >> shift),
            program.empty.eq(self.program_bytes == 0),
            program.too_long.eq(beats >> _RUN_BITS != 0),
            program.beyond.eq(self.program_address >> config.address_width != 0),
        ]
        transfer = self.transfer.payload
        m.d.comb += [
            transfer.address.eq(self.program_address[: config.address_width]),
            transfer.run.eq(beats),
            transfer.count1.eq(1),
            transfer.count2.eq(1),
            transfer.count3.eq(1),
        ]
        return program

    def _elaborate_decoder(self, m: Module) -> _Dispatch:
        """What the word on offer says if it is an instruction's first."""
        head = self._words.o.payload
        now = _Dispatch.registers()
        expected = Signal(8)
        known = Signal(len(QUEUES) + 2)
        kinds = (*QUEUES, Opcode.BARRIER, Opcode.END)
        with m.Switch(head[:8]):
            for index, opcode in enumerate(kinds):
                with m.Case(opcode):
                    m.d.comb += [known.eq(1 << index), expected.eq(FORMATS[opcode].words)]
        length = head[8:16]
        whole, short = Signal(), Signal()
        m.d.comb += [
            whole.eq(length == expected),
            short.eq((length < expected) & (length >= HEADER_WORDS) & (known[: len(QUEUES)] & now.seen).any()),
            now.known.eq(known),
            now.wrong.eq(~whole & ~short),
        ]
        return now

    def _elaborate_position(self, m: Module, now: _Dispatch) -> None:
        """Where in the program, and the word on offer at all queues."""
        words = self._words
        m.d.comb += [
            now.taken.eq(words.o.valid & words.o.ready),
            now.ready.eq((now.queue & Cat(self.queue[k].ready for k in range(len(QUEUES)))) != 0),
            self.origin.index.eq(now.index),
            self.origin.tag.eq(now.tag),
        ]
        with m.If(now.taken):
            m.d.sync += now.position.eq(now.position + 4)
        for k in range(len(QUEUES)):
            m.d.comb += self.queue[k].payload.eq(words.o.payload)

    def _elaborate_hold(self, m: Module, now: _Dispatch) -> None:
        """Counts of instructions are compared modulo a power of two: none may get too far ahead of one that waits."""
        ahead = [(now.index[:COUNT_BITS] - self.head[k])[:COUNT_BITS] >= MOST_AHEAD for k in range(len(QUEUES))]
        m.d.sync += now.hold.eq((self.held & Cat(ahead)).any())

    def _elaborate_errors(self, m: Module, now: _Dispatch) -> None:
        """Errors take two cycles, so that the sum for the address has one of its own."""
        m.d.sync += [
            now.failed.eq(0),
            self.error.eq(now.failed),
            self.error_code.eq(now.failed_code),
            self.error_address.eq(self.program_address + now.place),
        ]

    @staticmethod
    def _fail(m: Module, now: _Dispatch, code: ErrorCode) -> None:
        m.d.sync += [now.failed.eq(1), now.failed_code.eq(code)]
        m.next = "STOPPED"

    def _begin(self, m: Module, now: _Dispatch, program: _Program) -> None:
        """From the start to the request of the program's words."""
        with m.State("IDLE"):
            m.d.comb += [self.running.eq(0), self.begun.eq(self.start & ~self.halt)]
            zeroed = (now.position, now.place, now.index, now.tag, now.seen, now.dispatched)
            m.d.sync += [register.eq(0) for register in zeroed]
            with m.If(self.begun):
                m.next = "CHECK"
        with m.State("CHECK"):
            with m.If(program.empty | program.too_long):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
            with m.Elif(program.beyond):
                self._fail(m, now, ErrorCode.OUT_OF_WINDOW)
            with m.Else():
                m.next = "FETCH"
        with m.State("FETCH"):
            m.d.comb += self.transfer.valid.eq(~self.halt)
            with m.If(self.transfer.valid & self.transfer.ready):
                m.next = "HEADER"

    def _judge(self, m: Module, now: _Dispatch) -> None:
        """The first word of an instruction: what it is, whether it may be; its index goes to its queue."""
        words = self._words
        head = words.o.payload
        with m.State("HEADER"):
            m.d.sync += [
                now.queue.eq(now.known[: len(QUEUES)]),
                now.waits.eq(now.known[-2:].any()),
                now.unknown.eq(now.known == 0),
                now.end.eq(now.known[-1]),
                now.wrong_length.eq(now.wrong),
                now.left.eq(head[8:16] - HEADER_WORDS),
                now.place.eq(now.position),
            ]
            with m.If(words.o.valid & ~self.halt & ~now.hold):
                m.d.sync += now.tag.eq(head[16:])
                m.next = "JUDGE"
            with m.Elif(words.exhausted):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
        with m.State("JUDGE"):
            with m.If(now.unknown):
                self._fail(m, now, ErrorCode.BAD_OPCODE)
            with m.Elif(now.wrong_length):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
            with m.Elif(now.waits):
                m.d.comb += words.o.ready.eq(1)
                m.next = "SECOND"
            with m.Else():
                self._offer(m, now, now.index)
                with m.If(now.ready):
                    m.d.sync += now.seen.eq(now.seen | now.queue)
                    m.next = "FIRST"

    def _offer(self, m: Module, now: _Dispatch, payload: Value) -> None:
        """Offer a word that is not of the program to the queue."""
        for k in range(len(QUEUES)):
            m.d.comb += [self.queue[k].valid.eq(now.queue[k]), self.queue[k].payload.eq(payload)]

    def _dispatch(self, m: Module, now: _Dispatch) -> None:
        """First word, thresholds and other words of an instruction to its queue."""
        words = self._words
        with m.State("FIRST"):
            for k in range(len(QUEUES)):
                m.d.comb += self.queue[k].valid.eq(now.queue[k])
            m.d.comb += words.o.ready.eq(now.ready)
            with m.If(now.ready):
                m.next = "ORDER"
        with m.State("ORDER"):
            m.d.comb += words.o.ready.eq(1)
            after = data.View(AfterLayout(), words.o.payload)
            m.d.sync += [now.wanted[name].eq(count) for name, count in thresholds(after, now.dispatched).items()]
            with m.If(words.o.valid):
                m.next = "LOW"
            with m.Elif(words.exhausted):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
        wanted = now.wanted.as_value()
        with m.State("LOW"):
            self._offer(m, now, wanted[:HALF_BITS])
            with m.If(now.ready):
                m.next = "HIGH"
        with m.State("HIGH"):
            self._offer(m, now, wanted[HALF_BITS:])
            with m.If(now.ready):
                m.next = "WORDS"
                for k, name in enumerate(AFTER.values()):
                    m.d.sync += now.dispatched[name].eq(now.dispatched[name] + now.queue[k])
                with m.If(now.left == 0):
                    m.d.sync += now.index.eq(now.index + 1)
                    m.next = "HEADER"
        with m.State("WORDS"):
            for k in range(len(QUEUES)):
                m.d.comb += self.queue[k].valid.eq(now.queue[k] & words.o.valid)
            m.d.comb += words.o.ready.eq(now.ready)
            with m.If(words.exhausted):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
            with m.Elif(now.taken):
                m.d.sync += now.left.eq(now.left - 1)
                with m.If(now.left == 1):
                    m.d.sync += now.index.eq(now.index + 1)
                    m.next = "HEADER"

    def _wait(self, m: Module, now: _Dispatch, passed: Signal) -> None:
        """BARRIER and END: wait until everything is done; behind END, drop what is left of the program."""
        words = self._words
        with m.State("SECOND"):
            m.d.comb += words.o.ready.eq(1)
            after = data.View(AfterLayout(), words.o.payload)
            with m.If(words.exhausted):
                self._fail(m, now, ErrorCode.BAD_LENGTH)
            with m.Elif(words.o.valid):  # and so taken; that signal has the queues in other states behind it
                with m.If(Cat(after[name] for name in AFTER.values()).any()):
                    self._fail(m, now, ErrorCode.BAD_FIELD)
                with m.Else():
                    m.next = "WAIT"
        with m.State("WAIT"):
            with m.If(self.idle & ~self.halt):
                m.d.comb += passed.eq(1)
                with m.If(now.end):
                    m.next = "DRAIN"
                with m.Else():
                    m.d.sync += now.index.eq(now.index + 1)
                    m.next = "HEADER"
        with m.State("DRAIN"):
            m.d.comb += words.o.ready.eq(1)
            with m.If(words.exhausted & ~self.halt):
                m.d.comb += self.finished.eq(1)
                m.next = "IDLE"
