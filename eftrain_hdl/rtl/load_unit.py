"""Load unit: DRAM to one of the on-chip memories."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import SEMAPHORES, Opcode, Target
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BeatLayout, TransferLayout
from eftrain_hdl.rtl.layouts import BufferWrite, UnitControl, beat_layout
from eftrain_hdl.rtl.load_nest import LoadNest, LoadNestLayout
from eftrain_hdl.rtl.transfer_request import TransferFields, TransferRequest

__all__ = ["LoadUnit"]

PENDING = 8
"""Loads whose transfers may be with the DMA at the same time."""


class LoadUnit(wiring.Component):
    """Executes LOAD_X or LOAD_A.

    A request side checks an instruction and passes its transfer to the DMA at once, up to eight instructions ahead; a
    receive side writes the beats that come back, one a cycle. From a beat at ``data`` to ``write`` it takes 2 cycles;
    ``posted`` comes with the last write, and an instruction that waits for it is presented 4 cycles later at the
    earliest. Between two loads the data stream pauses for 1 cycle, or until 8 cycles after the load before began.

    Parameters
    ----------
    config : Config
    opcode : Opcode
        LOAD_X (target STREAMING) or LOAD_A (all others).

    Members
    -------
    control : Out(UnitControl), data members as seen from this unit
    transfer : Out(stream of TransferLayout)
        To a ``ReadDma``, which ...
    data : In(stream of BeatLayout)
        ... returns the beats here.
    write : Out(BufferWrite)

    Errors, reported in program order, that is after everything before them is written: BAD_FIELD; OUT_OF_WINDOW
    (address bits above the address width); CHIP_ADDRESS with the on-chip address of the item. A transfer that ends
    inside an item is a BAD_FIELD, reported when its beats have been written.

    Raises
    ------
    ValueError
        If ``opcode`` is not a load.
    """

    def __init__(self, config: Config, opcode: Opcode) -> None:
        if opcode not in (Opcode.LOAD_X, Opcode.LOAD_A):
            raise ValueError(f"opcode must be LOAD_X or LOAD_A, not {opcode!r}")
        self.config = config
        self.opcode = opcode
        super().__init__({
            "control": Out(UnitControl(opcode)),
            "transfer": Out(stream.Signature(TransferLayout(config.address_width))),
            "data": In(stream.Signature(BeatLayout(config.data_width))),
            "write": Out(BufferWrite(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, control = self.config, self.control
        instruction = control.instruction.payload
        stopped = Signal()
        discard = Signal()
        m.d.comb += discard.eq(stopped | control.halt)

        # Request side.
        pending_layout = data.StructLayout({
            "code": 8, "target": 4, "planar": 1, "post": SEMAPHORES, "nest": LoadNestLayout(),
        })
        m.submodules.pending = pending = SyncFIFO(width=pending_layout.size, depth=PENDING)
        m.submodules.request = request = TransferRequest(config)
        entry = Signal(pending_layout)
        m.d.comb += [request.fields[name].eq(instruction[name]) for name in TransferFields().members]
        if self.opcode is Opcode.LOAD_X:
            target_bad = instruction.target != Target.STREAMING
        else:
            target_bad = (instruction.target == 0) | (instruction.target > Target.OPERAND_C) | instruction.planar
        m.d.comb += [
            request.start.eq(control.instruction.valid & pending.w_rdy & ~discard),
            request.extra_bad.eq(
                target_bad
                | (instruction.x_count == 0) | (instruction.y_count == 0) | (instruction.z_count == 0)
                | (instruction.x_phase >= instruction.x_phases) | (instruction.y_phase >= instruction.y_phases)
            ),
            control.instruction.ready.eq(request.finished),
            pending.w_en.eq(request.finished),
            pending.w_data.eq(entry),
            entry.code.eq(request.code),
            entry.target.eq(instruction.target),
            entry.planar.eq(instruction.planar),
            entry.post.eq(instruction.post),
        ]
        m.d.comb += [entry.nest[name].eq(instruction[name]) for name in LoadNestLayout().members]
        wiring.connect(m, request.transfer, wiring.flipped(self.transfer))

        # Receive side.
        m.submodules.nest = nest = LoadNest()
        head = data.View(pending_layout, pending.r_data)
        active = Signal()
        target = Signal(4, reset_less=True)
        planar = Signal(reset_less=True)
        post = Signal(SEMAPHORES, reset_less=True)
        whole = Signal(reset_less=True)
        beat = Signal(range(config.vector_beats + 1), reset_less=True)
        item_end = Signal()
        accept = Signal()
        bad_head = Signal()
        m.d.comb += [
            bad_head.eq(pending.r_rdy & (head.code != ErrorCode.NONE) & ~active & ~discard),
            nest.i.valid.eq(pending.r_rdy & (head.code == ErrorCode.NONE)),
            nest.i.payload.eq(head.nest),
            nest.start.eq(nest.ready & ~active & ~discard),
            pending.r_en.eq(nest.start),
            accept.eq(active & self.data.valid),
            self.data.ready.eq(active | discard),
            item_end.eq(whole | (beat == config.vector_beats - 1)),
            nest.advance.eq(accept & item_end),
        ]
        with m.If(nest.start):
            m.d.sync += [
                active.eq(1),
                target.eq(head.target),
                planar.eq(head.planar),
                post.eq(head.post),
                whole.eq(Mux(head.target == Target.STREAMING, head.planar, head.target != Target.STATIONARY)),
                beat.eq(0),
            ]
        with m.Elif(accept):
            m.d.sync += [active.eq(~self.data.payload.last), beat.eq(Mux(item_end, 0, beat + 1))]

        # Check, then write.
        checked = Signal()
        final = Signal(reset_less=True)
        torn = Signal(reset_less=True)
        address = Signal(24, reset_less=True)
        lane = Signal(7, reset_less=True)
        words = Signal(beat_layout(config), reset_less=True)
        m.d.sync += [
            checked.eq(accept & ~discard),
            final.eq(self.data.payload.last),
            torn.eq(self.data.payload.last & ~item_end),
            address.eq(nest.address),
            lane.eq(Mux(whole, 0, beat * config.vector_lanes)),
            words.eq(self.data.payload.data),
        ]
        inside = Signal()
        with m.Switch(Cat(target, planar)):
            with m.Case(Target.STREAMING | 0x10):
                elements = config.streaming_depth * config.lanes
                starts = elements - config.vector_lanes
                m.d.comb += inside.eq(address <= starts)
            with m.Case(Target.STREAMING):
                m.d.comb += inside.eq(address < config.streaming_depth)
            with m.Case(Target.STATIONARY):
                m.d.comb += inside.eq(address < config.stationary_depth)
            with m.Default():
                m.d.comb += inside.eq(address < config.operand_depth)

        values = {"target": target, "planar": planar, "address": address, "lane": lane, "data": words}
        for member, value in values.items():
            port = getattr(self.write, member)
            register = Signal(port.shape(), name=f"write_{member}", reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += port.eq(register)
        m.d.sync += [
            self.write.en.eq(checked & inside & ~discard),
            control.posted.eq(checked & inside & final & ~torn & ~discard),
            control.post.eq(post),
            control.error.eq(0),
        ]
        with m.If(bad_head & ~checked):
            m.d.sync += [
                control.error.eq(1),
                control.error_code.eq(head.code),
                control.error_address.eq(0),
                stopped.eq(1),
            ]
        with m.Elif(checked & ~discard & (~inside | torn)):
            m.d.sync += [
                control.error.eq(1),
                control.error_code.eq(Mux(inside, ErrorCode.BAD_FIELD, ErrorCode.CHIP_ADDRESS)),
                control.error_address.eq(address),
                stopped.eq(1),
            ]
        m.d.comb += control.busy.eq(pending.r_rdy | active | checked | self.write.en)
        return m
