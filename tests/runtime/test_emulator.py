"""The emulator against docs/execution.md written as plain loops; random instructions, all bits compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode, Target
from eftrain_hdl.numerics import BF16, FP32, fused_dot, round_to_format
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.emulator.dots import block_dots
from tests.runtime.programs import compute, end, lane_nest, nest, run, transfer, vector
from tests.runtime.reference import Reference

# No shrinking: the examples are small, and comparing all memories hundreds of times would take minutes.
RANDOM = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
MEMORY = 1 << 16


def config(rows: int = 4, lanes: int = 4, data_width: int | None = None, operand=FP32) -> Config:
    return Config(
        rows=rows, lanes=lanes, operand=operand, data_width=data_width, streaming_depth=64, stationary_depth=64,
        accumulator_depth=256, operand_depth=64,
    )


CONFIGS = st.sampled_from([
    config(4, 4), config(8, 4), config(2, 8), config(16, 4, 64), config(1, 2), config(4, 8, 32, BF16), config(8, 8, 64),
])


def random_words(rng: np.random.Generator, count: int, strange: bool) -> np.ndarray:
    """FP32 bits: mixed sizes and zeros; if ``strange``, also very large and small numbers, Inf, NaN and subnormals."""
    values = (rng.standard_normal(count) * 2.0 ** rng.integers(-12, 12, count)).astype(np.float32)
    values[rng.random(count) < 0.1] = 0.0
    words = values.view(np.uint32).copy()
    if strange:
        some = rng.random(count) < 0.03
        words[some] = rng.integers(0, 1 << 32, some.sum(), dtype=np.uint32)
        ends = [
            0x7F800000, 0xFF800000, 0x7FC12345, 0x7F812345, 0x80000000, 0x7F7FFFFF, 0xFF000000, 0x00000001, 0x80812345,
        ]
        some = rng.random(count) < 0.03
        words[some] = rng.choice(np.array(ends, np.uint32), some.sum())
    return words


class Pair:
    """The emulator and the loops, with the same contents everywhere."""

    def __init__(self, sizes: Config, seed: int, strange: bool = False):
        print(f"seed {seed}, {sizes.as_dict()}")
        self.rng = np.random.default_rng(seed)
        self.config = sizes
        self.device = EmulatorDevice(sizes, MEMORY)
        self.device.write(0, random_words(self.rng, MEMORY // 4, strange))
        self.reference = Reference(sizes, self.device.read(0, MEMORY))
        scalars = dict(zip(("learning_rate", "weight_decay", "momentum"), self.rng.standard_normal(3), strict=True))
        self.device.set_scalars(**scalars)
        self.reference.scalars = {name: np.float32(value) for name, value in scalars.items()}
        state = self.device.state
        for memory, loops in self.buffers():
            words = random_words(self.rng, len(memory) - 2, strange).view(np.float32)
            memory[:-2] = round_to_format(words, sizes.operand)
            loops[:] = [list(row) for row in memory[:-2].reshape(-1, sizes.lanes)]
        flat = random_words(self.rng, state.accumulators.size, strange).view(np.float32)
        state.accumulators[:] = round_to_format(flat, FP32).reshape(state.accumulators.shape)
        self.reference.accumulators = state.accumulators.view(np.uint32).tolist()
        state.operands[:] = random_words(self.rng, state.operands.size, strange).reshape(state.operands.shape)
        self.reference.operands = state.operands.tolist()

    def buffers(self):
        """The two buffers of the emulator, each with that of the loops."""
        yield self.device.state.streaming, self.reference.streaming
        yield self.device.state.stationary, self.reference.stationary

    def check(self, *program: Instruction) -> None:
        """Run a program on both and compare everything that it can have changed."""
        result = run(self.device, [*program, end()])
        self.reference.vectors = 0
        for instruction in program:
            self.reference.execute(instruction)
        state, reference = self.device.state, self.reference
        for memory, loops in self.buffers():
            expected = np.array(loops, np.float32).reshape(-1)
            np.testing.assert_array_equal(memory[:-2].view(np.uint32), expected.view(np.uint32))
            assert memory[-2:].tolist() == [0.0, 1.0]
        np.testing.assert_array_equal(state.accumulators.view(np.uint32), np.array(reference.accumulators, np.uint32))
        np.testing.assert_array_equal(state.operands, np.array(reference.operands, np.uint32))
        used = MEMORY - 8192  # the program lies above
        dram = np.array(reference.dram, np.uint32)
        np.testing.assert_array_equal(self.device.read(0, used).view(np.uint32), dram[:used // 4])
        assert self.device.flags() == reference.flags._asdict()
        assert result.counters.get("MAC_CYCLES", 0) == reference.vectors
        assert not any(reference.queues)


@RANDOM
@given(sizes=CONFIGS, seed=st.integers(0, 1 << 32), data=st.data())
def test_load(sizes: Config, seed: int, data: st.DataObject) -> None:
    pair = Pair(sizes, seed, strange=True)
    target = data.draw(st.sampled_from(Target))
    planar = data.draw(st.booleans()) if target is Target.STREAMING else False
    group = sizes.vector_beats if target <= Target.STATIONARY and not planar else 1
    runs = [data.draw(st.integers(1, 3)) for _ in range(3)]
    length = data.draw(st.integers(1, 3)) * group
    small = st.integers(-3, 3)
    fields = {f"stride{k}": data.draw(small) * sizes.beat_bytes for k in (1, 2, 3)}
    fields |= {f"count{k + 1}": count for k, count in enumerate(runs)}
    fields |= {name: data.draw(st.integers(1, 4)) for name in ("x_count", "y_count", "z_count", "x_phases", "y_phases")}
    fields |= {f"{axis}_phase": data.draw(st.integers(0, fields[f"{axis}_phases"] - 1)) for axis in "xy"}
    names = ("x_stride", "x_phase_stride", "y_stride", "y_phase_stride", "z_stride", "w_stride")
    fields |= {name: data.draw(small) for name in names}
    opcode = Opcode.LOAD_X if target is Target.STREAMING else Opcode.LOAD_A
    instruction = transfer(opcode, 8192, length, target=target, planar=planar, base=0, **fields)
    items = length * runs[0] * runs[1] * runs[2] // group
    addresses = [pair.reference.item_address(instruction, k) for k in range(items)]
    size = 64 * sizes.lanes - sizes.vector_lanes + 1 if planar else 64
    low, high = min(addresses), max(addresses)
    if high - low >= size:
        return
    base = data.draw(st.integers(-low, size - 1 - high))
    pair.check(Instruction(opcode, {**instruction.values, "base": base}))


@st.composite
def compute_instructions(draw, sizes: Config) -> Instruction:
    lanes, small = sizes.lanes, st.integers(-3, 3)
    counts, stream_counts = ([draw(st.sampled_from([1, 1, 2, 3])) for _ in range(4)] for _ in range(2))
    # Accumulator words of a block: mixed radix over a random order of the levels and random directions.
    stride, place = [0] * 4, 1
    for level in draw(st.permutations(range(4))):
        stride[level] = place * draw(st.sampled_from([1, -1]))
        place *= stream_counts[level]
    low = sum(min(0, (count - 1) * step) for count, step in zip(stream_counts, stride, strict=True))
    # Blocks go to the same words or to words of their own; 256 words have room for two sets.
    block_stride, room = [0] * 4, 256 // (place + 1)
    for level in draw(st.permutations(range(4))):
        if draw(st.booleans()) and room >= counts[level]:
            block_stride[level] = (place + 1) * (256 // (place + 1) // room)
            room //= counts[level]
    form = draw(st.sampled_from(["channel", "pixel", "planar"]))
    table = [draw(st.integers(1, 2 * lanes)), draw(st.integers(1, 4))]
    wraps = st.integers(-1, 1).map(lambda n: n * lanes)
    lane_v = [0, 0, 0]
    if form != "channel":
        lane_v = [1 + draw(wraps), table[0] + draw(wraps), table[0] * table[1] + draw(wraps)]
    fields = dict(
        transposed=draw(st.booleans()), planar=form == "planar", init=draw(st.booleans()),
        lanes_per_block=draw(st.booleans()), ones=draw(st.booleans()),
        bank=draw(st.integers(0, sizes.accumulator_banks - 1)),
        a_rows=draw(st.integers(1, sizes.rows)), a_base=draw(st.integers(-70, 70)), a_lane=draw(st.integers(0, 9)),
        a_tile=draw(st.integers(-5, 20)), v_base=draw(st.integers(-99, 99)), row_base=draw(small), col_base=draw(small),
        acc_base=-low, ones_acc=place + low, row_limit=draw(st.integers(0, 6)), col_limit=draw(st.integers(0, 6)),
        lanes_total=draw(st.integers(1, 4 * lanes)),
    )
    lane = [0] * 4
    if form == "pixel":
        fields["lane_base"] = draw(st.integers(-8, 8))
        lane = [draw(small) for _ in range(4)]
    fields |= nest("b", 4, counts, acc=block_stride,
                   **{q: [draw(small) for _ in range(4)] for q in ("a", "v", "row", "col")})
    fields |= nest("s", 4, stream_counts, acc=stride, lane=lane,
                   **{q: [draw(small) for _ in range(4)] for q in ("v", "row", "col")})
    fields |= lane_nest(table, v=lane_v, **{q: [draw(st.integers(-1, 1)) for _ in range(3)] for q in ("row", "col")})
    return compute(**{name: int(value) for name, value in fields.items()})


@RANDOM
@given(sizes=CONFIGS, seed=st.integers(0, 1 << 32), strange=st.booleans(), data=st.data())
def test_compute(sizes: Config, seed: int, strange: bool, data: st.DataObject) -> None:
    pair = Pair(sizes, seed, strange)
    instruction = data.draw(compute_instructions(sizes))
    pair.check(instruction)


def test_compute_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that add to the same words, split over several calls of the dot product."""
    monkeypatch.setattr("eftrain_hdl.runtime.emulator.compute._CHUNK", 40)
    pair = Pair(config(4, 4), 5)
    blocks = nest("b", 4, [3, 4, 2], a=[4, 1, 2], v=[1, 4, 2], acc=[0, 0, 3])
    stream = nest("s", 4, [3], v=[1], acc=[1])
    for init in (0, 1):
        pair.check(compute(init=init, a_rows=4, **blocks, **stream))


