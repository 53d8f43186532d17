"""Issue queue: buffers the instructions of one unit, assembles the next one and takes its semaphores."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import FORMATS, SEMAPHORES, Opcode
from eftrain_hdl.rtl.layouts import instruction_layout

__all__ = ["IssueQueue", "OriginLayout"]

MINIMUM_INSTRUCTIONS = 8
IN_FLIGHT = 16
"""Instructions that a unit may have accepted but not completed."""


class OriginLayout(data.StructLayout):
    """Where an instruction stands: ``index`` counts from the program's start, ``tag`` is the compiler's."""

    def __init__(self) -> None:
        super().__init__({"index": 32, "tag": 16})


class IssueQueue(wiring.Component):
    """Memory-backed queue of one unit's instructions.

    The next instruction is assembled in a register of its own, one word a cycle, while the unit works on the present
    one. As soon as it is complete its wait mask is asked for; when that is granted (at once if the mask is empty) it is
    presented. The unit copies what it needs when it accepts the instruction: the assembly of the following one then
    begins. Between two instructions of a unit lie at least ``words + 3`` cycles.

    Parameters
    ----------
    opcode : Opcode
        The instruction; all words that come in are taken for instructions of this kind.
    depth : int or None
        Words of the queue. ``None`` takes the least power of two that holds eight instructions.

    Members
    -------
    words : In(stream of 32 bits)
        For each instruction first its index in the program, then its words.
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
            depth = 1 << (MINIMUM_INSTRUCTIONS * entry - 1).bit_length()
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
        layout = FORMATS[self.opcode]
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

        entry = layout.words + 1
        assembled = Signal(32 * entry, reset_less=True)
        count = Signal(range(entry + 1))
        index, body = assembled[:32], assembled[32:]
        instruction = self.instruction.payload
        for field in layout.fields:
            word, bit = layout.places[field.name]
            m.d.comb += instruction[field.name].eq(body[32 * word + bit :][: field.bits])

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
        complete = Signal()
        m.d.comb += [
            complete.eq(count == entry),
            queue.r_en.eq(~complete),
            self.take_mask.eq(instruction.wait),
            self.waiting.eq(complete & ~granted & (instruction.wait != 0)),
            self.take.eq(self.waiting & ~self.halt),
            self.instruction.valid.eq(granted & origins.w_rdy & ~self.halt),
            self.empty.eq((count == 0) & (queue.level == 0)),
        ]
        with m.If(queue.r_en & queue.r_rdy):
            m.d.sync += [count.eq(count + 1), assembled.eq(Cat(assembled[32:], queue.r_data))]
        with m.If(complete & ~granted & (self.taken | (instruction.wait == 0))):
            m.d.sync += granted.eq(1)
        with m.If(self.instruction.valid & self.instruction.ready):
            m.d.sync += [granted.eq(0), count.eq(0)]
        return m
