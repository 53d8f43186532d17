"""What cannot work is refused with its cause, and the device trains on afterwards as if nothing had been."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eftrain_hdl.compiler import CompileError
from eftrain_hdl.graph import Conv2d, CrossEntropyLoss, Flatten, GraphError, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import FORMATS, Opcode, disassemble, frames
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.errors import DeviceError
from eftrain_hdl.runtime.sim import SimDevice
from eftrain_hdl.runtime.trainer import Trainer, TrainerError
from tests.system.machines import MEMORY_BYTES, OPTIMIZER, WIDE, samples, sim_device, trainer

MODEL = Sequential(
    Conv2d(2, 9, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(9, 4, 3), Flatten(), Linear(16, 5), input_shape=(2, 8, 8)
)
BATCH = 3
STEPS = 3


@functools.cache
def undisturbed() -> np.ndarray:
    """Memory after training without an incident."""
    device = EmulatorDevice(WIDE, MEMORY_BYTES)
    plain = trainer(device, MODEL, BATCH)
    for step in range(STEPS):
        plain.step(*samples(MODEL, BATCH, step))
    return device.read(0, MEMORY_BYTES)


@pytest.fixture(params=["rtl", "emulator"])
def device(request: pytest.FixtureRequest) -> Device:
    return sim_device(WIDE) if request.param == "rtl" else EmulatorDevice(WIDE, MEMORY_BYTES)


@pytest.fixture
def rtl() -> SimDevice:
    return sim_device(WIDE)


def finish(training: Trainer, steps: int) -> None:
    """Train on to STEPS steps, of which ``steps`` are done, and compare with undisturbed training."""
    for step in range(steps, STEPS):
        training.step(*samples(MODEL, BATCH, step))
    np.testing.assert_array_equal(training.device.read(0, MEMORY_BYTES), undisturbed())


def fails_and_recovers(
    device: Device, tmp_path: Path, disturb: Callable[[Trainer], None], repair: Callable[[], None] = lambda: None
) -> DeviceError:
    """A step, saved; a step that fails; and after reset and restore the steps that remain. Returns the failure."""
    training = trainer(device, MODEL, BATCH)
    training.step(*samples(MODEL, BATCH, 0))
    training.save(tmp_path / "state.npz")
    disturb(training)
    with pytest.raises(DeviceError) as caught:
        training.step(*samples(MODEL, BATCH, 1))
    with pytest.raises(TrainerError, match=r"device\.reset\(\).*restore\(\)"):
        training.step(*samples(MODEL, BATCH, 1))
    with pytest.raises(DeviceError, match="needs a reset"):
        program = training.plan.programs["forward"]
        device.run(program.address, program.nbytes)
    repair()
    device.reset()
    training.restore()
    finish(training, 1)
    return caught.value


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Conv2d(4, 4, 90), r"layer 0 \(Conv2d\): .*_depth \d+, \d+ more than"),
        (Conv2d(4, 4, 99), r"layer 0 \(Conv2d\)"),
        (Linear(4, 4), r"layer 0 \(Linear\)"),
    ],
)
def test_layer_that_does_not_fit(device: Device, layer: Conv2d | Linear, message: str) -> None:
    with pytest.raises((CompileError, GraphError), match=message):
        model = Sequential(layer, Flatten(), Linear(4 * 9, 3), input_shape=(4, 92, 92))
        Trainer(model, loss=CrossEntropyLoss(), optimizer=OPTIMIZER, batch=1, device=device)


def test_network_larger_than_memory(device: Device) -> None:
    model = Sequential(Linear(900, 900), input_shape=(900,))
    with pytest.raises(ValueError, match=r"training needs \d+ bytes of device memory, \d+ more than the device has"):
        Trainer(model, loss=CrossEntropyLoss(), optimizer=OPTIMIZER, batch=1, device=device)


def test_bad_data_are_refused_and_change_nothing(device: Device) -> None:
    training = trainer(device, MODEL, BATCH)
    training.step(*samples(MODEL, BATCH, 0))
    memory = device.read(0, MEMORY_BYTES)
    x, y = samples(MODEL, BATCH, 1)
    with_nan = x.copy()
    with_nan[1, 1, 2, 3] = np.nan
    for data, message in (
        ((x[:, :1], y), r"x has shape \(3, 1, 8, 8\): expected \(count, 2, 8, 8\)"),
        ((x[0], y), r"x has shape \(2, 8, 8\)"),
        ((x[:2], y[:2]), "x has 2 samples: this trainer was made for batches of 3"),
        ((x, y[:2]), r"y has shape \(2,\): expected \(3,\)"),
        ((x, y + 5), "labels range from .*: expected 0 to 4"),
        ((with_nan, y), "x has 1 values that are not finite"),
        ((np.where(x > 1, np.inf, x), y), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            training.step(*data)
    np.testing.assert_array_equal(device.read(0, MEMORY_BYTES), memory)
    finish(training, 1)


def starts(words: np.ndarray) -> list[int]:
    """Index of the first word of each instruction."""
    return [at for at, _, _ in frames(words, 0)]


def test_bad_opcode(device: Device, tmp_path: Path) -> None:
    where = {}

    def disturb(training: Trainer) -> None:
        program = training.plan.programs["backward_update"]
        first = starts(program.words)
        where["instruction"] = len(first) // 2
        word = first[len(first) // 2]
        where["address"] = program.address + 4 * word
        device.write(where["address"], np.array([program.words[word] | 0xFF], np.uint32))

    error = fails_and_recovers(device, tmp_path, disturb)
    assert (error.code, error.unit) == (ErrorCode.BAD_OPCODE, Unit.COMMAND)
    assert (error.instruction, error.address) == (where["instruction"], where["address"])
    assert str(error).startswith(f"BAD_OPCODE in COMMAND, instruction {error.instruction}, address {error.address:#x}")


@pytest.mark.parametrize("opcode", [Opcode.LOAD_X, Opcode.LOAD_A, Opcode.STORE_0, Opcode.STORE_1])
@pytest.mark.parametrize("place", ["behind", "across"])
def test_window_violation(device: Device, tmp_path: Path, opcode: Opcode, place: str) -> None:
    """A transfer that begins behind the window, and one that begins inside and leaves it.

    The address is that of the burst; hardware blames the unit's oldest unfinished instruction.
    """
    where = {}

    def disturb(training: Trainer) -> None:
        program = training.plan.programs["backward_update"]
        instructions = disassemble(program.words)
        index = [k for k, one in enumerate(instructions) if one.opcode is opcode][-1]
        assert instructions[index]["run"] > 1
        address = MEMORY_BYTES if place == "behind" else MEMORY_BYTES - WIDE.beat_bytes
        word, bit = FORMATS[opcode].places["address_low"]
        assert bit == 0
        device.write(program.address + 4 * (starts(program.words)[index] + word), np.array([address], np.uint32))
        where.update(index=index, instructions=instructions)

    error = fails_and_recovers(device, tmp_path, disturb)
    assert (error.code, error.unit.name) == (ErrorCode.OUT_OF_WINDOW, opcode.name)
    assert error.address == MEMORY_BYTES
    if isinstance(device, SimDevice):
        assert error.instruction <= where["index"]
        assert where["instructions"][error.instruction].opcode is opcode
    else:
        assert error.instruction == where["index"]


@pytest.mark.parametrize(
    ("shift", "code"), [(4, ErrorCode.UNALIGNED), (MEMORY_BYTES, ErrorCode.OUT_OF_WINDOW)], ids=["unaligned", "outside"]
)
def test_bad_program_address(device: Device, shift: int, code: ErrorCode) -> None:
    training = trainer(device, MODEL, BATCH)
    training.step(*samples(MODEL, BATCH, 0))
    program = training.plan.programs["forward"]
    with pytest.raises(DeviceError, match=f"{code.name} in COMMAND, .*{program.address + shift:#x}"):
        device.run(program.address + shift, program.nbytes)
    device.reset()
    finish(training, 1)


@pytest.mark.parametrize("response", [2, 3], ids=["SLVERR", "DECERR"])
@pytest.mark.parametrize(
    ("tensor", "direction", "units"),
    [
        ("weights.3", "read", (Unit.LOAD_X, Unit.LOAD_A)),
        ("output.0", "read", (Unit.LOAD_X, Unit.LOAD_A)),
        ("output.0", "write", (Unit.STORE_0, Unit.STORE_1)),
        ("weights.0", "write", (Unit.STORE_0, Unit.STORE_1)),
    ],
)
def test_bus_error_in_mid_step(
    rtl: SimDevice, tmp_path: Path, tensor: str, direction: str, units: tuple[Unit, ...], response: int
) -> None:
    """Weights of the first layer are the last thing that a step writes."""
    where = {}

    def disturb(training: Trainer) -> None:
        where["address"] = training.plan.tensors[tensor].address + 16
        rtl.model.add_fault(where["address"], direction, response)  # type: ignore[arg-type]

    error = fails_and_recovers(rtl, tmp_path, disturb, rtl.model.clear_faults)
    expected = ErrorCode.READ_RESPONSE if direction == "read" else ErrorCode.WRITE_RESPONSE
    assert error.code is expected and error.unit in units
    assert error.address <= where["address"] < error.address + 128


def test_bus_error_in_a_program(rtl: SimDevice, tmp_path: Path) -> None:
    where = {}

    def disturb(training: Trainer) -> None:
        program = training.plan.programs["backward_update"]
        where["address"] = program.address + program.nbytes // 2
        rtl.model.add_fault(where["address"], "read")

    error = fails_and_recovers(rtl, tmp_path, disturb, rtl.model.clear_faults)
    assert (error.code, error.unit) == (ErrorCode.READ_RESPONSE, Unit.COMMAND)
    command_burst = 16 * rtl.config.beat_bytes
    assert error.address <= where["address"] < error.address + command_burst


@pytest.mark.parametrize(
    ("stalled", "busy"), [("reads", {"LOAD_X", "LOAD_A"}), ("writes", {"STORE_0", "STORE_1"})]
)
@pytest.mark.parametrize("stays", [True, False], ids=["for_ever", "until_reset"])
def test_memory_that_does_not_answer(
    rtl: SimDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stalled: str, busy: set[str], stays: bool
) -> None:
    """The watchdog ends it and names the units; memory that stays dumb even in the soft reset needs the reset pin."""

    def wait() -> None:
        assert not rtl.model.run(700)
        rtl.model.stall_memory(reads=stalled == "reads", writes=stalled == "writes")
        SimDevice.wait(rtl)

    def repair() -> None:
        monkeypatch.undo()
        if not stays:
            rtl.model.stall_memory(reads=False, writes=False)

    error = fails_and_recovers(rtl, tmp_path, lambda training: monkeypatch.setattr(rtl, "wait", wait), repair)
    assert (error.code, error.unit) == (ErrorCode.WATCHDOG, Unit.COMMAND)
    named = re.search(r"no progress; (.*) busy", str(error))
    assert named and set(named[1].split(" and ")) & busy