def test_blocks_may_share_words_that_come_later() -> None:
    pair = Pair(config(4, 4), 6)
    fields = nest("b", 4, [5], a=[4], acc=[-2]) | nest("s", 4, [6], v=[1], acc=[1])
    pair.check(compute(a_rows=4, acc_base=8, **fields))
    pair.check(compute(a_rows=4, acc_base=8, chained=1, **fields))


@pytest.mark.parametrize("transposed", [0, 1])
def test_weight_gradient(transposed: int) -> None:
    """Pixel vectors of several lanes, the last block only partly valid, and the vector of ones."""
    pair = Pair(config(8, 4), 8 + transposed)
    pair.check(compute(
        transposed=transposed, init=1, lanes_per_block=1, ones=1, ones_acc=12, a_rows=7, a_tile=9, a_lane=1, v_base=5,
        row_base=-1, lane_base=1, row_limit=2, col_limit=5, lanes_total=10,
        **nest("b", 4, [3], a=[4]), **nest("s", 4, [3, 4], lane=[1], v=[0, 1], col=[0, 1], acc=[1, 3]),
        **lane_nest([5, 2], v=[1, 5, 0], row=[0, 1, 0], col=[1, 0, 0]),
    ))


def test_quantities_wrap() -> None:
    """Coordinates at the ends of 16 bits, addresses at the ends of 24 bits."""
    pair = Pair(config(4, 4), 7)
    pair.check(compute(
        a_rows=4, a_base=-(1 << 23), v_base=(1 << 23) - 2, row_base=32765, col_base=-2,
        row_limit=0xFFFF, col_limit=3, **nest("b", 4, [2], a=[-3], v=[5]),
        **nest("s", 4, [5, 6], v=[1, 3], row=[1, 0], col=[0, 1], acc=[1, 5]),
    ))


