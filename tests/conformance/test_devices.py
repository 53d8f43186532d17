"""One suite for everything that runs programs: emulator, simulated RTL, and the drivers of boards on simulated RTL.

The PYNQ driver needs pynq, which does not go with the newest NumPy: `make test-pynq` runs it in an environment of its
own, and it is left out here where pynq is missing.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.compiler import compile_model, load_plan, save_plan
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import Instruction, Opcode
from eftrain_hdl.registers import ErrorCode, Unit
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.driver import RegisterDevice
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.errors import ConfigurationMismatch, DeviceError, DeviceNotReady, DeviceTimeout
from eftrain_hdl.runtime.sim import SimDevice
from eftrain_hdl.runtime.trainer import Trainer, TrainerError
from eftrain_hdl.runtime.verilator import VerilatedModel
from tests.conformance import uio_standin
from tests.conformance.hardware import BASE, Hardware
from tests.system.machines import samples

CONFIG = Config(rows=4, lanes=8)
MEMORY = 1 << 20
MODEL = Sequential(
    Conv2d(2, 9, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(9, 4, 3), Flatten(), Linear(16, 5), input_shape=(2, 8, 8)
)
BATCH = 3
OPTIMIZER = SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
LOSS = CrossEntropyLoss()


@dataclass
class Rig:
    """A device, the simulated hardware behind it if there is any, and another device on the same hardware."""

    device: Device
    model: VerilatedModel | None
    again: Callable[[Config], Device]
    check: Callable[[], None] = lambda: None


def emulator() -> Rig:
    def make(config: Config) -> EmulatorDevice:
        return EmulatorDevice(config, MEMORY, window_base=BASE)

    return Rig(make(CONFIG), None, make)


def sim() -> Rig:
    device = SimDevice(CONFIG, memory_bytes=MEMORY, watchdog=20_000)

    def other(config: Config) -> Device:
        device.config = config
        device.open(burst_bytes=128, watchdog=20_000)
        return device

    return Rig(device, device.model, other)


def board(open_device: Callable[[Config, Hardware], RegisterDevice]) -> Rig:
    hardware = Hardware(CONFIG, MEMORY)
    device = open_device(CONFIG, hardware)
    return Rig(device, hardware.model, lambda config: open_device(config, hardware), hardware.assert_clean)


@pytest.fixture(params=["emulator", "sim", "uio", "pynq"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    settings: dict[str, Any] = {"watchdog": 20_000}
    match request.param:
        case "emulator":
            made = emulator()
        case "sim":
            made = sim()
        case "uio":
            made = board(
                lambda config, hardware: uio_standin.open_device(
                    config, MEMORY, hardware, tmp_path, monkeypatch, **settings
                )
            )
        case _:
            if importlib.util.find_spec("pynq") is None:
                pytest.skip("pynq is not installed: make test-pynq")
            made = board(lambda config, hardware: open_pynq(config, hardware, tmp_path, settings))
    yield made
    made.check()


def open_pynq(config: Config, hardware: Hardware, folder: Path, settings: dict[str, Any]) -> RegisterDevice:
    from pynq.pl_server.device import Device as Pynq

    from eftrain_hdl.runtime.board import PynqDevice
    from tests.conformance.pynq_standin import StandInDevice

    Pynq.active_device = StandInDevice(hardware)
    bitstream = folder / "eftrain.bit"
    bitstream.touch()
    device = PynqDevice(config, MEMORY, bitstream=bitstream, **settings)
    assert Pynq.active_device.loaded == [str(bitstream)]
    return device


def trainer(device: Device) -> Trainer:
    return Trainer(MODEL, loss=LOSS, optimizer=OPTIMIZER, batch=BATCH, device=device, seed=3)


def expected(steps: int) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and parameters of undisturbed training on the emulator."""
    plain = trainer(EmulatorDevice(CONFIG, MEMORY))
    losses = [plain.step(*samples(MODEL, BATCH, step)).loss for step in range(steps)]
    return losses, plain.parameters()


