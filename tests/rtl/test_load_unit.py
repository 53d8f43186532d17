# amaranth: UnusedElaboratable=no
"""Load unit against the address formula of docs/execution.md."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from amaranth.sim import Simulator

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode, Target
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.load_unit import LoadUnit

CONFIG = Config(rows=4, lanes=4, data_width=64, streaming_depth=256, stationary_depth=128, operand_depth=64)

Write = tuple[int, int, int, int, tuple[int, ...]]


@dataclass
class Result:
    writes: list[Write] = field(default_factory=list)
    write_cycles: list[int] = field(default_factory=list)
    posted: int = 0
    transfers: list[dict[str, int]] = field(default_factory=list)
    error: tuple[int, int] | None = None
    finished_idle: bool = False


def beats_of(load: Instruction) -> int:
    return load["run"] * load["count1"] * load["count2"] * load["count3"]


def expected_writes(load: Instruction, words: list[tuple[int, ...]]) -> list[Write]:
    """(target, planar, address, lane, words) of every beat, straight from the formula."""
    vector = load["target"] in (Target.STREAMING, Target.STATIONARY) and not load["planar"]
    group = CONFIG.vector_beats if vector else 1
    out = []
    for index, beat in enumerate(words):
        item, part = divmod(index, group)
        x = item % load["x_count"]
        y = item // load["x_count"] % load["y_count"]
        z = item // (load["x_count"] * load["y_count"]) % load["z_count"]
        w = item // (load["x_count"] * load["y_count"] * load["z_count"])
        px, py = load["x_phase"] + x, load["y_phase"] + y
        address = (
            load["base"]
            + px // load["x_phases"] * load["x_stride"] + px % load["x_phases"] * load["x_phase_stride"]
            + py // load["y_phases"] * load["y_stride"] + py % load["y_phases"] * load["y_phase_stride"]
            + z * load["z_stride"] + w * load["w_stride"]
        ) % (1 << 24)
        out.append((load["target"], load["planar"], address, part * CONFIG.vector_lanes, beat))
    return out


def run(opcode: Opcode, loads: list[Instruction], *, stall: float = 0.0, seed: int = 0, cycles: int = 4000,
        halt_at: int | None = None) -> tuple[Result, list[list[tuple[int, ...]]]]:
    dut = LoadUnit(CONFIG, opcode)
    rng = random.Random(seed)
    data = [[tuple(rng.getrandbits(32) for _ in range(CONFIG.vector_lanes)) for _ in range(beats_of(i))] for i in loads]
    result = Result()
    queue: list[int] = []

    async def issue(ctx):
        for load in loads:
            for name, value in {**load.values, "opcode": int(load.opcode)}.items():
                ctx.set(dut.control.instruction.payload[name], value)
            for name in dut.control.instruction.payload.shape().members:
                if name not in load.values and name != "opcode":
                    ctx.set(dut.control.instruction.payload[name], 0)
            ctx.set(dut.control.instruction.valid, 1)
            while not (await ctx.tick().sample(dut.control.instruction.ready))[2]:
                pass
            ctx.set(dut.control.instruction.valid, 0)

    async def accept_transfers(ctx):
        issued = iter(range(len(loads)))
        while True:
            ctx.set(dut.transfer.ready, rng.random() >= stall)
            payload, valid, ready = (await ctx.tick().sample(
                dut.transfer.payload, dut.transfer.valid, dut.transfer.ready))[2:]
            if valid and ready:
                result.transfers.append({name: payload[name] for name in payload.shape().members})
                queue.append(next(issued))

    async def send(ctx):
        while True:
            while not queue:
                await ctx.tick()
            index = queue.pop(0)
            for position, beat in enumerate(data[index]):
                while rng.random() < stall:
                    await ctx.tick()
                packed = sum(word << (32 * lane) for lane, word in enumerate(beat))
                ctx.set(dut.data.payload.data, packed)
                ctx.set(dut.data.payload.last, position == len(data[index]) - 1)
                ctx.set(dut.data.valid, 1)
                while not (await ctx.tick().sample(dut.data.ready))[2]:
                    pass
                ctx.set(dut.data.valid, 0)

    async def watch(ctx):
        for cycle in range(cycles):
            ctx.set(dut.control.halt, halt_at is not None and cycle >= halt_at)
            await ctx.tick()
            if ctx.get(dut.write.en):
                words = tuple(ctx.get(dut.write.data[lane]) for lane in range(CONFIG.vector_lanes))
                result.writes.append((ctx.get(dut.write.target), ctx.get(dut.write.planar),
                                      ctx.get(dut.write.address), ctx.get(dut.write.lane), words))
                result.write_cycles.append(cycle)
            result.posted += ctx.get(dut.control.posted)
            if ctx.get(dut.control.error):
                assert result.error is None
                result.error = ctx.get(dut.control.error_code), ctx.get(dut.control.error_address)
            if result.posted == len(loads):
                break
        await ctx.tick().repeat(3)
        result.finished_idle = not ctx.get(dut.control.busy)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(issue, background=True)
    simulator.add_testbench(accept_transfers, background=True)
    simulator.add_testbench(send, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return result, data


def make(opcode: Opcode, **values: int) -> Instruction:
    base = {
        "address_low": 0x1000, "run": 1, "count1": 1, "count2": 1, "count3": 1,
        "x_count": 1, "y_count": 1, "z_count": 1, "x_phases": 1, "y_phases": 1,
        "target": 0 if opcode is Opcode.LOAD_X else 1,
    }
    return Instruction(opcode, {**base, **values})


def random_load(opcode: Opcode, rng: random.Random) -> Instruction:
    """A load whose addresses all lie inside its target."""
    while True:
        target = 0 if opcode is Opcode.LOAD_X else rng.randint(1, 4)
        planar = int(opcode is Opcode.LOAD_X and rng.random() < 0.5)
        vector = target in (0, 1) and not planar
        depth = (256 * 4 - 1 if planar else 256, 128, 64, 64, 64)[target]
        xp, yp = rng.randint(1, 3), rng.randint(1, 3)
        load = make(
            opcode, target=target, planar=planar,
            run=rng.randint(1, 4) * (CONFIG.vector_beats if vector else 1),
            count1=rng.randint(1, 4), count2=rng.randint(1, 3), count3=rng.randint(1, 2),
            address_low=rng.randrange(0, 1 << 32, 8), address_high=rng.randint(0, 255),
            stride1=rng.randint(-100, 100) * 8, stride2=rng.randint(-100, 100) * 8, stride3=rng.randint(-100, 100) * 8,
            base=rng.randint(0, depth - 1),
            x_count=rng.randint(1, 7), y_count=rng.randint(1, 4), z_count=rng.randint(1, 3),
            x_phases=xp, x_phase=rng.randrange(xp), y_phases=yp, y_phase=rng.randrange(yp),
            x_stride=rng.randint(-4, 4), x_phase_stride=rng.randint(-16, 16), y_stride=rng.randint(-9, 9),
            y_phase_stride=rng.randint(-9, 9), z_stride=rng.randint(-9, 9), w_stride=rng.randint(-9, 9),
        )
        dummy = [(0,)] * beats_of(load)
        if all(address < depth for _, _, address, _, _ in expected_writes(load, dummy)):
            return load


@pytest.mark.parametrize("opcode", [Opcode.LOAD_X, Opcode.LOAD_A])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_writes_where_the_formula_says(opcode: Opcode, stall: float) -> None:
    rng = random.Random(f"{opcode}{stall}")
    loads = [random_load(opcode, rng) for _ in range(12)]
    result, data = run(opcode, loads, stall=stall, cycles=8000)
    assert result.error is None
    assert result.writes == [w for load, words in zip(loads, data, strict=True) for w in expected_writes(load, words)]
    assert result.posted == len(loads)
    assert result.finished_idle
    for load, transfer in zip(loads, result.transfers, strict=True):
        assert transfer["address"] == load.address
        for name in ("run", "count1", "count2", "count3", "stride1", "stride2", "stride3"):
            assert transfer[name] == load[name]


def test_one_beat_a_cycle_and_one_pause_between_loads() -> None:
    loads = [make(Opcode.LOAD_X, run=40, x_count=5, x_stride=1, y_count=4, y_stride=5, z_stride=20) for _ in range(4)]
    result, _ = run(Opcode.LOAD_X, loads)
    assert len(result.writes) == 160
    assert result.write_cycles[-1] - result.write_cycles[0] == 159 + 3


@pytest.mark.parametrize("values", [
    {"run": 0}, {"run": 1 << 24}, {"count1": 0}, {"count2": 0}, {"count3": 0}, {"x_count": 0},
    {"y_count": 0}, {"z_count": 0}, {"x_phases": 0}, {"y_phases": 0}, {"x_phase": 2, "x_phases": 2},
    {"y_phase": 1}, {"target": 1},
])
def test_bad_field_is_reported_after_what_came_before_and_issues_nothing(values: dict[str, int]) -> None:
    good = make(Opcode.LOAD_X, run=8, x_count=100, x_stride=1)
    bad = Instruction(Opcode.LOAD_X, {**good.values, **values})
    result, data = run(Opcode.LOAD_X, [good, bad if beats_of(bad) < 100 else make(Opcode.LOAD_X, **values)], cycles=200)
    assert result.error is not None and result.error[0] == ErrorCode.BAD_FIELD
    assert len(result.transfers) == 1
    assert result.posted == 1
    assert result.writes == expected_writes(good, data[0])


@pytest.mark.parametrize("values", [{"target": 0}, {"target": 5}, {"target": 1, "planar": 1}])
def test_targets_that_load_a_does_not_have(values: dict[str, int]) -> None:
    result, _ = run(Opcode.LOAD_A, [make(Opcode.LOAD_A, run=2, **values)], cycles=60)
    assert result.error == (ErrorCode.BAD_FIELD, 0)
    assert not result.transfers and not result.writes


def test_address_bits_above_the_bus() -> None:
    result, _ = run(Opcode.LOAD_X, [make(Opcode.LOAD_X, run=2, address_high=1 << 8)], cycles=60)
    assert result.error == (ErrorCode.OUT_OF_WINDOW, 0)
    assert not result.transfers


@pytest.mark.parametrize(("opcode", "values", "good"), [
    (Opcode.LOAD_X, {"base": 254, "run": 8, "x_count": 9, "x_stride": 1}, 4),
    (Opcode.LOAD_X, {"base": 1, "run": 8, "x_count": 9, "x_stride": -1}, 4),
    (Opcode.LOAD_X, {"base": 1021, "run": 3, "x_count": 9, "x_stride": 1, "planar": 1}, 2),
    (Opcode.LOAD_A, {"base": 127, "run": 4, "x_count": 9, "x_stride": 1}, 2),
    (Opcode.LOAD_A, {"base": 62, "run": 4, "x_count": 9, "x_stride": 1, "target": 3}, 2),
])
def test_address_outside_the_memory_writes_nothing(opcode: Opcode, values: dict[str, int], good: int) -> None:
    load = make(opcode, **values)
    result, data = run(opcode, [load, load], cycles=100)
    wanted = expected_writes(load, data[0])
    assert result.writes == wanted[:good]
    assert result.error == (ErrorCode.CHIP_ADDRESS, wanted[good][2])
    assert result.posted == 0


def test_transfer_that_ends_inside_an_item() -> None:
    result, _ = run(Opcode.LOAD_X, [make(Opcode.LOAD_X, run=3, x_count=9, x_stride=1)], cycles=100)
    assert result.error is not None and result.error[0] == ErrorCode.BAD_FIELD
    assert result.posted == 0


def test_halt_stops_writes() -> None:
    load = make(Opcode.LOAD_X, run=100, x_count=50, x_stride=1)
    result, _ = run(Opcode.LOAD_X, [load], halt_at=40, cycles=200)
    assert 0 < len(result.writes) < 100
    assert result.write_cycles[-1] <= 42
    assert result.posted == 0


def test_opcode_is_checked() -> None:
    with pytest.raises(ValueError, match="VECTOR"):
        LoadUnit(CONFIG, Opcode.VECTOR)
