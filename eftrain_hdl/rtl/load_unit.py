"""Load unit: DRAM to one of the on-chip memories."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BeatLayout, TransferLayout
from eftrain_hdl.rtl.layouts import BufferWrite, UnitControl, beat_layout
from eftrain_hdl.rtl.load_nest import LoadNest, LoadNestLayout
from eftrain_hdl.rtl.transfer_request import TransferFields, TransferRequest

__all__ = ["LoadUnit"]

PENDING = 8
"""Loads whose transfers may be with the DMA at the same time."""


class _PendingLayout(data.StructLayout):
    """A load whose request was made: what went wrong with it, if anything, and what to do with its beats."""

    def __init__(self) -> None:
        super().__init__({"code": 8, "target": 4, "planar": 1, "nest": LoadNestLayout()})


class _Receiving(NamedTuple):
    """The load whose beats come, and where the present beat belongs."""

    active: Signal
    refused: Signal
    """The next load was refused, because of ``code``, and all before it have come."""
    code: Value
    accept: Signal
    """A beat is taken."""
    item_end: Signal
    """It is the last of its item."""
    target: Signal
    planar: Signal
    address: Value
    lane: Value


class _Checked(NamedTuple):
    """A beat as it came a cycle ago, with the verdict on its address."""

    valid: Signal
    inside: Signal
    """The target has this address."""
    final: Signal
    """It is the last of its load."""
    torn: Signal
    """It is the last of its load, but not of its item."""
    address: Signal
    lane: Signal
    words: data.View


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
        stopped = Signal()
        discard = Signal()
        m.d.comb += discard.eq(stopped | self.control.halt)
        pending = self._elaborate_request(m, discard)
        receiving = self._elaborate_receive(m, pending, discard)
        checked = self._elaborate_check(m, receiving, discard)
        self._elaborate_write(m, receiving, checked, discard)
        self._elaborate_errors(m, receiving, checked, stopped, discard)
        m.d.comb += self.control.busy.eq(pending.r_rdy | receiving.active | checked.valid | self.write.en)
        return m

    def _elaborate_request(self, m: Module, discard: Signal) -> SyncFIFO:
        """Pass the transfers of instructions to the DMA, and put the loads into the FIFO that is returned."""
        control = self.control
        instruction = control.instruction.payload
        m.submodules.pending = pending = SyncFIFO(width=_PendingLayout().size, depth=PENDING)
        m.submodules.request = request = TransferRequest(self.config)
        entry = Signal(_PendingLayout())
        m.d.comb += [request.fields[name].eq(instruction[name]) for name in TransferFields().members]
        m.d.comb += [
            request.start.eq(control.instruction.valid & pending.w_rdy & ~discard),
            request.extra_bad.eq(
                self._bad_target(instruction)
                | (instruction.x_count == 0) | (instruction.y_count == 0) | (instruction.z_count == 0)
                | (instruction.x_phase >= instruction.x_phases) | (instruction.y_phase >= instruction.y_phases)
            ),
            control.instruction.ready.eq(request.finished),
            pending.w_en.eq(request.finished),
            pending.w_data.eq(entry),
            entry.code.eq(request.code),
            entry.target.eq(instruction.target),
            entry.planar.eq(instruction.planar),
        ]
        m.d.comb += [entry.nest[name].eq(instruction[name]) for name in LoadNestLayout().members]
        wiring.connect(m, request.transfer, wiring.flipped(self.transfer))
        return pending

    def _bad_target(self, instruction: data.View) -> Value:
        if self.opcode is Opcode.LOAD_X:
            return instruction.target != Target.STREAMING
        return (instruction.target == 0) | (instruction.target > Target.OPERAND_C) | instruction.planar

    def _elaborate_receive(self, m: Module, pending: SyncFIFO, discard: Signal) -> _Receiving:
        """Take the beats of one load after the other, and follow their items."""
        config = self.config
        m.submodules.nest = nest = LoadNest()
        head = data.View(_PendingLayout(), pending.r_data)
        active = Signal()
        target = Signal(4, reset_less=True)
        planar = Signal(reset_less=True)
        # An item is one beat; else it is a lane vector.
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
                whole.eq(Mux(head.target == Target.STREAMING, head.planar, head.target != Target.STATIONARY)),
                beat.eq(0),
            ]
        with m.Elif(accept):
            m.d.sync += [active.eq(~self.data.payload.last), beat.eq(Mux(item_end, 0, beat + 1))]
        return _Receiving(
            active=active,
            refused=bad_head,
            code=head.code,
            accept=accept,
            item_end=item_end,
            target=target,
            planar=planar,
            address=nest.address,
            lane=Mux(whole, 0, beat * config.vector_lanes),
        )

    def _elaborate_check(self, m: Module, receiving: _Receiving, discard: Signal) -> _Checked:
        """Register the beat with its address, and compare that with the depth of the target."""
        config = self.config
        beat = _Checked(
            valid=Signal(name="checked"),
            inside=Signal(name="inside"),
            final=Signal(name="final", reset_less=True),
            torn=Signal(name="torn", reset_less=True),
            address=Signal(24, name="address", reset_less=True),
            lane=Signal(7, name="lane", reset_less=True),
            words=Signal(beat_layout(config), name="words", reset_less=True),
        )
        m.d.sync += [
            beat.valid.eq(receiving.accept & ~discard),
            beat.final.eq(self.data.payload.last),
            beat.torn.eq(self.data.payload.last & ~receiving.item_end),
            beat.address.eq(receiving.address),
            beat.lane.eq(receiving.lane),
            beat.words.eq(self.data.payload.data),
        ]
        with m.Switch(Cat(receiving.target, receiving.planar)):
            with m.Case(Target.STREAMING | 0x10):
                elements = config.streaming_depth * config.lanes
                m.d.comb += beat.inside.eq(beat.address <= elements - config.vector_lanes)
            with m.Case(Target.STREAMING):
                m.d.comb += beat.inside.eq(beat.address < config.streaming_depth)
            with m.Case(Target.STATIONARY):
                m.d.comb += beat.inside.eq(beat.address < config.stationary_depth)
            with m.Default():
                m.d.comb += beat.inside.eq(beat.address < config.operand_depth)
        return beat

    def _elaborate_write(self, m: Module, receiving: _Receiving, checked: _Checked, discard: Signal) -> None:
        """Write the good beats; the load is complete with the last one."""
        values = {
            "target": receiving.target, "planar": receiving.planar, "address": checked.address, "lane": checked.lane,
            "data": checked.words,
        }  # fmt: skip
        for member, value in values.items():
            port = getattr(self.write, member)
            register = Signal(port.shape(), name=f"write_{member}", reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += port.eq(register)
        good = checked.valid & checked.inside
        m.d.sync += [
            self.write.en.eq(good & ~discard),
            self.control.posted.eq(good & checked.final & ~checked.torn & ~discard),
        ]

    def _elaborate_errors(
        self, m: Module, receiving: _Receiving, checked: _Checked, stopped: Signal, discard: Signal
    ) -> None:
        """Report a refused load once all before it is written, or a beat that has no place, and stop."""
        control = self.control
        m.d.sync += control.error.eq(0)
        with m.If(receiving.refused & ~checked.valid):
            m.d.sync += [
                control.error.eq(1),
                control.error_code.eq(receiving.code),
                control.error_address.eq(0),
                stopped.eq(1),
            ]
        with m.Elif(checked.valid & ~discard & (~checked.inside | checked.torn)):
            m.d.sync += [
                control.error.eq(1),
                control.error_code.eq(Mux(checked.inside, ErrorCode.BAD_FIELD, ErrorCode.CHIP_ADDRESS)),
                control.error_address.eq(checked.address),
                stopped.eq(1),
            ]
