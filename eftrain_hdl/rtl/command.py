"""Command processor: fetches a program and hands its instructions to the units."""

from amaranth.hdl import Cat, Module, Signal
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
        config = self.config
        m.submodules.words = self._words = words = WordUnpacker(config.data_width)
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

        # The program as a transfer; registered, since the sums take a carry chain each.
        shift = (config.beat_bytes - 1).bit_length()
        beats = Signal(33 - shift, reset_less=True)
        too_long = Signal(reset_less=True)
        empty = Signal(reset_less=True)
        beyond = Signal(reset_less=True)
        m.d.sync += [
            beats.eq((self.program_bytes + (config.beat_bytes - 1)) >> shift),
            empty.eq(self.program_bytes == 0),
            too_long.eq(beats >> _RUN_BITS != 0),
            beyond.eq(self.program_address >> config.address_width != 0),
        ]
        transfer = self.transfer.payload
        m.d.comb += [
            transfer.address.eq(self.program_address[: config.address_width]),
            transfer.run.eq(beats),
            transfer.count1.eq(1),
            transfer.count2.eq(1),
            transfer.count3.eq(1),
        ]

        # Decode the word on offer: first word, second word.
        head = words.o.payload
        after = data.View(AfterLayout(), head)
        queue = Signal(len(QUEUES), reset_less=True)
        waits = Signal(reset_less=True)
        unknown = Signal(reset_less=True)
        end = Signal(reset_less=True)
        left = Signal(8, reset_less=True)
        dispatched = Signal(CountsLayout())
        wanted = Signal(CountsLayout(), reset_less=True)
        wrong_length = Signal(reset_less=True)
        whole, short = Signal(), Signal()
        expected = Signal(8)
        begun = Signal(len(QUEUES), reset_less=True)  # queues that have had an instruction with all its words
        known = Signal(len(QUEUES) + 2)
        kinds = (*QUEUES, Opcode.BARRIER, Opcode.END)
        with m.Switch(head[:8]):
            for index, opcode in enumerate(kinds):
                with m.Case(opcode):
                    m.d.comb += [known.eq(1 << index), expected.eq(FORMATS[opcode].words)]
        length = head[8:16]
        m.d.comb += [
            whole.eq(length == expected),
            short.eq((length < expected) & (length >= HEADER_WORDS) & (known[: len(QUEUES)] & begun).any()),
        ]

        position = Signal(32, reset_less=True)
        index = Signal(32, reset_less=True)
        tag = Signal(16, reset_less=True)
        taken = Signal()
        selected_ready = Signal()
        m.d.comb += [
            taken.eq(words.o.valid & words.o.ready),
            selected_ready.eq((queue & Cat(self.queue[k].ready for k in range(len(QUEUES)))) != 0),
            self.origin.index.eq(index),
            self.origin.tag.eq(tag),
        ]
        with m.If(taken):
            m.d.sync += position.eq(position + 4)
        for k in range(len(QUEUES)):
            m.d.comb += self.queue[k].payload.eq(head)

        # Counts of instructions are compared modulo a power of two: none may get too far ahead of one that waits.
        ahead = [(index[:COUNT_BITS] - self.head[k])[:COUNT_BITS] >= MOST_AHEAD for k in range(len(QUEUES))]
        hold = Signal()
        m.d.sync += hold.eq((self.held & Cat(ahead)).any())

        # Errors take two cycles, so that the sum for the address has one of its own.
        failed = Signal()
        failed_code = Signal(8, reset_less=True)
        place = Signal(32, reset_less=True)
        m.d.sync += [
            failed.eq(0),
            self.error.eq(failed),
            self.error_code.eq(failed_code),
            self.error_address.eq(self.program_address + place),
        ]

        def fail(code: ErrorCode) -> None:
            m.d.sync += [failed.eq(1), failed_code.eq(code)]
            m.next = "STOPPED"

        m.d.comb += self.running.eq(1)
        with m.FSM() as self._sequence:
            with m.State("IDLE"):
                m.d.comb += [self.running.eq(0), self.begun.eq(self.start & ~self.halt)]
                m.d.sync += [position.eq(0), place.eq(0), index.eq(0), tag.eq(0), begun.eq(0), dispatched.eq(0)]
                with m.If(self.begun):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(empty | too_long):
                    fail(ErrorCode.BAD_LENGTH)
                with m.Elif(beyond):
                    fail(ErrorCode.OUT_OF_WINDOW)
                with m.Else():
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.transfer.valid.eq(~self.halt)
                with m.If(self.transfer.valid & self.transfer.ready):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.sync += [
                    queue.eq(known[: len(QUEUES)]),
                    waits.eq(known[-2:].any()),
                    unknown.eq(known == 0),
                    end.eq(known[-1]),
                    wrong_length.eq(~whole & ~short),
                    left.eq(length - HEADER_WORDS),
                    place.eq(position),
                ]
                with m.If(words.o.valid & ~self.halt & ~hold):
                    m.d.sync += tag.eq(head[16:])
                    m.next = "JUDGE"
                with m.Elif(words.exhausted):
                    fail(ErrorCode.BAD_LENGTH)
            with m.State("JUDGE"):
                with m.If(unknown):
                    fail(ErrorCode.BAD_OPCODE)
                with m.Elif(wrong_length):
                    fail(ErrorCode.BAD_LENGTH)
                with m.Elif(waits):
                    m.d.comb += words.o.ready.eq(1)
                    m.next = "SECOND"
                with m.Else():
                    for k in range(len(QUEUES)):
                        m.d.comb += [self.queue[k].valid.eq(queue[k]), self.queue[k].payload.eq(index)]
                    with m.If(selected_ready):
                        m.d.sync += begun.eq(begun | queue)
                        m.next = "FIRST"
            with m.State("FIRST"):
                for k in range(len(QUEUES)):
                    m.d.comb += self.queue[k].valid.eq(queue[k])
                m.d.comb += words.o.ready.eq(selected_ready)
                with m.If(selected_ready):
                    m.next = "ORDER"
            with m.State("ORDER"):
                m.d.comb += words.o.ready.eq(1)
                m.d.sync += [wanted[name].eq(count) for name, count in thresholds(after, dispatched).items()]
                with m.If(words.o.valid):
                    m.next = "LOW"
                with m.Elif(words.exhausted):
                    fail(ErrorCode.BAD_LENGTH)
            for state, first, following in (("LOW", 0, "HIGH"), ("HIGH", HALF_BITS, "WORDS")):
                with m.State(state):
                    half = wanted.as_value()[first : first + HALF_BITS]
                    for k in range(len(QUEUES)):
                        m.d.comb += [self.queue[k].valid.eq(queue[k]), self.queue[k].payload.eq(half)]
                    with m.If(selected_ready):
                        m.next = following
                        if following == "WORDS":
                            for k, name in enumerate(AFTER.values()):
                                m.d.sync += dispatched[name].eq(dispatched[name] + queue[k])
                            with m.If(left == 0):
                                m.d.sync += index.eq(index + 1)
                                m.next = "HEADER"
            with m.State("WORDS"):
                for k in range(len(QUEUES)):
                    m.d.comb += self.queue[k].valid.eq(queue[k] & words.o.valid)
                m.d.comb += words.o.ready.eq(selected_ready)
                with m.If(words.exhausted):
                    fail(ErrorCode.BAD_LENGTH)
                with m.Elif(taken):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.d.sync += index.eq(index + 1)
                        m.next = "HEADER"
            with m.State("SECOND"):
                m.d.comb += words.o.ready.eq(1)
                with m.If(words.exhausted):
                    fail(ErrorCode.BAD_LENGTH)
                with m.Elif(words.o.valid):  # and so taken; that signal has the queues in other states behind it
                    with m.If(Cat(after[name] for name in AFTER.values()).any()):
                        fail(ErrorCode.BAD_FIELD)
                    with m.Else():
                        m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(self.idle & ~self.halt):
                    m.d.comb += passed.eq(1)
                    with m.If(end):
                        m.next = "DRAIN"
                    with m.Else():
                        m.d.sync += index.eq(index + 1)
                        m.next = "HEADER"
            with m.State("DRAIN"):
                m.d.comb += words.o.ready.eq(1)
                with m.If(words.exhausted & ~self.halt):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        return m
