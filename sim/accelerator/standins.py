"""Small units in the place of COMPUTE and VECTOR: enough to move data from every load to every store."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.rtl.accelerator import Accelerator
from eftrain_hdl.rtl.layouts import BufferWrite, DrainRead, UnitControl, beat_layout

__all__ = ["AcceleratorWithStandIns"]


def _latched(m: Module, control: wiring.PureInterface, count: Signal, field: str) -> Signal:
    """Accept an instruction when idle; returns a flag that is set until the unit clears it."""
    active = Signal()
    m.d.comb += [control.instruction.ready.eq(~active & ~control.halt), control.busy.eq(active)]
    with m.If(control.instruction.valid & control.instruction.ready):
        instruction = control.instruction.payload
        m.d.sync += [active.eq(1), count.eq(instruction[field])]
    return active


class ComputeStandIn(wiring.Component):
    """Keeps busy for ``s0_count`` cycles. A drain of bank 0 reads the beats loaded by LOAD_X, of bank 1 by LOAD_A."""

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "control": Out(UnitControl(Opcode.COMPUTE)),
            "write_x": In(BufferWrite(config)), "write_a": In(BufferWrite(config)), "drain": In(DrainRead(config)),
            "overflow": Out(1), "invalid": Out(1), "mac_active": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        reads = []
        for name, write, depth in (
            ("x", self.write_x, config.streaming_depth), ("a", self.write_a, config.stationary_depth),
        ):
            memory = Memory(shape=config.data_width, depth=depth * config.vector_beats, init=[])
            m.submodules[name] = memory
            port, read = memory.write_port(), memory.read_port()
            beat = write.address * config.vector_beats + write.lane // config.vector_lanes
            m.d.comb += [port.addr.eq(beat), port.data.eq(write.data), port.en.eq(write.en)]
            m.d.comb += [read.addr.eq(self.drain.address), read.en.eq(1)]
            reads.append(read.data)
        bank = Signal()
        m.d.sync += bank.eq(self.drain.bank)
        data = Signal(config.data_width)
        with m.If(bank):
            m.d.comb += data.eq(reads[1])
        with m.Else():
            m.d.comb += data.eq(reads[0])
        for k in range(DrainRead.LATENCY - 1):
            later = Signal(config.data_width, name=f"data_{k}")
            m.d.sync += later.eq(data)
            data = later
        m.d.comb += self.drain.data.eq(data)

        left = Signal(16)
        active = _latched(m, self.control, left, "s0_count")
        m.d.comb += self.mac_active.eq(active & (left != 0))
        m.d.sync += self.control.posted.eq(0)
        with m.If(active & ~self.control.halt):
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.Else():
                m.d.sync += [active.eq(0), self.control.posted.eq(1)]
        return m


class VectorStandIn(wiring.Component):
    """Sends ``n0_count`` beats: output 0 from the drain (``acc_base`` up), output 1 from operand A (``a_base`` up).

    ``relu`` raises both floating-point flags.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        output = stream.Signature(beat_layout(config))
        super().__init__({
            "control": Out(UnitControl(Opcode.VECTOR)), "write": In(BufferWrite(config)),
            "drain": Out(DrainRead(config)), "o_0": Out(output), "o_1": Out(output), "active": Out(1),
            "learning_rate": In(32), "weight_decay": In(32), "momentum": In(32), "overflow": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control, instruction = self.control, self.control.instruction.payload
        m.submodules.memory = memory = Memory(
            shape=self.config.data_width, depth=self.config.operand_depth, init=[])
        port, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            port.addr.eq(self.write.address), port.data.eq(self.write.data),
            port.en.eq(self.write.en & (self.write.target == Target.OPERAND_A)),
        ]
        left = Signal(16)
        active = _latched(m, control, left, "n0_count")
        place, operand, bank, emit = Signal(16), Signal(16), Signal(), Signal(2)
        with m.If(~active):
            m.d.sync += [
                place.eq(instruction.acc_base), operand.eq(instruction.a_base), bank.eq(instruction.bank),
                emit.eq(instruction.emit_0 | instruction.emit_1 << 1),
            ]
        accepted = control.instruction.valid & control.instruction.ready
        m.d.comb += [
            self.overflow.eq(accepted & instruction.relu), self.invalid.eq(self.overflow),
            self.drain.bank.eq(bank), self.drain.address.eq(place), read.addr.eq(operand),
        ]
        m.d.sync += control.posted.eq(0)
        wait = Signal(range(DrainRead.LATENCY + 1))
        sent = Signal(2)
        m.d.sync += self.active.eq(self.drain.en)
        with m.FSM():
            with m.State("READ"):
                with m.If(active & (left == 0)):
                    m.d.sync += [active.eq(0), control.posted.eq(1)]
                with m.Elif(active & ~control.halt):
                    m.d.comb += self.drain.en.eq(1)
                    m.d.sync += [wait.eq(DrainRead.LATENCY - 1), sent.eq(~emit)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [self.o_0.payload.eq(self.drain.data), self.o_1.payload.eq(read.data)]
                    m.next = "SEND"
            with m.State("SEND"):
                for k, output in enumerate((self.o_0, self.o_1)):
                    m.d.comb += output.valid.eq(~sent[k])
                    with m.If(output.valid & output.ready):
                        m.d.sync += sent[k].eq(1)
                with m.If(sent.all()):
                    m.d.sync += [place.eq(place + 1), operand.eq(operand + 1), left.eq(left - 1)]
                    m.next = "READ"
        return m


class AcceleratorWithStandIns(Accelerator):
    """The accelerator with everything but the arithmetic."""

    def compute_unit(self) -> wiring.Component:
        return ComputeStandIn(self.config)

    def vector_unit(self) -> wiring.Component:
        return VectorStandIn(self.config)
