"""The whole accelerator beside a second AXI manager, on one memory port.

While the accelerator runs a program (a tensor through ReLU), a frame inverter of one's own reads and writes the same
memory. Prints whose bursts came when; exits with 1 unless both results are in memory and the bursts were interleaved.
"""

import sys

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from bus_models import AxiMemory, write_register
from eftrain_hdl import Config
from eftrain_hdl.isa import Instruction, Opcode, Target, assemble
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.rtl import Accelerator
from eftrain_hdl.rtl.axi import AXI4Signature, ReadArbiter, WriteArbiter, connect_read, connect_write

# Small, because Amaranth's simulator does only some 200 cycles a second of it.
CONFIG = Config(
    rows=4, lanes=4, streaming_depth=64, stationary_depth=64, accumulator_depth=32, accumulator_banks=2,
    operand_depth=64, outstanding=2,
)  # fmt: skip
BUS = (CONFIG.data_width, CONFIG.address_width)
PROGRAM, TENSOR, RESULT, FRAME, NEGATIVE = 0x000, 0x400, 0x800, 0xC00, 0x1000
SIZE = 0x1400
BEATS = 16


class FrameInverter(wiring.Component):
    """Reads ``BEATS`` beats at ``FRAME`` one by one while ``start`` is set, writes their complements."""

    start: In(1)
    done: Out(1)
    axi: Out(AXI4Signature(*BUS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        offset = Signal(range(BEATS * CONFIG.beat_bytes + 1))
        # The arbiters look at nothing else of an address than this and the length, which stays 0: one beat.
        m.d.comb += [axi.araddr.eq(FRAME + offset), axi.awaddr.eq(NEGATIVE + offset)]
        m.d.comb += [axi.wstrb.eq(-1), axi.wlast.eq(1), self.done.eq(offset == BEATS * CONFIG.beat_bytes)]
        with m.FSM():
            with m.State("ASK"):
                m.d.comb += axi.arvalid.eq(self.start & ~self.done)
                with m.If(axi.arvalid & axi.arready):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += axi.rready.eq(1)
                with m.If(axi.rvalid):
                    m.d.sync += [axi.wdata.eq(~axi.rdata), axi.awvalid.eq(1), axi.wvalid.eq(1)]
                    m.next = "WRITE"
            with m.State("WRITE"):
                with m.If(axi.awready):
                    m.d.sync += axi.awvalid.eq(0)
                with m.If(axi.wready):
                    m.d.sync += axi.wvalid.eq(0)
                m.d.comb += axi.bready.eq(1)
                with m.If(axi.bvalid):
                    m.d.sync += offset.eq(offset + CONFIG.beat_bytes)
                    m.next = "ASK"
        return m


class Machine(wiring.Component):
    """Accelerator and inverter behind one port."""

    axi: Out(AXI4Signature(*BUS))

    def __init__(self) -> None:
        super().__init__()
        self.accelerator = Accelerator(CONFIG)
        self.inverter = FrameInverter()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator, m.submodules.inverter = self.accelerator, self.inverter
        m.submodules.reads = reads = ReadArbiter(2, *BUS)
        m.submodules.writes = writes = WriteArbiter(2, *BUS)
        for number, manager in enumerate((self.accelerator.axi[0], self.inverter.axi)):
            connect_read(m, manager, reads.managers[number])
            connect_write(m, manager, writes.managers[number])
        connect_read(m, reads.axi, self.axi)
        connect_write(m, writes.axi, self.axi)
        return m


def program() -> np.ndarray:
    """TENSOR to operand memory C, through ReLU, to RESULT."""
    once = {"count1": 1, "count2": 1, "count3": 1}
    items = {"x_count": BEATS, "y_count": 1, "z_count": 1, "x_phases": 1, "y_phases": 1, "x_stride": 1}
    nest = {"n0_count": BEATS, "n0_c": 1, **{f"n{level}_count": 1 for level in range(1, 6)}}
    limits = {"row_limit": 1, "col_limit": 1, "y_limit": 1, "x_limit": 1}
    load = once | items | {"address_low": TENSOR, "run": BEATS, "target": Target.OPERAND_C}
    return assemble([
        Instruction(Opcode.LOAD_A, load),
        Instruction(Opcode.VECTOR, nest | limits | {"source": 1, "relu": 1, "emit_0": 1, "after_load_a": 1}),
        Instruction(Opcode.STORE_0, once | {"address_low": RESULT, "run": BEATS}),
        Instruction(Opcode.END, {}),
    ])  # fmt: skip


def simulate(tensor: np.ndarray, frame: np.ndarray) -> AxiMemory:
    """The memory after both managers are done."""
    design = Machine()
    memory = AxiMemory(design.axi, SIZE)
    code = program()
    for address, content in ((PROGRAM, code), (TENSOR, tensor), (FRAME, frame)):
        memory.bytes[address : address + content.nbytes] = content.view(np.uint8)

    async def host(ctx: SimulatorContext) -> None:
        for name, value in (
            ("PROGRAM_ADDRESS", PROGRAM),
            ("PROGRAM_BYTES", code.nbytes),
            # What lies behind is the inverter's: an address there would stop the accelerator with an error.
            ("WINDOW_LIMIT", FRAME),
            ("INTERRUPT_ENABLE", REGISTER_MAP["INTERRUPT_ENABLE"].pack(done=1, error=1)),
            ("CONTROL", REGISTER_MAP["CONTROL"].pack(start=1, interrupt_enable=1)),
        ):
            await write_register(ctx, design.accelerator.ctrl, REGISTER_MAP.offset(name), value)
        ctx.set(design.inverter.start, 1)
        await ctx.tick().until(design.accelerator.interrupt)
        await ctx.tick().until(design.inverter.done)

    simulator = Simulator(design)
    simulator.add_clock(1e-8)
    simulator.add_testbench(host)
    memory.add_to(simulator)
    simulator.run()
    return memory


def main() -> int:
    rng = np.random.default_rng(1)
    tensor = rng.standard_normal(BEATS * CONFIG.vector_lanes).astype(np.float32)
    frame = rng.integers(0, 256, BEATS * CONFIG.beat_bytes, dtype=np.uint8)
    memory = simulate(tensor, frame)

    rectified = np.array_equal(memory.bytes[RESULT:][: tensor.nbytes].view(np.float32), np.maximum(tensor, 0))
    inverted = np.array_equal(memory.bytes[NEGATIVE:][: frame.nbytes], ~frame)
    mixed = True
    for name, bursts in (("reads", memory.reads), ("writes", memory.writes)):
        owners = "".join("a" if address < FRAME else "i" for address, _ in bursts)
        mixed &= "ia" in owners and "ai" in owners
        print(f"{name} of [a]ccelerator and [i]nverter: {owners}")
    print(f"ReLU {'right' if rectified else 'WRONG'}, frame {'right' if inverted else 'WRONG'}")
    return 0 if rectified and inverted and mixed else 1


if __name__ == "__main__":
    sys.exit(main())
