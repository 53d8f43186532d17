# amaranth: UnusedElaboratable=no
"""The vector unit against a direct reading of the contract."""

from __future__ import annotations

from random import Random

import pytest

from eftrain_hdl.isa import Instruction, Opcode
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.vector import VectorUnit

from .bench import Bench, Seen, Traffic, config_of, random_instruction, random_model, vector
from .model import Model, Result

# Few enough beats that the queues fill up and hold the issue back.
SHALLOW = 64


def expected(model: Model, program: list[Instruction]) -> tuple[Result, int]:
    """Everything that a program sends, and how many of its instructions are completed."""
    total, completed = Result(), 0
    for instruction in program:
        one = model.execute(instruction)
        for k in range(2):
            total.out[k].extend(one.out[k])
        total.overflow |= one.overflow
        total.invalid |= one.invalid
        if one.error:
            total.error = one.error
            break
        completed += 1
    return total, completed


def check(seen: Seen, model: Model, program: list[Instruction]) -> Result:
    want, completed = expected(model, program)
    assert seen.error == want.error
    for k in range(2):
        first = next((i for i, (a, b) in enumerate(zip(seen.out[k], want.out[k], strict=False)) if a != b), None)
        assert first is None, f"output {k}, beat {first}: {seen.out[k][first].hex()}, not {want.out[k][first].hex()}"
        assert len(seen.out[k]) == len(want.out[k]), f"output {k}"
    assert len(seen.post_cycles) == completed
    assert (seen.overflow, seen.invalid) == (want.overflow, want.invalid)
    return want


def traffic_of(rng: Random) -> Traffic:
    return Traffic(
        ready_0=rng.choice([1.0, 0.6, 0.15]), ready_1=rng.choice([1.0, 0.6, 0.15]),
        busy=rng.choice([0.0, 0.3]), late=rng.choice([0.0, 0.0, 0.8]), pause=rng.choice([(0, 0), (20, 400)]),
    )


WIDEST = pytest.param(8, marks=pytest.mark.full)


@pytest.mark.parametrize("lanes", [1, 2, 4, WIDEST])
@pytest.mark.parametrize("batch", range(4))
def test_programs(lanes: int, batch: int) -> None:
    """Random programs, memories and traffic."""
    beats, raised = 0, [False, False]
    for seed in range(25 * batch, 25 * batch + 25):
        print(f"seed {seed}, {lanes} lanes")
        rng = Random(seed)
        model = random_model(lanes, rng)
        bench = Bench(model, rng, queue_depth=SHALLOW)
        bench.load()
        sizes = [rng.choice([1, 3, 30, 200]) for _ in range(rng.randint(1, 8))]
        program = [random_instruction(rng, model.config, elements=size) for size in sizes]
        want = check(bench.run(program, traffic_of(rng)), model, program)
        beats += len(want.out[0]) + len(want.out[1])
        raised = [raised[0] or want.overflow, raised[1] or want.invalid]
    assert beats > 1000 and all(raised)


@pytest.mark.parametrize("lanes", [1, 4])
def test_addresses(lanes: int) -> None:
    """The first bad address stops the unit, with everything before it sent and nothing after."""
    codes = 0
    for seed in range(1000, 1100):
        print(f"seed {seed}, {lanes} lanes")
        rng = Random(seed)
        model = random_model(lanes, rng)
        bench = Bench(model, rng, queue_depth=SHALLOW)
        bench.load()
        program = [random_instruction(rng, model.config, elements=40, wild=0.15) for _ in range(4)]
        want = check(bench.run(program, traffic_of(rng)), model, program)
        codes += want.error is not None
    assert 20 < codes < 100


@pytest.mark.parametrize("quantity", ["acc", "group", "a", "b", "c"])
def test_address_limit(quantity: str) -> None:
    """The last address of each memory is good, the next one is not, and both are reported exactly."""
    config = config_of(2)
    last = {"acc": config.accumulator_depth, "group": 3}.get(quantity, config.operand_depth) - 1
    uses = {"a": {"add_a": 1}, "b": {"add_b": 1}, "c": {"source": 1}}.get(quantity, {})
    for count in (2, 3):
        rng = Random(7)
        model = random_model(2, rng)
        bench = Bench(model, rng, queue_depth=SHALLOW)
        bench.load()
        program = [vector([count], {quantity: [1]}, **{f"{quantity}_base": last - 1}, **uses, emit_0=1)]
        want = check(bench.run(program, Traffic()), model, program)
        assert want.error == (None if count == 2 else (ErrorCode.CHIP_ADDRESS, last + 1))
        assert len(want.out[0]) == 2