@st.composite
def vector_instructions(draw, sizes: Config) -> Instruction:
    counts = [draw(st.integers(1, 3)) for _ in range(6)]
    small = st.integers(-2, 2)
    stride = {}
    fields = {}
    flags = ("source", "mask_a", "match_a", "add_a", "scale_a", "add_b", "scale_b", "relu", "reduce", "gate")
    for name in (*flags, "sgd", "emit_0", "emit_1"):
        fields[name] = int(draw(st.booleans()))
    fields["bank"] = draw(st.integers(0, sizes.accumulator_banks - 1))
    if fields["reduce"]:
        fields["sgd"] = 0
    # Addresses stay inside their memories; a group can only vary on one level.
    for name in ("acc", "a", "b", "c", "index"):
        stride[name] = [draw(small) for _ in range(6)]
        low, high = _extent(counts, stride[name])
        fields[f"{name}_base"] = draw(st.integers(-low, (255 if name == "acc" else 63) - high))
    stride["group"] = [0] * 6
    groups = sizes.rows // sizes.vector_lanes
    level = draw(st.integers(0, 5))
    if counts[level] <= groups:
        stride["group"][level] = 1
    for name in ("row", "col", "y", "x"):
        stride[name] = [draw(small) for _ in range(6)]
        fields[f"{name}_base"] = draw(st.integers(-1, 3))
        fields[f"{name}_limit"] = draw(st.integers(1, 6))
    return vector(**fields, **nest("n", 6, counts, **stride))


def _extent(counts: list[int], stride: list[int]) -> tuple[int, int]:
    corners = [(count - 1) * step for count, step in zip(counts, stride, strict=True)]
    return sum(min(0, corner) for corner in corners), sum(max(0, corner) for corner in corners)