def assert_equal(values: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> None:
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value.view(np.uint32), others[name].view(np.uint32), err_msg=name)


def test_memory_keeps_what_is_written(rig: Rig) -> None:
    device = rig.device
    generator = np.random.default_rng(5)
    whole = generator.integers(0, 256, device.memory_bytes, np.uint8)
    device.write(device.window_base, whole)
    for _ in range(20):
        start, end = sorted(generator.integers(0, device.memory_bytes + 1, 2))
        np.testing.assert_array_equal(device.read(device.window_base + int(start), int(end - start)), whole[start:end])
    device.write(device.window_base + 5, np.arange(3, dtype=np.float32))
    np.testing.assert_array_equal(device.read_float32(device.window_base + 5, 3), [0, 1, 2])


def test_addresses_outside_of_memory_are_refused(rig: Rig) -> None:
    device = rig.device
    for address in (device.window_base - 1, device.window_limit - 3):
        message = "not in memory" if address >= 0 else "address=-1: must be at least 0"
        with pytest.raises(ValueError, match=message):
            device.write(address, np.zeros(4, np.uint8))
        with pytest.raises(ValueError, match=message):
            device.read(address, 4)


def test_training_gives_the_emulator_s_bits(rig: Rig) -> None:
    """In memory that is full of NaNs, as a board's may be."""
    rig.device.write(rig.device.window_base, np.full(rig.device.memory_bytes, 0xFF, np.uint8))
    training = trainer(rig.device)
    losses = [training.step(*samples(MODEL, BATCH, step)).loss for step in range(3)]
    assert losses == expected(3)[0]
    assert_equal(training.parameters(), expected(3)[1])


def test_a_plan_from_a_file_trains_anywhere_in_memory(rig: Rig, tmp_path: Path) -> None:
    save_plan(compile_model(MODEL, CONFIG, batch=BATCH, loss=LOSS, optimizer=OPTIMIZER), tmp_path / "plan.npz")
    training = Trainer.from_plan(load_plan(tmp_path / "plan.npz"), rig.device, seed=3)
    results = [training.step(*samples(MODEL, BATCH, step)) for step in range(2)]
    assert_equal(training.parameters(), expected(2)[1])
    if rig.model is not None:
        assert results[0].cycles and results[0].counters["CYCLES"] == results[0].cycles
        assert sum(results[0].phases.values()) == pytest.approx(results[0].cycles, rel=0.05)


def test_flags_are_sticky_and_can_be_cleared(rig: Rig) -> None:
    training = trainer(rig.device)
    rig.device.clear_flags()
    x, y = samples(MODEL, BATCH, 0)
    training.step(x, y)
    assert rig.device.flags() == {"overflow": False, "invalid": False}
    initial = training.parameters()
    training.load_parameters({name: value + 1e20 for name, value in training.parameters().items()})
    training.predict(np.full_like(x, 1e20))
    assert rig.device.flags()["overflow"]
    training.load_parameters(initial)
    training.predict(x)
    assert rig.device.flags()["overflow"]
    rig.device.clear_flags()
    assert not any(rig.device.flags().values())


def test_a_plan_for_another_configuration_is_refused(rig: Rig) -> None:
    plan = compile_model(
        MODEL, replace(CONFIG, streaming_depth=1024), batch=BATCH, loss=LOSS, optimizer=OPTIMIZER
    )
    with pytest.raises(ConfigurationMismatch, match="streaming_depth 1024, the device's 4096"):
        Trainer.from_plan(plan, rig.device)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"streaming_depth": 1024}, "streaming_depth 4,096 in the hardware, 1,024 in the plan"),
        ({"rows": 8, "ports": 2}, "rows 4 in the hardware, 8 in the plan; ports 1 in the hardware, 2 in the plan"),
        ({"outstanding": 4}, "CONFIGURATION_HASH reads .* one of window, outstanding, axi3 differs"),
    ],
)
def test_other_hardware_than_expected_is_refused(rig: Rig, change: dict[str, Any], message: str) -> None:
    if rig.model is None:
        pytest.skip("an emulator is of any configuration")
    with pytest.raises(ConfigurationMismatch, match=message):
        rig.again(replace(CONFIG, **change))


