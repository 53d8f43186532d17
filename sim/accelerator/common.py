"""A host for the accelerator in cocotb: registers, memory with faults, and a program that uses every unit."""

import random
from collections.abc import Sequence

from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave
from cocotbext.axi.address_space import Region

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode, Target, assemble
from eftrain_hdl.registers import REGISTER_MAP, ErrorCode, Unit
from sim.axi.common import pauses

CONFIGS = {
    ports: Config(
        rows=4, lanes=4, data_width=64, ports=ports, streaming_depth=64, stationary_depth=64, operand_depth=64,
        outstanding=4, axi3=ports == 3,
    )
    for ports in (1, 2, 3, 4)
}
"""What the benches build, by number of ports."""

MEMORY_BYTES = 1 << 18
PROGRAM = 0x1000
SOURCE = 0x1_0000
TARGET = 0x2_0000


class Memory(Region):
    """DRAM in which some addresses answer with an error."""

    def __init__(self) -> None:
        super().__init__(MEMORY_BYTES)
        self.bytes = bytearray(MEMORY_BYTES)
        self.bad_read: int | None = None
        self.bad_write: int | None = None

    async def _read(self, address: int, length: int, **_: object) -> bytes:
        if self.bad_read is not None and address <= self.bad_read < address + length:
            raise ValueError("injected")
        return bytes(self.bytes[address : address + length])

    async def _write(self, address: int, data: bytes, **_: object) -> None:
        if self.bad_write is not None and address <= self.bad_write < address + len(data):
            raise ValueError("injected")
        self.bytes[address : address + len(data)] = data


