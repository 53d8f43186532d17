"""Programs that the hardware refuses: RTL and emulator stop with the same code, unit, address and instruction."""

from __future__ import annotations

import numpy as np
import pytest

from eftrain_hdl.isa import Instruction, Opcode, Target, assemble
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.errors import DeviceError
from tests.runtime.programs import compute, end, nest, transfer, vector
from tests.system.test_corners import CONFIG, MEMORY, PROGRAM, RESULTS, devices

BEAT = CONFIG.beat_bytes
MOST = 0xFFFF
HUGE = {"count1": MOST, "count2": MOST, "count3": MOST}


def load_x(address: int = 0, run: int = 4, **fields: int) -> Instruction:
    return transfer(Opcode.LOAD_X, address, run, **fields)


def load_a(address: int = 0, run: int = 4, **fields: int) -> Instruction:
    return transfer(Opcode.LOAD_A, address, run, **{"target": Target.STATIONARY, **fields})


BARRIER = Instruction(Opcode.BARRIER, {})
SENT = vector(emit_0=1, emit_1=1, **nest("n", 6, [4]))
REFUSED: dict[str, list[Instruction]] = {
    "address with bit 63": [load_x(1 << 63)],
    "address with all high bits": [load_a((1 << 64) - BEAT)],
    "address beyond the width": [load_x(1 << CONFIG.address_width)],
    "address beyond the window": [load_x(MEMORY)],
    "stored beyond the width": [SENT, transfer(Opcode.STORE_0, 1 << 63, 4)],
    "stored beyond the window": [SENT, transfer(Opcode.STORE_1, MEMORY + 4096, 4)],
    "first bursts inside": [load_x(MEMORY - 32 * BEAT, 64)],
    "run behind the window": [load_x(MEMORY - 64, 2, count1=5, stride1=16)],
    "run before the window": [load_x(64, 2, count1=2, count2=9, stride1=32, stride2=-64)],
    "huge counts leave the window": [load_x(0, 2, **HUGE, stride1=4096, x_stride=0)],
    "huge counts leave the buffer": [load_x(0, 2, **HUGE)],
    "huge sums": [compute(**{f"s{k}_count": MOST for k in range(4)}, s0_acc=1)],
    "huge blocks": [compute(**{f"b{k}_count": MOST for k in range(4)}, b0_acc=1)],
    "huge elements": [vector(**{f"n{k}_count": MOST for k in range(6)}, n0_acc=1)],
    "unaligned": [load_x(4)],
    "unaligned stride of one run": [load_a(stride3=4)],
    "bad field before window and alignment": [load_x(1 << 63, 0)],
    "window before alignment": [load_x((1 << 63) + 4)],
    "a load that ends inside an item": [load_x(run=5)],
    "count of zero": [vector(n5_count=0)],
    "bank that does not exist, group that does not": [vector(group_base=-1)],
    "what a barrier waits for": [load_x(), Instruction(Opcode.BARRIER, {"after_load_x": 1})],
    "what the end waits for": [load_x(), BARRIER, Instruction(Opcode.END, {"after_store_1": 31})],
    "beats that nobody sends": [SENT, transfer(Opcode.STORE_0, 0, 5), transfer(Opcode.STORE_1, 0, 4)],
    "beats that nobody stores": [SENT, transfer(Opcode.STORE_0, 0, 4), BARRIER],
}  # fmt: skip


def error(device: Device, address: int, nbytes: int) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        device.run(address, nbytes)
    device.reset()
    return caught.value


def same(address: int, nbytes: int) -> DeviceError:
    ours, theirs = (error(device, address, nbytes) for device in devices())
    assert ours.code is theirs.code, (ours, theirs)
    if ours.code is ErrorCode.WATCHDOG:  # whose unit is the command processor, and the address a mask
        return theirs
    assert (ours.unit, ours.address) == (theirs.unit, theirs.address), (ours, theirs)
    assert ours.instruction == theirs.instruction, (ours, theirs)
    return theirs


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_error(name: str) -> None:
    words = assemble([*REFUSED[name], end()])
    for device in devices():
        device.write(PROGRAM, words)
    same(PROGRAM, words.nbytes)


def test_what_an_earlier_program_left_in_a_unit_does_not_count() -> None:
    stores = [transfer(opcode, RESULTS, 4) for opcode in (Opcode.STORE_0, Opcode.STORE_1)]
    every = assemble([load_x(), load_a(), compute(), SENT, *stores, end()])
    for opcode in (one for one in Opcode if one not in (Opcode.BARRIER, Opcode.END)):
        short = np.array([opcode | 2 << 8, 0, *assemble([end()])], np.uint32)
        for device in devices():
            device.write(PROGRAM, every)
            device.run(PROGRAM, every.nbytes)
            device.write(PROGRAM, short)
        stopped = same(PROGRAM, short.nbytes)
        assert (stopped.code, stopped.unit, stopped.address) == (ErrorCode.BAD_LENGTH, Unit.COMMAND, PROGRAM)


def test_where_a_program_begins_and_ends() -> None:
    """Any multiple of a beat will do, and lengths are rounded up to whole beats."""
    words = assemble([load_x(), end()])
    for device in devices():
        for shift in (0, BEAT, 3 * BEAT):
            device.write(PROGRAM, np.zeros(256, np.uint32))
            device.write(PROGRAM + shift, words)
            device.run(PROGRAM + shift, words.nbytes)
            device.run(PROGRAM + shift, (words.nbytes - 1) // BEAT * BEAT + 1)
    found = [
        (one.code, one.unit, one.address - PROGRAM - 3 * BEAT, one.instruction)
        for one in (
            same(PROGRAM + 3 * BEAT + shift, nbytes)
            for shift, nbytes in ((0, 0), (4, 64), (0, BEAT), (0, words.nbytes // BEAT * BEAT), (0, BEAT << 24))
        )
    ]
    length = ErrorCode.BAD_LENGTH, Unit.COMMAND
    assert found[:3] == [(*length, 0, 0), (ErrorCode.UNALIGNED, Unit.COMMAND, 4, 0), (*length, 0, 0)]
    assert found[3][:2] == length and found[4] == (*length, 0, 0)
    for address in (MEMORY, MEMORY - 4 * BEAT, 1 << CONFIG.address_width, 1 << 63):
        assert same(address, 64 * BEAT).code is ErrorCode.OUT_OF_WINDOW


@pytest.mark.parametrize("fields, bursts_first", [
    ({"address": MEMORY - 32 * BEAT, "run": 64, "base": 4095}, True),
    ({"run": 2, "count1": 1000, "stride1": 4096, "base": 4095, "x_stride": 1}, False),
    ({"run": 1 << 17}, False),
    ({"run": (1 << 24) - 1}, False),
])  # fmt: skip
def test_a_load_that_leaves_window_and_buffer(fields: dict[str, int], bursts_first: bool) -> None:
    """The emulator names the window; the RTL what it meets first, the first burst or item that is outside."""
    words = assemble([load_x(**fields), end()])
    found = []
    for device in devices():
        device.write(PROGRAM, words)
        stopped = error(device, PROGRAM, words.nbytes)
        assert (stopped.unit, stopped.instruction) == (Unit.LOAD_X, 0)
        found.append((stopped.code, stopped.address))
    window = (ErrorCode.OUT_OF_WINDOW, MEMORY)
    assert found == [window if bursts_first else (ErrorCode.CHIP_ADDRESS, CONFIG.streaming_depth), window]