def fails_and_recovers(
    rig: Rig, state: Path, disturb: Callable[[Trainer], None], repair: Callable[[], None]
) -> DeviceError:
    """A step, one that fails, reset and restore, and the same step again: the same bits as without the failure."""
    training = trainer(rig.device)
    training.step(*samples(MODEL, BATCH, 0))
    training.save(state)
    disturb(training)
    with pytest.raises(DeviceError) as caught:
        training.step(*samples(MODEL, BATCH, 1))
    repair()
    with pytest.raises(TrainerError, match=r"device\.reset\(\)"):
        training.step(*samples(MODEL, BATCH, 1))
    with pytest.raises(DeviceError, match="reset"):
        rig.device.run(training.plan.programs["forward"].address, training.plan.programs["forward"].nbytes)
    rig.device.reset()
    training.restore()
    training.step(*samples(MODEL, BATCH, 1))
    assert_equal(training.parameters(), expected(2)[1])
    return caught.value


def test_a_bad_instruction_is_named(rig: Rig, tmp_path: Path) -> None:
    def disturb(training: Trainer) -> None:
        program = training.plan.programs["backward_update"]
        rig.device.write(program.address, np.array(Instruction(Opcode.COMPUTE, {}).encode()[:1], np.uint32) | 0xFF)

    error = fails_and_recovers(rig, tmp_path / "state.npz", disturb, lambda: None)
    assert (error.code, error.unit, error.instruction) == (ErrorCode.BAD_OPCODE, Unit.COMMAND, 0)
    if rig.model is not None:
        assert "instruction 0: word 0: bad opcode 0xff" in error.report()


@pytest.mark.parametrize("direction", ["read", "write"])
def test_a_bus_error_names_unit_command_address_and_counters(rig: Rig, tmp_path: Path, direction: str) -> None:
    model = rig.model
    if model is None:
        pytest.skip("an emulator has no bus")
    where = {}

    def disturb(training: Trainer) -> None:
        where["address"] = training.plan.tensors["output.0"].address + 16
        model.add_fault(where["address"], direction)  # type: ignore[arg-type]

    error = fails_and_recovers(rig, tmp_path / "state.npz", disturb, model.clear_faults)
    assert error.code is (ErrorCode.READ_RESPONSE if direction == "read" else ErrorCode.WRITE_RESPONSE)
    assert error.address <= where["address"] < error.address + 128
    report = error.report()
    place = f"instruction {error.instruction}, address {error.address:#x}"
    assert report.startswith(f"{error.code.name} in {error.unit.name}, {place}")
    assert f"instruction {error.instruction}: {error.unit.name} " in report and "address=0x" in report
    assert error.counters["CYCLES"] > 0 and f"CYCLES {error.counters['CYCLES']:,}" in report


def test_memory_that_never_answers_ends_in_an_error(rig: Rig, tmp_path: Path) -> None:
    """The machine's watchdog sees it."""
    model = rig.model
    if model is None:
        pytest.skip("an emulator has no bus")
    error = fails_and_recovers(
        rig, tmp_path / "state.npz", lambda training: model.stall_memory(reads=True, writes=True),
        lambda: model.stall_memory(reads=False, writes=False),
    )  # fmt: skip
    assert error.code is ErrorCode.WATCHDOG and "no progress" in str(error)