class Host:
    """Software's view of the accelerator, and the bus on the other side."""

    def __init__(self, dut: SimHandleBase, config: Config, seed: int = 1) -> None:
        self.dut = dut
        self.config = config
        self.rng = random.Random(seed)
        self.memory = Memory()
        self.ctrl = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "ctrl"), dut.clk, dut.rst)
        for interface in (self.ctrl.write_if, self.ctrl.read_if):
            interface.log.setLevel("WARNING")
        self.slaves = []
        for number in range(config.ports):
            slave = AxiSlave(AxiBus.from_prefix(dut, f"axi_{number}"), dut.clk, dut.rst, target=self.memory)
            for interface in (slave.write_if, slave.read_if):
                interface.log.setLevel("CRITICAL")
            self.slaves.append(slave)
        self.memory.bytes[SOURCE:TARGET] = self.rng.randbytes(TARGET - SOURCE)

    async def start(self, stall: float = 0.0) -> None:
        """Clock, reset, random pauses on all memory channels, and the window open."""
        Clock(self.dut.clk, 2, unit="ns").start()
        self.stall(stall)
        self.dut.rst.value = 1
        await self.cycles(4)
        self.dut.rst.value = 0
        await self.cycles(2)
        await self.write("WINDOW_LIMIT", MEMORY_BYTES)
        await self.write("PROGRAM_ADDRESS", PROGRAM)

    def stall(self, probability: float, read_data: float | None = None) -> None:
        """Pause memory channels with a probability; ``read_data`` for the R channels, if different."""
        for slave in self.slaves:
            for channel in (slave.write_if.aw_channel, slave.write_if.w_channel, slave.write_if.b_channel,
                            slave.read_if.ar_channel):
                channel.set_pause_generator(pauses(self.rng, probability))
            slave.read_if.r_channel.set_pause_generator(
                pauses(self.rng, probability if read_data is None else read_data))

    async def cycles(self, count: int) -> None:
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    async def read(self, name: str) -> int:
        """A register by name; wide ones as one number."""
        register = REGISTER_MAP[name]
        value = 0
        for word in range(register.size // 4):
            answer = await self.ctrl.read(register.offset + 4 * word, 4)
            value |= int.from_bytes(answer.data, "little") << (32 * word)
        return value

    async def field(self, register: str, field: str) -> int:
        return REGISTER_MAP[register].field(field).get(await self.read(register))

    async def write(self, name: str, value: int) -> None:
        register = REGISTER_MAP[name]
        for word in range(register.size // 4):
            part = value >> (32 * word) & 0xFFFF_FFFF
            await self.ctrl.write(register.offset + 4 * word, part.to_bytes(4, "little"))

    async def launch(self, program: Sequence[Instruction]) -> None:
        words = assemble(program)
        self.memory.bytes[PROGRAM : PROGRAM + 4 * len(words)] = words.tobytes()
        await self.write("PROGRAM_BYTES", 4 * len(words))
        await self.write("CONTROL", REGISTER_MAP["CONTROL"].pack(start=1, interrupt_enable=1))

    async def finish(self, timeout: int = 20000) -> None:
        """Wait for the end of a program that must end well."""
        for _ in range(timeout // 20):
            await self.cycles(20)
            status = await self.read("STATUS")
            fields = REGISTER_MAP["STATUS"]
            assert not fields.field("error").get(status), await self.describe_error()
            if fields.field("done").get(status):
                assert not fields.field("busy").get(status)
                await self.write("STATUS", fields.pack(done=1))
                return
        raise AssertionError("the program did not end")

    async def describe_error(self) -> tuple[str, str, int, int, int]:
        """(unit, code, address, instruction, tag)."""
        code = await self.read("ERROR_CODE")
        fields = REGISTER_MAP["ERROR_CODE"]
        return (
            Unit(fields.field("unit").get(code)).name, ErrorCode(fields.field("code").get(code)).name,
            await self.read("ERROR_ADDRESS"), await self.read("ERROR_INSTRUCTION"), fields.field("tag").get(code),
        )

    async def failure(self, timeout: int = 4000) -> tuple[str, str, int, int, int]:
        """Wait until the machine has stopped with an error, and describe it."""
        for _ in range(timeout // 20):
            await self.cycles(20)
            if await self.field("STATUS", "halted"):
                assert await self.field("STATUS", "error") and not await self.field("STATUS", "busy")
                return await self.describe_error()
        raise AssertionError("no error was reported")

    async def soft_reset(self, timeout: int = 4000) -> None:
        await self.write("CONTROL", REGISTER_MAP["CONTROL"].pack(soft_reset=1, interrupt_enable=1))
        for _ in range(timeout // 20):
            if not await self.field("STATUS", "resetting"):
                return
            await self.cycles(20)
        raise AssertionError("the soft reset did not end")


def transfer(address: int, run: int, **values: int) -> dict[str, int]:
    """Fields of a transfer of one run, unless ``values`` say more."""
    return {"address_low": address, "run": run, "count1": 1, "count2": 1, "count3": 1, **values}


def load(opcode: Opcode, target: Target, address: int, run: int, base: int, **values: int) -> Instruction:
    """A load to successive on-chip addresses."""
    sweep = {"x_count": 0xFFFF, "y_count": 1, "z_count": 1, "x_phases": 1, "y_phases": 1, "x_stride": 1}
    return Instruction(opcode, {**transfer(address, run), "target": int(target), "base": base, **sweep, **values})


def copy_program(config: Config, tiles: int, beats: int) -> list[Instruction]:
    """Copies ``tiles`` pieces of ``beats`` beats twice: through LOAD_X to STORE_0, through operand A to STORE_1.

    Even tiles reach STORE_0 by way of the streaming buffer, odd ones by way of the stationary buffer. Source and target
    are contiguous; STORE_1's target follows that of STORE_0.
    """
    size = config.beat_bytes
    program = []
    for tile in range(tiles):
        place = SOURCE + tile * beats * size
        odd = tile % 2
        opcode, target = ((Opcode.LOAD_X, Target.STREAMING), (Opcode.LOAD_A, Target.STATIONARY))[odd]
        # What the tile two before left on the chip has been read; of two loads of LOAD_A, the first one.
        free = {"after_vector": 2} if tile >= 2 else {}
        loaded = {"after_load_a": 2} if odd else {"after_load_x": 1}
        program += [
            load(opcode, target, place, beats, 0, **free, tag=tile),
            load(Opcode.LOAD_A, Target.OPERAND_A, place, beats, odd * beats, **free, tag=tile),
            Instruction(Opcode.COMPUTE, {**loaded, "s0_count": beats, "tag": tile}),
            Instruction(Opcode.VECTOR, {
                "after_compute": 1, "after_load_a": 1, "tag": tile, "n0_count": beats, "bank": odd,
                "a_base": odd * beats, "emit_0": 1, "emit_1": 1}),
            Instruction(Opcode.STORE_0, {**transfer(TARGET + tile * beats * size, beats), "tag": tile}),
            Instruction(Opcode.STORE_1, {**transfer(TARGET + (tiles + tile) * beats * size, beats), "tag": tile}),
        ]
    return [*program, Instruction(Opcode.END, {})]


def check_copy(host: Host, tiles: int, beats: int) -> None:
    """Both copies are there and nothing was written behind them."""
    size = tiles * beats * host.config.beat_bytes
    data = host.memory.bytes
    assert data[TARGET : TARGET + size] == data[SOURCE : SOURCE + size], "STORE_0's copy is wrong"
    assert data[TARGET + size : TARGET + 2 * size] == data[SOURCE : SOURCE + size], "STORE_1's copy is wrong"
    assert not any(data[TARGET + 2 * size : TARGET + 3 * size])


def wipe(host: Host) -> None:
    """Clear the target area."""
    host.memory.bytes[TARGET:] = bytes(MEMORY_BYTES - TARGET)
