"""Every way in which a program can stop the emulator, and what is left of it afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, FORMATS, INSTRUCTION_ALIGNMENT, Instruction, Opcode, Target, assemble
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.errors import DeviceError, DeviceTimeout
from tests.runtime.programs import compute, end, lane_nest, nest, run, transfer, vector

MEMORY = 1 << 16
BASE = 1 << 12
CONFIG = Config(
    rows=8, lanes=4, streaming_depth=64, stationary_depth=64, accumulator_depth=32, operand_depth=64, data_width=64
)
BEAT = CONFIG.beat_bytes


@pytest.fixture
def device() -> Device:
    return EmulatorDevice(CONFIG, MEMORY, BASE)


def load_x(address: int = BASE, run: int = 2, **fields: int) -> Instruction:
    return transfer(Opcode.LOAD_X, address, run, **fields)


def fails(
    device: Device, code: ErrorCode, unit: Unit, *program: Instruction, text: str, index: int | None = None
) -> DeviceError:
    """Run a program (END is added) that stops with an error at its last instruction, or at ``index``."""
    with pytest.raises(DeviceError, match=text) as caught:
        run(device, [*program, end()])
    error = caught.value
    assert (error.code, error.unit) == (code, unit)
    assert error.instruction == (len(program) - 1 if index is None else index)
    for part in (code.name, unit.name, f"instruction {error.instruction}", f"{error.address:#x}"):
        assert part in str(error)
    return error


@pytest.mark.parametrize(
    "field", ["run", "count1", "count2", "count3", "x_count", "y_count", "z_count", "x_phases", "y_phases"]
)
def test_load_counts_of_zero(device: Device, field: str) -> None:
    fails(device, ErrorCode.BAD_FIELD, Unit.LOAD_X, load_x(**{**{"run": 2}, field: 0}), text=f"{field} is zero")


@pytest.mark.parametrize(
    "instruction, text",
    [
        (load_x(run=1 << 24), "run is 16777216"),
        (load_x(run=3), "6 words do not make whole vectors of 4"),
        (load_x(x_phases=3, x_phase=3), "x_phase 3 does not exist"),
        (load_x(y_phase=1), "y_phase 1 does not exist"),
        (load_x(target=9), "target 9 does not exist"),
        (load_x(target=Target.STATIONARY), "STATIONARY does not belong to LOAD_X"),
        (transfer(Opcode.LOAD_A, BASE, 2, target=Target.STREAMING), "STREAMING does not belong to LOAD_A"),
        (transfer(Opcode.LOAD_A, BASE, 2, target=Target.STATIONARY, planar=1), "planar does not apply to STATIONARY"),
        (transfer(Opcode.STORE_1, BASE, 0), "run is zero"),
        (transfer(Opcode.STORE_0, BASE, 1, count2=0), "count2 is zero"),
        (compute(a_rows=0), "a_rows is 0"),
        (compute(a_rows=9), "a_rows is 9"),
        (compute(lanes_total=1 << 24), "lanes_total is 16777216"),
        *((compute(**{f"{name}_count": 0}), f"{name}_count is zero") for name in ("b0", "b3", "s0", "s3", "l0", "l1")),
        *((vector(**{f"n{k}_count": 0}), f"n{k}_count is zero") for k in range(6)),
        (vector(sgd=1, reduce=1), "exclude each other"),
    ],
)
def test_bad_fields(device: Device, instruction: Instruction, text: str) -> None:
    fails(device, ErrorCode.BAD_FIELD, instruction.format.unit, instruction, text=text)


@pytest.mark.parametrize("opcode", [Opcode.LOAD_X, Opcode.LOAD_A, Opcode.STORE_0, Opcode.STORE_1])
def test_transfers_outside_memory_or_unaligned(device: Device, opcode: Opcode) -> None:
    unit, target = FORMATS[opcode].unit, {"target": Target.OPERAND_A} if opcode is Opcode.LOAD_A else {}
    sent = [vector(emit_0=1, emit_1=1, **nest("n", 6, [4]))]

    def failing(code: ErrorCode, address: int, text: str, run: int = 2, **fields: int) -> int:
        error = fails(device, code, unit, *sent, transfer(opcode, address, run, **target, **fields), text=text)
        device.reset()
        return error.address

    end_of_memory = BASE + MEMORY
    assert failing(ErrorCode.UNALIGNED, BASE + 4, "address 0x1004") == BASE + 4
    for k in (1, 2, 3):
        failing(ErrorCode.UNALIGNED, BASE, f"stride{k} -?0x4", **{f"stride{k}": -4})
    assert failing(ErrorCode.OUT_OF_WINDOW, BASE - BEAT, "2 beats at 0xff8") == BASE - BEAT
    last = end_of_memory - BEAT
    # The burst is named, as by the hardware.
    assert failing(ErrorCode.OUT_OF_WINDOW, last, "2 beats at 0x10ff8 are not between 0x1000 and") == end_of_memory
    assert failing(ErrorCode.OUT_OF_WINDOW, 1 << 32, "0x100000000 are not") == 1 << 32
    for beyond in (1 << 40, 1 << 44, (1 << 64) - BEAT):
        assert failing(ErrorCode.OUT_OF_WINDOW, beyond, f"{beyond:#x} has more than 40 bits") == 0
    # The first run that is outside is named, whichever level takes it there.
    assert failing(ErrorCode.OUT_OF_WINDOW, last - BEAT, "beats at", count1=2, stride1=BEAT) == end_of_memory
    below = {"count1": 2, "count2": 2, "stride1": BEAT, "stride2": -4 * BEAT}
    assert failing(ErrorCode.OUT_OF_WINDOW, BASE, "beats at", **below) == BASE - 4 * BEAT
    assert failing(ErrorCode.OUT_OF_WINDOW, BASE, "beats at", count3=3, stride3=MEMORY // 2) == end_of_memory


def test_load_outside_chip_memory_writes_nothing(device: Device) -> None:
    device.write(BASE, np.ones(1024, np.float32))
    lanes, width = CONFIG.lanes, CONFIG.vector_lanes
    cases = [
        (load_x(run=4, base=63), 64, "STREAMING"),
        (load_x(run=4, base=0, x_stride=-1), (1 << 24) - 1, "STREAMING"),
        (load_x(run=2, planar=1, base=64 * lanes - width, x_stride=1), 64 * lanes - width + 1, "STREAMING"),
        (transfer(Opcode.LOAD_A, BASE, 4, target=Target.STATIONARY, base=63), 64, "STATIONARY"),
        (transfer(Opcode.LOAD_A, BASE, 4, target=Target.OPERAND_C, base=61), 64, "OPERAND_C"),
    ]
    for instruction, address, name in cases:
        error = fails(device, ErrorCode.CHIP_ADDRESS, instruction.format.unit, instruction, text=f"outside {name}")
        assert error.address == address
        device.reset()
    state = device.state
    assert not state.streaming[:-1].any() and not state.stationary[:-1].any() and not state.operands.any()


@pytest.mark.parametrize(
    "instruction, address",
    [
        (compute(acc_base=-1), 0xFFFF),
        (compute(**nest("s", 4, [33], acc=[1])), 32),
        (compute(acc_base=20, **nest("b", 4, [5], acc=[4])), 32),
        (compute(ones=1, ones_acc=32), 32),
        (vector(acc_base=32), 32),
        (vector(group_base=4), 4),
        (vector(group_base=-1), 0xFF),
        # The first element counts, then the order acc, group, c, a, b.
        (vector(acc_base=31, add_b=1, b_base=62, **nest("n", 6, [4], acc=[1], b=[2])), 32),
        (vector(acc_base=30, add_b=1, b_base=62, **nest("n", 6, [4], acc=[1], b=[2])), 64),
        (vector(source=1, c_base=-1, acc_base=99, mask_a=1, a_base=64), 0xFFFF),
        (vector(source=1, c_base=64), 64),
        (vector(mask_a=1, a_base=-2), 0xFFFE),
        (vector(sgd=1, a_base=64), 64),
        (vector(add_b=1, b_base=64), 64),
    ],
)
def test_addresses_outside_accumulators_and_operands(device: Device, instruction: Instruction, address: int) -> None:
    error = fails(device, ErrorCode.CHIP_ADDRESS, instruction.format.unit, instruction, text="does not exist|not exist")
    assert error.address == address


@pytest.mark.parametrize("instruction", [compute(bank=2), vector(bank=3)])
def test_banks_that_do_not_exist(instruction: Instruction) -> None:
    device = EmulatorDevice(replace(CONFIG, accumulator_banks=2), MEMORY, BASE)
    fails(device, ErrorCode.BAD_FIELD, instruction.format.unit, instruction, text="bank [23] does not exist")


def test_absent_elements_read_nothing(device: Device) -> None:
    run(device, [vector(acc_base=-5, group_base=-1, row_base=-1), vector(source=1, c_base=99, col_base=1),
                 vector(reduce=1, match_a=1, a_base=99, row_base=1), end()])


@pytest.mark.parametrize(
    "fields, text",
    [
        # Neither one address for all lanes nor successive ones.
        (lane_nest([4, 1], v=[2, 0, 0]), "neither a channel vector nor a pixel vector"),
        (lane_nest([2, 1], v=[1, 3, 0]), "neither a channel vector nor a pixel vector"),
        # Only the second table of the nest is wrong.
        (lane_nest([6, 1], v=[1, 7, 0]) | nest("b", 4, [2]) | {"lanes_per_block": 1}, "table 1"),
        (lane_nest([4, 1], v=[0, 0, 0]) | {"lane_base": 1}, "channel vector, but the lane"),
        (lane_nest([4, 1], v=[0, 0, 0]) | nest("s", 4, [2], acc=[1], lane=[1]), "channel vector, but the lane"),
        (lane_nest([4, 1], v=[0, 0, 0]) | {"planar": 1}, "lane 1 of planar table 0"),
        (lane_nest([4, 1], v=[1, 0, 0]) | {"planar": 1, "lane_base": 1}, "planar vector with a lane"),
    ],
)
def test_bank_conflicts(device: Device, fields: dict[str, int], text: str) -> None:
    fails(device, ErrorCode.BAD_FIELD, Unit.COMPUTE, compute(**fields), text=text)


def test_lanes_that_do_not_exist_have_no_conflict(device: Device) -> None:
    run(device, [compute(lanes_total=2, **lane_nest([2, 1], v=[1, 3, 0])), end()])


@pytest.mark.parametrize(
    "fields, text",
    [
        (nest("s", 4, [2], acc=[0]), "occurs twice"),
        (nest("s", 4, [2, 2], acc=[1, 1]), "occurs twice"),
        (nest("s", 4, [2], acc=[1]) | {"ones": 1, "ones_acc": 1}, "occurs twice"),
        # Words 0 2 1 3, then 1 3 2 4: word 3 comes earlier.
        (nest("s", 4, [2, 2], acc=[2, 1]) | nest("b", 4, [2], acc=[1]), "earlier"),
        (nest("s", 4, [4], acc=[1]) | nest("b", 4, [2], acc=[2]), "earlier"),
    ],
)
def test_accumulator_order(device: Device, fields: dict[str, int], text: str) -> None:
    fails(device, ErrorCode.BAD_FIELD, Unit.COMPUTE, compute(**fields), text=text)


def test_order_of_chained_instructions(device: Device) -> None:
    def words(base: int, **fields: int) -> Instruction:
        return compute(acc_base=base, **nest("s", 4, [4], acc=[1]), **fields)

    run(device, [words(4), words(4, chained=1), words(2, chained=1), words(9, chained=1), words(9, bank=1, chained=1),
                 words(6), end()])
    run(device, [words(4), Instruction(Opcode.BARRIER, {}), words(5, chained=1), end()])
    fails(device, ErrorCode.BAD_FIELD, Unit.COMPUTE, words(4), words(5, chained=1), text="earlier")


def test_what_waits_for_earlier_instructions_is_always_satisfied(device: Device) -> None:
    everything = dict.fromkeys(AFTER.values(), 1)
    run(device, [load_x(**everything), load_x(after_load_x=31), compute(**everything), vector(after_compute=2), end()])
    for name in AFTER.values():
        for opcode in (Opcode.BARRIER, Opcode.END):
            wrong = load_x(), Instruction(opcode, {name: 1})
            error = fails(device, ErrorCode.BAD_FIELD, Unit.COMMAND, *wrong, text="waits for all units")
            words = FORMATS[Opcode.LOAD_X].words + 2 * FORMATS[Opcode.END].words
            start = (BASE + MEMORY - 4 * words) // INSTRUCTION_ALIGNMENT * INSTRUCTION_ALIGNMENT
            assert error.address == start + 4 * FORMATS[Opcode.LOAD_X].words
            device.reset()


def test_store_queues(device: Device) -> None:
    two = vector(emit_0=1, **nest("n", 6, [2]))
    for opcode, unit, wanted, sent in ((Opcode.STORE_0, Unit.STORE_0, 3, 2), (Opcode.STORE_1, Unit.STORE_1, 1, 0)):
        store = transfer(opcode, BASE, wanted)
        fails(device, ErrorCode.WATCHDOG, unit, two, store, text=f"wants {wanted} beats, of which {sent}")
        device.reset()
    fails(device, ErrorCode.BAD_FIELD, Unit.STORE_0, two, transfer(Opcode.STORE_0, BASE, 3), two,
          text="program order: the store wants 3 beats, of which 2", index=1)  # fmt: skip
    device.reset()
    store = transfer(Opcode.STORE_0, BASE, 1)
    program = [two, store, Instruction(Opcode.BARRIER, {})]
    fails(device, ErrorCode.WATCHDOG, Unit.COMMAND, *program, text="1 beats for STORE_0")
    device.reset()
    fails(device, ErrorCode.WATCHDOG, Unit.COMMAND, vector(emit_1=1), text="1 beats for STORE_1", index=1)
    device.reset()
    run(device, [two, transfer(Opcode.STORE_0, BASE, 2), end()])


def fails_raw(device: Device, words: np.ndarray, code: ErrorCode, index: int, offset: int, text: str) -> None:
    address = BASE + MEMORY // 2
    with pytest.raises(DeviceError, match=text) as caught:
        run(device, words, address)
    error = caught.value
    assert (error.code, error.unit, error.instruction, error.address) == (code, Unit.COMMAND, index, address + offset)
    device.reset()


def test_encodings(device: Device) -> None:
    good = assemble([vector(), end()])
    size = 4 * FORMATS[Opcode.VECTOR].words
    for opcode in (0, 3, 0xFF):
        bad = good.copy()
        bad[size // 4] = bad[size // 4] & np.uint32(0xFFFFFF00) | np.uint32(opcode)
        fails_raw(device, bad, ErrorCode.BAD_OPCODE, 1, size, f"opcode {opcode:#04x}")
    bad = good.copy()
    bad[0] ^= np.uint32(1 << 8)
    fails_raw(device, bad, ErrorCode.BAD_LENGTH, 0, 0, "the first VECTOR has 41 words, not 40")
    # Programs are fetched in whole beats, here of two words.
    assert len(good) % 2
    fails_raw(device, good[:-1], ErrorCode.BAD_LENGTH, 1, size, "past the end")
    even = assemble([load_x(), end()])
    fails_raw(device, even[:-2], ErrorCode.BAD_LENGTH, 1, 4 * (len(even) - 2), "no END")
    fails_raw(device, good[:-4], ErrorCode.BAD_LENGTH, 0, 0, "past the end")
    fails_raw(device, good[:0], ErrorCode.BAD_LENGTH, 0, 0, "0 beats")
    device.write(BASE, good)
    device.run(BASE, 4 * len(good) - 3)


@pytest.mark.parametrize("length, good", [(0, False), (1, False), (2, True), (41, True), (42, False), (255, False)])
def test_lengths_of_later_instructions(device: Device, length: int, good: bool) -> None:
    """A short instruction has the words of the one before where it ends: here all but its header."""
    first, words = vector(emit_0=1).encode(), FORMATS[Opcode.VECTOR].words
    second = [first[0] & 0xFF | length << 8, *first[1:], *[0] * 255][:max(2, length)]
    stores = assemble([transfer(Opcode.STORE_0, BASE, 2), end()])
    program = np.concatenate((np.array([*first, *second], np.uint32), stores))
    if good:
        run(device, program)
    else:
        fails_raw(device, program, ErrorCode.BAD_LENGTH, 1, 4 * words, f"VECTOR has 2 to 41 words, not {length}")


def test_instructions_before_a_bad_one_take_effect(device: Device) -> None:
    device.write(BASE, np.arange(4, dtype=np.float32))
    bad = assemble([load_x(), end()])
    bad[-2] &= ~np.uint32(0xFF)
    fails_raw(device, bad, ErrorCode.BAD_OPCODE, 1, 4 * FORMATS[Opcode.LOAD_X].words, "opcode 0x00")
    assert device.state.streaming[:4].tolist() == [0, 1, 2, 3]


def test_where_programs_may_be(device: Device) -> None:
    words = assemble([end()])
    device.write(BASE + BEAT, words)
    device.run(BASE + BEAT, 8)
    for address, nbytes, code, reported in (
        (BASE + 4, 8, ErrorCode.UNALIGNED, BASE + 4), (BASE - 64, 72, ErrorCode.OUT_OF_WINDOW, BASE - 64),
        (BASE + MEMORY, 8, ErrorCode.OUT_OF_WINDOW, BASE + MEMORY), (BASE, 0, ErrorCode.BAD_LENGTH, BASE),
        (BASE, MEMORY + 4, ErrorCode.OUT_OF_WINDOW, BASE + MEMORY), (BASE, BEAT << 24, ErrorCode.BAD_LENGTH, BASE),
        (1 << 40, 8, ErrorCode.OUT_OF_WINDOW, 1 << 40),
    ):  # fmt: skip
        with pytest.raises(DeviceError) as caught:
            device.run(address, nbytes)
        assert (caught.value.code, caught.value.unit, caught.value.instruction) == (code, Unit.COMMAND, 0)
        assert caught.value.address == reported
        device.reset()


MOST = 0xFFFF
HUGE = {
    "load": load_x(run=2, count1=MOST, count2=MOST, count3=MOST, x_count=1),
    "compute, blocks": compute(**{f"b{k}_count": MOST for k in range(4)}),
    "compute, both": compute(**nest("b", 4, [MOST]) | nest("s", 4, [16, 2], acc=[1, 16]) | {"b1_count": MOST}),
    "vector": vector(**{f"n{k}_count": MOST for k in range(6)}),
}
"""More than anyone would wait for, and nothing wrong."""


@pytest.mark.parametrize("name", HUGE)
def test_endless_work_is_given_up_at_once(device: Device, name: str) -> None:
    with pytest.raises(DeviceTimeout, match="instruction 0: an instruction of [0-9]+ .* than the|hardly"):
        run(device, [HUGE[name], end()])
    device.reset()


@pytest.mark.parametrize(
    "instruction, code, address",
    [
        (load_x(run=2, count1=MOST, count2=MOST, count3=MOST, stride3=4096), ErrorCode.OUT_OF_WINDOW, BASE + MEMORY),
        (load_x(run=2, count1=MOST, count2=MOST, count3=2, stride3=-4096), ErrorCode.OUT_OF_WINDOW, BASE - 4096),
        (load_x(run=2, count1=MOST, count2=MOST, count3=MOST), ErrorCode.CHIP_ADDRESS, 64),
        (transfer(Opcode.STORE_0, BASE, 2, count1=MOST, count2=MOST, count3=MOST), ErrorCode.WATCHDOG, 0),
        (compute(**{f"s{k}_count": MOST for k in range(4)}, s0_acc=1), ErrorCode.CHIP_ADDRESS, 32),
        (compute(**{f"b{k}_count": MOST for k in range(4)}, b0_acc=1), ErrorCode.CHIP_ADDRESS, 32),
        (vector(**{f"n{k}_count": MOST for k in range(6)}, n0_acc=1), ErrorCode.CHIP_ADDRESS, 32),
    ],
)
def test_huge_counts_stop_at_the_first_error(
    device: Device, instruction: Instruction, code: ErrorCode, address: int
) -> None:
    error = fails(device, code, instruction.format.unit, instruction, text=code.name)
    assert error.address == address


def test_no_run_without_reset(device: Device) -> None:
    device.set_scalars(0.5, 0.0, 0.0)
    fails(device, ErrorCode.BAD_FIELD, Unit.VECTOR, vector(emit_0=1), vector(sgd=1, reduce=1), text="exclude")
    with pytest.raises(DeviceError, match="needs a reset after: sgd and reduce") as caught:
        run(device, [end()])
    assert (caught.value.code, caught.value.unit, caught.value.instruction) == (ErrorCode.BAD_FIELD, Unit.VECTOR, 1)
    device.reset()
    run(device, [end()])  # the beat that was sent before the error is gone
    device.write(BASE, np.full(2, 4.0, np.float32))
    run(device, [
        transfer(Opcode.LOAD_A, BASE, 1, target=Target.OPERAND_A),
        transfer(Opcode.LOAD_A, BASE, 1, target=Target.OPERAND_C),
        vector(source=1, sgd=1, emit_0=1), transfer(Opcode.STORE_0, BASE + 64, 1), end(),
    ])
    assert device.read_float32(BASE + 64, 2).tolist() == [2.0, 2.0]


def test_flags(device: Device) -> None:
    device.write(BASE, np.array([3e38, np.inf], np.float32))
    load = [transfer(Opcode.LOAD_A, BASE, 1, target=target) for target in (Target.OPERAND_A, Target.OPERAND_C)]
    assert device.flags() == {"overflow": False, "invalid": False}
    run(device, [*load, vector(source=1, add_a=1), end()])
    assert device.flags() == {"overflow": True, "invalid": False}
    device.reset()
    assert device.flags()["overflow"]
    device.clear_flags()
    device.set_scalars(1.0, -1.0, 0.0)
    run(device, [*load, vector(source=1, add_a=1, scale_a=1), end()])
    assert device.flags() == {"overflow": False, "invalid": True}


def test_host_access(device: Device) -> None:
    for address, nbytes in ((BASE - 1, 1), (BASE + MEMORY - 3, 4), (BASE, MEMORY + 1)):
        with pytest.raises(ValueError, match="are not in memory"):
            device.read(address, nbytes)
    with pytest.raises(ValueError, match="nbytes=-1: must be at least 0"):
        device.read(BASE, -1)
    with pytest.raises(ValueError, match="are not in memory"):
        device.write(BASE + MEMORY - 4, np.zeros(2, np.float32))
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    device.write(BASE + 8, values.T)
    assert device.read_float32(BASE + 8, (3, 2)).tolist() == values.T.tolist()
    assert device.memory_bytes == MEMORY
    with pytest.raises(ValueError, match="40 address bits do not reach so far"):
        EmulatorDevice(CONFIG, 1 << 41)
    with pytest.raises(ValueError, match="no multiple of 8"):
        EmulatorDevice(CONFIG, MEMORY, 4)