def test_a_program_that_takes_too_long_is_given_up(rig: Rig, tmp_path: Path) -> None:
    """Hardware stands still, since memory does not answer and the watchdog is off."""

    def disturb(training: Trainer) -> None:
        rig.device.timeout = 0.1 if rig.model else 0.0
        if rig.model is not None:
            assert isinstance(rig.device, RegisterDevice)
            rig.device.write_register("WATCHDOG", 0)
            rig.model.stall_memory(reads=True, writes=True)

    def repair() -> None:
        rig.device.timeout = 60.0
        if rig.model is not None:
            rig.model.stall_memory(reads=False, writes=False)

    error = fails_and_recovers(rig, tmp_path / "state.npz", disturb, repair)
    assert isinstance(error, DeviceTimeout)
    assert re.match(r"no end within 0(\.1)? s, program at 0x[0-9a-f]+: ", str(error))
    if rig.model is not None:
        assert error.counters["CYCLES"] > 0


class Stray(Exception):
    """An exception that nobody expects."""


def at_work(rig: Rig, error: BaseException) -> tuple[str, Callable[..., None]]:
    """What to replace of a device so that ``error`` comes while a program runs: on hardware it runs on."""
    if isinstance(rig.device, RegisterDevice):
        model = rig.model
        assert model is not None

        def wait() -> None:
            assert not model.run(700)
            raise error

        return "wait", wait
    plain, left = rig.device._execute, iter(range(20))  # type: ignore[attr-defined]

    def execute(*arguments: Any) -> None:
        if next(left, None) is None:
            raise error
        plain(*arguments)

    return "_execute", execute


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stray()], ids=["interrupt", "stray"])
def test_a_program_that_is_left_by_an_exception_has_to_be_stopped(
    rig: Rig, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, training = rig.device, trainer(rig.device)
    program = training.plan.programs["backward_update"]
    with monkeypatch.context() as patch:
        patch.setattr(device, *at_work(rig, error))
        with pytest.raises(type(error)):
            device.run(program.address, program.nbytes)
    for _ in range(2):
        assert device.needs_reset
        with pytest.raises(DeviceNotReady, match="the device needs a reset after: a program was left before its end"):
            device.run(program.address, program.nbytes)
    device.reset()
    assert not device.needs_reset
    training.restore()
    training.step(*samples(MODEL, BATCH, 0))
    assert_equal(training.parameters(), expected(1)[1])


def test_a_reset_that_is_left_by_an_exception_has_to_be_done_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    device, training = rig.device, trainer(rig.device)
    program = training.plan.programs["forward"]

    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    names = ("settle", "write32") if isinstance(device, RegisterDevice) else ("_reset",)
    for name in names:
        with monkeypatch.context() as patch:
            patch.setattr(device, name, stop)
            with pytest.raises(KeyboardInterrupt):
                device.reset()
        with pytest.raises(DeviceNotReady, match="the device needs a reset after: a reset was left before its end"):
            device.run(program.address, program.nbytes)
    device.reset()
    device.run(program.address, program.nbytes)


def test_a_machine_that_is_busy_with_another_program_is_refused(rig: Rig) -> None:
    device, training, model = rig.device, trainer(rig.device), rig.model
    if not isinstance(device, RegisterDevice) or model is None:
        pytest.skip("an emulator has no machine of its own")
    program = training.plan.programs["forward"]
    model.stall_memory(reads=True, writes=True)
    device.write_register("PROGRAM_ADDRESS", program.address)
    device.write_register("PROGRAM_BYTES", program.nbytes)
    device.write_register("CONTROL", 1)
    with pytest.raises(DeviceNotReady, match="the machine is busy with a program that this device did not start"):
        device.run(program.address, program.nbytes)
    model.stall_memory(reads=False, writes=False)
    device.reset()
    training.step(*samples(MODEL, BATCH, 0))
    assert_equal(training.parameters(), expected(1)[1])


@pytest.mark.parametrize("arguments", [("0", 4), (0.0, 4), (None, 4), (0, "4")])
def test_addresses_that_are_no_integers_start_nothing(rig: Rig, arguments: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError):
        rig.device.run(*arguments)
    assert not rig.device.needs_reset
