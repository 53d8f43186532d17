"""Issue queue: buffers the instructions of one unit, assembles the next one and takes its semaphores."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import FORMATS, SEMAPHORES, Opcode, queue_words
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
    one; words that a short instruction lacks are those of the one before. As soon as it is complete its wait mask is
    asked for; when that is granted (at once if the mask is empty) it is presented. The unit copies what it needs when
    it accepts the instruction: the assembly of the following one then begins. Between two instructions of a unit lie at
    least as many cycles as the second one has words, and three.

    Parameters
    ----------
    opcode : Opcode
        The instruction; all words that come in are taken for instructions of this kind.
    depth : int or None
        Words of the queue. ``None`` takes :func:`~eftrain_hdl.isa.queue_words`.

    Members
    -------
    words : In(stream of 32 bits)
        For each instruction first its index in the program, then as many words as its length says.
    instruction : Out(stream of the instruction's struct)
    posted : In(1)
        The unit completed its oldest instruction.
    take, take_mask, taken :
        As in :class:`~eftrain_hdl.rtl.semaphores.SemaphorePort`.
    halt : In(1)
        Present nothing and take nothing any more.
    oldest : Out(OriginLayout)
        The oldest instruction that the unit accepted and did not complete; the newest completed one if there is none.
    empty : Out(1)
        No word is queued and no instruction is being assembled or presented.
    waiting : Out(1)
        An instruction is complete but for its semaphores.

    Raises
    ------
    ValueError
        If the opcode has no queue or the depth does not hold an instruction.
    """

    def __init__(self, opcode: Opcode, depth: int | None = None) -> None:
        if opcode in (Opcode.END, Opcode.BARRIER):
            raise ValueError(f"{opcode.name} is executed by the command processor and has no queue")
        self.opcode = opcode
        entry = FORMATS[opcode].words + 1
        if depth is None:
            depth = queue_words(opcode)
        if not isinstance(depth, int) or depth < entry:
            raise ValueError(f"depth must be at least {entry} words for {opcode.name}, not {depth!r}")
        self.depth = depth
        super().__init__({
            "words": In(stream.Signature(32)),
            "instruction": Out(stream.Signature(instruction_layout(opcode))),
            "posted": In(1),
            "take": Out(1),
            "take_mask": Out(SEMAPHORES),
            "taken": In(1),
            "halt": In(1),
            "oldest": Out(OriginLayout()),
            "empty": Out(1),
            "waiting": Out(1),
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

        index, complete = self._assemble(m, queue)
        instruction = self.instruction.payload

        m.submodules.origins = origins = SyncFIFO(width=OriginLayout().size, depth=IN_FLIGHT)
        newest = Signal(OriginLayout(), reset_less=True)
        with m.If(self.posted & (origins.level == 1)):
            m.d.sync += newest.eq(origins.r_data)
        m.d.comb += [
            origins.w_data.eq(Cat(index, instruction.tag)),
            origins.w_en.eq(self.instruction.valid & self.instruction.ready),
            origins.r_en.eq(self.posted),
            self.oldest.eq(newest),
        ]
        with m.If(origins.r_rdy):
            m.d.comb += self.oldest.eq(origins.r_data)

        granted = Signal()
        m.d.comb += [
            self.take_mask.eq(instruction.wait),
            self.waiting.eq(complete & ~granted & (instruction.wait != 0)),
            self.take.eq(self.waiting & ~self.halt),
            self.instruction.valid.eq(granted & origins.w_rdy & ~self.halt),
        ]
        with m.If(complete & ~granted & (self.taken | (instruction.wait == 0))):
            m.d.sync += granted.eq(1)
        with m.If(self.instruction.valid & self.instruction.ready):
            m.d.sync += [granted.eq(0), complete.eq(0)]
        return m

    def _assemble(self, m: Module, queue: SyncFIFOBuffered) -> tuple[Signal, Signal]:
        """Fills the instruction, word by word; its index in the program, and whether it is complete."""
        layout = FORMATS[self.opcode]
        index = Signal(32, reset_less=True)
        words = [Signal(32, name=f"word_{k}", reset_less=True) for k in range(layout.words)]
        for field in layout.fields:
            word, bit = layout.places[field.name]
            m.d.comb += self.instruction.payload[field.name].eq(words[word][bit : bit + field.bits])

        # One-hot: where the word at the head of the queue belongs, the index before the words.
        place = Signal(layout.words + 1, init=1)
        left = Signal(range(layout.words + 1), reset_less=True)
        complete = Signal()
        last = Signal()
        taken = Signal()
        m.d.comb += [
            queue.r_en.eq(~complete),
            taken.eq(queue.r_en & queue.r_rdy),
            last.eq(~place[:2].any() & (left == 1)),
            self.empty.eq(place[0] & ~complete & (queue.level == 0)),
        ]
        with m.If(taken):
            m.d.sync += [place.eq(Mux(last, 1, place << 1)), complete.eq(last)]
            m.d.sync += left.eq(Mux(place[1], queue.r_data[8:16] - 1, left - 1))
        for at, register in enumerate([index, *words]):
            with m.If(taken & place[at]):
                m.d.sync += register.eq(queue.r_data)
        return index, complete