@pytest.mark.parametrize("fault", [*(f"n{k}_count" for k in range(6)), "sgd"])
def test_bad_field(fault: str) -> None:
    """A count of zero, or an update of a reduction: what comes before is completed, what comes after is not started."""
    rng = Random(11)
    model = random_model(2, rng)
    bench = Bench(model, rng, queue_depth=SHALLOW)
    bench.load()
    good = vector([3, 2], {"c": [1, 4]}, source=1, emit_0=1)
    change = {"sgd": 1, "reduce": 1} if fault == "sgd" else {fault: 0}
    program = [good, Instruction(Opcode.VECTOR, {**good.values, **change}), good]
    want = check(bench.run(program, Traffic()), model, program)
    assert want.error == (ErrorCode.BAD_FIELD, 0) and len(want.out[0]) == 6


def test_halt() -> None:
    """After a halt nothing is read, posted, pushed or reported, and the unit is not busy."""
    for at in range(20, 400, 19):
        rng = Random(at)
        model = random_model(2, rng)
        bench = Bench(model, rng, queue_depth=SHALLOW)
        bench.load()
        program = [random_instruction(rng, model.config, elements=100) for _ in range(4)]
        seen = bench.run(program, Traffic(ready_0=0.5, ready_1=0.5), halt_at=at)
        want, completed = expected(model, program)
        assert len(seen.post_cycles) <= completed and all(cycle < at for cycle in seen.post_cycles)
        for k in range(2):
            assert seen.out[k] == want.out[k][:len(seen.out[k])]
            assert sum(cycle >= at for cycle in seen.out_cycles[k]) <= SHALLOW
        assert seen.error is None and not bench.unit["control__busy"]


@pytest.mark.parametrize("lanes", [1, 4, WIDEST])
def test_throughput(lanes: int) -> None:
    """One element a cycle, also from one instruction to the next where there is time to prepare it."""
    rng = Random(3)
    model = random_model(lanes, rng)
    bench = Bench(model, rng, queue_depth=SHALLOW)
    bench.load()
    long = vector([4, 3, 2, 2, 2, 2], {"acc": [1, 4, 12]}, emit_0=1, emit_1=1)
    seen = bench.run([long] * 3, Traffic())
    check(seen, model, [long] * 3)
    assert len(seen.drain_cycles) == 3 * 192
    assert seen.drain_cycles == list(range(seen.drain_cycles[0], seen.drain_cycles[0] + 3 * 192))
    for cycles in seen.out_cycles:
        assert cycles == list(range(cycles[0], cycles[0] + 3 * 192))

    bench = Bench(model, rng, queue_depth=SHALLOW)
    bench.load()
    short = vector([1], {}, emit_0=1)
    seen = bench.run([short] * 6, Traffic())
    check(seen, model, [short] * 6)
    assert {b - a for a, b in zip(seen.drain_cycles, seen.drain_cycles[1:], strict=False)} == {9}


def test_first_latency() -> None:
    """From a waiting instruction to its first read, and from a read to its beat at an output and to the post."""
    rng = Random(5)
    model = random_model(2, rng)
    bench = Bench(model, rng, queue_depth=SHALLOW)
    bench.load()
    seen = bench.run([vector([1], {}, emit_0=1)], Traffic())
    latency = VectorUnit.LATENCY
    assert seen.drain_cycles == [11]
    assert seen.post_cycles == [11 + latency]
    # The queue adds two cycles: one to write, one to read.
    assert seen.out_cycles[0] == [11 + latency + 2]


def test_back_pressure_fills_the_queue() -> None:
    """With no output ready the unit issues as many elements as are sure to find room, and goes on without loss."""
    rng = Random(9)
    model = random_model(2, rng)
    for ready_0, ready_1 in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        bench = Bench(model, rng, queue_depth=SHALLOW)
        bench.load()
        program = [vector([8, 8, 4], {"acc": [1], "group": [0, 0, 0]}, emit_0=1, emit_1=1)]
        seen = bench.run(program, Traffic(pause=(0, 500)) if not ready_0 + ready_1 else Traffic(
            ready_0=ready_0 or 0.02, ready_1=ready_1 or 0.02))
        check(seen, model, program)
        if not ready_0 + ready_1:
            early = sum(cycle < 500 for cycle in seen.drain_cycles)
            assert SHALLOW - VectorUnit.LATENCY - 2 <= early <= SHALLOW


def test_parameters() -> None:
    config = config_of(2)
    least = VectorUnit.LATENCY + 2
    with pytest.raises(ValueError, match=str(least - 1)):
        VectorUnit(config, queue_depth=least - 1)
    with pytest.raises(TypeError, match="'many'"):
        VectorUnit(config, queue_depth="many")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="None"):
        VectorUnit(None)  # type: ignore[arg-type]
