"""Issue queue: buffers the instructions of one unit, assembles the next one and holds it until it may start."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import AFTER, FORMATS, HEADER_WORDS, Opcode, queue_words
from eftrain_hdl.rtl.completion import COUNT_BITS, HALF_BITS, UNITS, CountsLayout, not_reached
from eftrain_hdl.rtl.layouts import instruction_layout

__all__ = ["IssueQueue", "OriginLayout"]

IN_FLIGHT = 16
"""Instructions that a unit may have accepted but not completed."""


class OriginLayout(data.StructLayout):
    """Where an instruction stands: ``index`` counts from the program's start, ``tag`` is the compiler's."""

    def __init__(self) -> None:
        super().__init__({"index": 32, "tag": 16})


class IssueQueue(wiring.Component):
    """Memory-backed queue of one unit's instructions.

    The next instruction is assembled in a register of its own, one word a cycle, while the unit works on the present
    one; words that a short instruction lacks are those of the one before. As soon as it is complete, and other units
    have completed what it waits for, it is presented. The unit copies what it needs when it accepts the instruction:
    the assembly of the following one then begins. Between two instructions of a unit lie at least as many cycles as the
    second one has words, and four.

    Parameters
    ----------
    opcode : Opcode
        The instruction; all words that come in are taken for instructions of this kind.
    depth : int or None
        Words of the queue. ``None`` takes :func:`~eftrain_hdl.isa.queue_words`.

    Members
    -------
    words : In(stream of 32 bits)
        For each instruction its index in the program, its first word, two words of thresholds (the first half of a
        CountsLayout and the second), and the words behind its header, as many as its length says.
    instruction : Out(stream of the instruction's struct)
    posted : In(1)
        The unit completed its oldest instruction.
    completed : In(CountsLayout)
        Completed instructions of each unit. An instruction waits until none is below its threshold.
    halt : In(1)
        Present nothing any more.
    oldest : Out(OriginLayout)
        The oldest instruction that the unit accepted and did not complete; the newest completed one if there is none.
    held : Out(1), head : Out(COUNT_BITS)
        There is an instruction that is not accepted, and the last bits of its index.
    empty : Out(1)
        No word is queued and no instruction is being assembled or presented.
    waiting : Out(1), missing : Out(1 for each of UNITS)
        An instruction is complete but for what it waits for: the units that have not done enough.

    Raises
    ------
    ValueError
        If the opcode has no queue or the depth does not hold an instruction.
    """

    def __init__(self, opcode: Opcode, depth: int | None = None) -> None:
        if opcode in (Opcode.END, Opcode.BARRIER):
            raise ValueError(f"{opcode.name} is executed by the command processor and has no queue")
        self.opcode = opcode
        entry = FORMATS[opcode].words + 2
        if depth is None:
            depth = queue_words(opcode)
        if not isinstance(depth, int) or depth < entry:
            raise ValueError(f"depth must be at least {entry} words for {opcode.name}, not {depth!r}")
        self.depth = depth
        super().__init__({
            "words": In(stream.Signature(32)),
            "instruction": Out(stream.Signature(instruction_layout(opcode))),
            "posted": In(1),
            "completed": In(CountsLayout()),
            "halt": In(1),
            "oldest": Out(OriginLayout()),
            "held": Out(1),
            "head": Out(COUNT_BITS),
            "empty": Out(1),
            "waiting": Out(1),
            "missing": Out(len(UNITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = SyncFIFOBuffered(width=32, depth=self.depth)
        # Room is judged a cycle late, so that `words.ready` is a register: hence two words in reserve, and the output
        # register, which fills a cycle late.
        room = Signal(init=1)
        m.d.sync += room.eq(queue.level < self.depth - 2)
        m.d.comb += [
            queue.w_data.eq(self.words.payload),
            queue.w_en.eq(self.words.valid & room),
            self.words.ready.eq(room),
        ]

        assembly = self._assemble(m, queue)
        complete = assembly.complete
        m.submodules.origins = origins = SyncFIFO(width=OriginLayout().size, depth=IN_FLIGHT)
        newest = Signal(OriginLayout(), reset_less=True)
        with m.If(self.posted & (origins.level == 1)):
            m.d.sync += newest.eq(origins.r_data)
        m.d.comb += [
            origins.w_data.eq(Cat(assembly.index, self.instruction.payload.tag)),
            origins.w_en.eq(self.instruction.valid & self.instruction.ready),
            origins.r_en.eq(self.posted),
            self.oldest.eq(newest),
        ]
        with m.If(origins.r_rdy):
            m.d.comb += self.oldest.eq(origins.r_data)

        # Compared a cycle late; the last word of thresholds may be the last word of all.
        below = Signal(len(UNITS))
        m.d.sync += below.eq(Cat(
            not_reached(self.completed[name], assembly.thresholds[name]) for name in AFTER.values()
        ))  # fmt: skip
        granted = Signal()
        m.d.comb += [
            self.held.eq(assembly.begun | complete),
            self.head.eq(assembly.index[:COUNT_BITS]),
            self.missing.eq(Mux(complete & ~granted & ~assembly.fresh, below, 0)),
            self.waiting.eq(self.missing.any()),
            self.instruction.valid.eq(granted & origins.w_rdy & ~self.halt),
        ]
        with m.If(complete & ~granted & ~assembly.fresh & ~below.any()):
            m.d.sync += granted.eq(1)
        with m.If(self.instruction.valid & self.instruction.ready):
            m.d.sync += [granted.eq(0), complete.eq(0)]
        return m

    def _assemble(self, m: Module, queue: SyncFIFOBuffered) -> _Assembly:
        """Fills the instruction, word by word."""
        layout = FORMATS[self.opcode]
        assembly = _Assembly(
            index=Signal(32, reset_less=True), thresholds=Signal(CountsLayout(), reset_less=True), begun=Signal(),
            fresh=Signal(), complete=Signal(),
        )  # fmt: skip
        words = {k: Signal(32, name=f"word_{k}", reset_less=True) for k in (0, *range(HEADER_WORDS, layout.words))}
        for name, field in self.instruction.payload.shape():
            word, bit = layout.places[name]
            m.d.comb += self.instruction.payload[name].eq(words[word][bit : bit + field.width])

        halves = [assembly.thresholds.as_value()[k : k + HALF_BITS] for k in (0, HALF_BITS)]
        registers = [assembly.index, words[0], *halves, *list(words.values())[1:]]
        # One-hot: where the word at the head of the queue belongs.
        place = Signal(len(registers), init=1)
        left = Signal(range(layout.words + 1), reset_less=True)
        last = Signal()
        taken = Signal()
        m.d.comb += [
            queue.r_en.eq(~assembly.complete),
            taken.eq(queue.r_en & queue.r_rdy),
            last.eq(~place[:2].any() & (left == 1)),
            assembly.begun.eq(~place[0]),
            self.empty.eq(place[0] & ~assembly.complete & (queue.level == 0)),
        ]
        m.d.sync += assembly.fresh.eq(taken & place[3])
        with m.If(taken):
            m.d.sync += [place.eq(Mux(last, 1, place << 1)), assembly.complete.eq(last)]
            # Behind the first word come as many as its length says: thresholds stand for the second one.
            m.d.sync += left.eq(Mux(place[1], queue.r_data[8:16], left - 1))
        for at, register in enumerate(registers):
            with m.If(taken & place[at]):
                m.d.sync += register.eq(queue.r_data)
        return assembly


@dataclass(frozen=True)
class _Assembly:
    """The instruction that is being assembled.

    Attributes
    ----------
    index, thresholds : its index in the program, and the counts that it waits for
    begun : its index is known
    fresh : the thresholds came in the cycle before
    complete : all words are there; cleared when the unit accepts it
    """

    index: Signal
    thresholds: data.View
    begun: Signal
    fresh: Signal
    complete: Signal