@RANDOM
@given(sizes=CONFIGS, seed=st.integers(0, 1 << 32), strange=st.booleans(), data=st.data())
def test_vector(sizes: Config, seed: int, strange: bool, data: st.DataObject) -> None:
    pair = Pair(sizes, seed, strange)
    instruction = data.draw(vector_instructions(sizes))
    operands = pair.device.state.operands
    if instruction["match_a"]:
        # Random words never match an index; small numbers do.
        operands[0] = pair.rng.integers(0, 40, operands[0].shape)
        pair.reference.operands[0] = operands[0].tolist()
    probe = Reference(sizes, pair.device.read(0, MEMORY))
    probe.operands, probe.accumulators = pair.reference.operands, pair.reference.accumulators
    probe.vector(instruction)
    stores = [
        transfer(Opcode(Opcode.STORE_0 + k), 1024 + 16384 * k, len(queue))
        for k, queue in enumerate(probe.queues) if queue
    ]
    pair.check(instruction, *stores)


@RANDOM
@given(sizes=CONFIGS, seed=st.integers(0, 1 << 32), data=st.data())
def test_store(sizes: Config, seed: int, data: st.DataObject) -> None:
    """Any runs, also such that overlap, from several instructions' beats."""
    pair = Pair(sizes, seed)
    counts = [data.draw(st.integers(1, 3)) for _ in range(3)]
    length = data.draw(st.integers(1, 3))
    beats = length * counts[0] * counts[1] * counts[2]
    fields = {f"stride{k}": data.draw(st.integers(-5, 5)) * sizes.beat_bytes for k in (1, 2, 3)}
    fields |= {f"count{k + 1}": count for k, count in enumerate(counts)}
    opcode = data.draw(st.sampled_from([Opcode.STORE_0, Opcode.STORE_1]))
    emit = {f"emit_{opcode - Opcode.STORE_0}": 1}
    cut = data.draw(st.integers(0, beats - 1))
    sent = [
        vector(**emit, acc_base=at, **nest("n", 6, [count], acc=[1]))
        for at, count in ((0, cut), (cut, beats - cut)) if count
    ]
    pair.check(*sent, transfer(opcode, 8192, length, **fields))


@RANDOM
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 40), st.sampled_from([2, 4, 16]), st.integers(0, 1 << 32),
       st.booleans(), st.sampled_from([(FP32, None), (FP32, 44), (BF16, None)]))
def test_block_dots(blocks, rows, size, lanes, seed, strange, form) -> None:
    fmt, window = form
    rng = np.random.default_rng(seed)
    a, b = (
        round_to_format(random_words(rng, int(np.prod(shape)), strange).view(np.float32), fmt).reshape(shape)
        for shape in ((blocks, rows, lanes), (blocks, size, lanes))
    )
    value, flags = block_dots(a, b, fmt, window)
    expected, expected_flags = fused_dot(a[:, None], b[:, :, None], fmt, window)
    np.testing.assert_array_equal(value.view(np.uint32), expected.view(np.uint32))
    assert flags == expected_flags


def test_a_second_run_gives_the_same() -> None:
    """Plans are kept between runs; what they read is not."""
    sizes = config(4, 4)
    pair = Pair(sizes, 11)
    program = [
        transfer(Opcode.LOAD_X, 0, 8, target=Target.STREAMING),
        transfer(Opcode.LOAD_A, 4096, 4, target=Target.STATIONARY),
        compute(a_rows=4, init=1, after_load_a=1, **nest("s", 4, [8], v=[1], acc=[1])),
        vector(emit_0=1, relu=1, **nest("n", 6, [8], acc=[1])),
        transfer(Opcode.STORE_0, 0, 8),
    ]
    for _ in range(3):
        pair.check(*program)


def test_counters_and_result() -> None:
    device = EmulatorDevice(config(4, 4), MEMORY)
    result = run(device, [
        transfer(Opcode.LOAD_X, 0, 8, target=Target.STREAMING),
        transfer(Opcode.LOAD_A, 0, 2, count1=3, target=Target.OPERAND_B),
        compute(ones=1, ones_acc=9, **nest("b", 4, [2]), **nest("s", 4, [3], acc=[1])),
        vector(emit_0=1, emit_1=1), transfer(Opcode.STORE_0, 0, 1), transfer(Opcode.STORE_1, 64, 1), end(),
    ])
    assert result.cycles is None and result.timestamps == []
    assert result.counters == {
        "LOAD_X_BEATS": 8, "LOAD_A_BEATS": 6, "MAC_CYCLES": 8, "STORE_0_BEATS": 1, "STORE_1_BEATS": 1,
    }
