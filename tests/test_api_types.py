"""Wrong arguments at the API: everything public either takes a value or says which argument is wrong, at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import eftrain_hdl as ef
from eftrain_hdl import boards, checks
from eftrain_hdl.compiler.estimate import estimate_step, needed_memory, quick_estimate
from eftrain_hdl.data import Position, batches
from eftrain_hdl.export.device_tree import board_device_tree
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import check_parameters, initial_parameters
from eftrain_hdl.planner.dram import MemoryModel, memory_model
from eftrain_hdl.planner.ports import port_timing
from eftrain_hdl.planner.resources import Resources, estimate_resources
from eftrain_hdl.planner.search import search
from eftrain_hdl.rtl.top import generate_rtlil, generate_verilog
from eftrain_hdl.runtime import sim

CONFIG = ef.Config(rows=4, lanes=4)
MODEL = ef.Sequential(ef.Flatten(), ef.Linear(4, 2), input_shape=(1, 2, 2))
LOSS, OPTIMIZER = ef.CrossEntropyLoss(), ef.SGD(lr=0.1)
PLAN = ef.compile_model(MODEL, CONFIG, batch=1, loss=LOSS, optimizer=OPTIMIZER)
PARAMETERS = initial_parameters(MODEL, 0)
BOARD = Resources(1e5, 2e5, 1e3, 1e3)
MEMORY_BYTES = 1 << 16


class Stranger:
    """Something of another library."""


WRONG = (
    None, "", "x", b"x", 1.5, True, -1, 0, 1, 10**12, 10**30, 4 * 10**9, float("nan"), float("inf"), -float("inf"),
    1e-50, 2j, np.int64(3), np.float32(2.5), np.bool_(True), (), (1,), (1, 2, 3), (0, 0), ("a", "b"), [2, 2], {},
    object(), Stranger, Stranger(), np.zeros(3), np.zeros((2, 2), object), (10**30, 10**30, 10**30),
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A public callable and arguments that it takes."""

    call: Callable[..., Any]
    good: dict[str, Any]
    also: tuple[type[Exception], ...] = field(default=())
    """What a good call ends with where there is no hardware or no file, besides TypeError and ValueError."""


class Reached(Exception):
    """All arguments are accepted, and the slow work would begin."""


def device() -> ef.EmulatorDevice:
    return ef.EmulatorDevice(CONFIG, MEMORY_BYTES)


def _method(name: str) -> Callable[..., Any]:
    return lambda **arguments: getattr(device(), name)(**arguments)


def _search(**arguments: Any) -> Any:
    def cycles(configs: Any) -> list[float]:
        return [1e9 / config.macs for config in configs]

    return search(**arguments, rough=cycles, exact=cycles)


MEMORY = memory_model("zcu102")
SHAPE = {"input_shape": (1, 4, 4), "classes": 3}
ENTRIES: dict[str, Entry] = {
    "Config": Entry(ef.Config, {
        "rows": 4, "lanes": 4, "operand": ef.FP32, "window": None, "data_width": None, "ports": 1, "address_width": 40,
        "streaming_depth": 4096, "stationary_depth": 4096, "accumulator_depth": 0, "accumulator_banks": 4,
        "operand_depth": 2048, "outstanding": 8, "axi3": False,
    }),
    "FloatFormat": Entry(ef.FloatFormat, {"exponent": 8, "mantissa": 7, "name": "mine"}),
    "SGD": Entry(ef.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}),
    "Conv2d": Entry(ef.Conv2d, {
        "in_channels": 3, "out_channels": 4, "kernel_size": 3, "stride": 1, "padding": 1, "bias": True
    }),
    "Linear": Entry(ef.Linear, {"in_features": 3, "out_features": 4, "bias": True}),
    "MaxPool2d": Entry(ef.MaxPool2d, {"kernel_size": 2, "stride": None, "padding": 0}),
    "AvgPool2d": Entry(ef.AvgPool2d, {"kernel_size": 2, "stride": None}),
    "BatchNorm2d": Entry(ef.BatchNorm2d, {"num_features": 2, "eps": 1e-5, "momentum": 0.1}),
    "Flatten": Entry(ef.Flatten, {}),
    "ReLU": Entry(ef.ReLU, {}),
    "CrossEntropyLoss": Entry(ef.CrossEntropyLoss, {}),
    "CrossEntropyLoss.classes": Entry(LOSS.classes, {"model": MODEL}),
    "Residual": Entry(ef.Residual, {"body": [ef.ReLU()], "shortcut": None}),
    "Sequential": Entry(lambda layer, input_shape: ef.Sequential(layer, input_shape=input_shape), {
        "layer": ef.ReLU(), "input_shape": (2, 2, 2)
    }),
    "compile_model": Entry(ef.compile_model, {
        "model": MODEL, "config": CONFIG, "batch": 1, "loss": LOSS, "optimizer": OPTIMIZER, "memory_base": 0
    }),
    "load_plan": Entry(ef.load_plan, {"path": "absent.npz"}, (OSError,)),
    "save_plan": Entry(ef.save_plan, {"plan": PLAN, "path": "plan.npz"}, (OSError,)),
    "load_data": Entry(ef.load_data, {"source": "absent.npz"}, (OSError,)),
    "SimDevice": Entry(ef.SimDevice, {
        "config": CONFIG, "memory": "zcu102", "memory_bytes": MEMORY_BYTES, "clock_mhz": 250.0, "burst_bytes": 128,
        "watchdog": 1000, "progress": None,
    }, (Reached,)),
    "EmulatorDevice": Entry(ef.EmulatorDevice, {
        "config": CONFIG, "memory_bytes": MEMORY_BYTES, "window_base": 0
    }),
    "PynqDevice": Entry(ef.PynqDevice, {
        "config": CONFIG, "memory_bytes": MEMORY_BYTES, "bitstream": None, "registers": 0x4000_0000
    }, (ImportError,)),
    "UioDevice": Entry(ef.UioDevice, {
        "config": CONFIG, "memory_bytes": MEMORY_BYTES, "uio": None, "buffer": "absent", "root": "absent"
    }, (OSError,)),
    "Device.run": Entry(_method("run"), {"program_address": 0, "program_bytes": 64}, (ef.DeviceError,)),
    "Device.read": Entry(_method("read"), {"address": 0, "nbytes": 16}),
    "Device.write": Entry(_method("write"), {"address": 0, "array": np.zeros(4)}),
    "Device.read_float32": Entry(_method("read_float32"), {"address": 0, "shape": (2, 2)}),
    "estimate_step": Entry(estimate_step, {
        "model": MODEL, "config": CONFIG, "batch": 1, "optimizer": OPTIMIZER,
        "ports": port_timing(MEMORY, CONFIG, 250), "brief": False,
    }),
    "quick_estimate": Entry(quick_estimate, {"model": MODEL, "config": CONFIG, "batch": 1, "optimizer": OPTIMIZER}),
    "needed_memory": Entry(needed_memory, {"model": MODEL, "config": CONFIG, "batch": 1, "optimizer": OPTIMIZER}),
    "port_timing": Entry(port_timing, {"memory": MEMORY, "config": CONFIG, "clock_mhz": 250, "burst_bytes": 128}),
    "memory_model": Entry(lambda memory: memory_model(memory), {"memory": "zcu102"}),
    "MemoryModel": Entry(MemoryModel, {name: getattr(MEMORY, name) for name in MEMORY.__dataclass_fields__}),
    "search": Entry(_search, {"board": BOARD, "share": 0.8, "operand": ef.FP32, "base": CONFIG, "macs": 1000}),
    "estimate_resources": Entry(estimate_resources, {"config": CONFIG}),
    "generate_verilog": Entry(generate_verilog, {"config": CONFIG, "name": "eftrain"}),
    "generate_rtlil": Entry(generate_rtlil, {"config": CONFIG, "name": "eftrain"}),
    **{f"models[{name!r}]": Entry(build, {"input_shape": (3, 224, 224), "classes": 10})
       for name, build in ef.models.items()},
}  # fmt: skip

ENTRIES |= {
    "initial_parameters": Entry(initial_parameters, {"model": MODEL, "seed": 0}),
    "check_parameters": Entry(check_parameters, {"model": MODEL, "parameters": PARAMETERS}),
    "GoldenStep": Entry(GoldenStep, {
        "model": MODEL, "loss": LOSS, "optimizer": OPTIMIZER, "parameters": PARAMETERS, "dtype": np.float32
    }),
    "batches": Entry(lambda **arguments: next(batches(**arguments), None), {
        "x": np.zeros((4, 1, 2, 2)), "y": np.zeros(4, int), "batch": 2, "seed": 0, "epoch": 0, "taken": 0
    }),
    "Position": Entry(Position, {"seed": 0, "epoch": 0, "taken": 0, "samples": 0}),
    "boards.get": Entry(lambda board: boards.get(board), {"board": "zcu102"}),
    "board_device_tree": Entry(board_device_tree, {"board": boards.get("zcu102"), "buffer_bytes": 1 << 20}),
}  # fmt: skip

ELSEWHERE = {
    "Trainer": "tests/runtime/test_trainer_use.py",
    "Device": "abstract",
    **dict.fromkeys(("Plan", "Dataset", "RunResult", "StepResult"), "made by the library"),
}
"""Public names that are not in the table, and why."""

SAID = {
    "Sequential": "layer 0",
    "load_data": "data set",
    "Position": "no position in data",
    **dict.fromkeys(("Device.read", "Device.write", "Device.read_float32"), "are not in memory"),
}
"""What messages may say in the place of an argument's name."""


def _public() -> Iterator[str]:
    for name in dir(ef):
        value = getattr(ef, name)
        ours = getattr(value, "__module__", "").startswith("eftrain_hdl")
        if not name.startswith("_") and ours and callable(value):
            if not (isinstance(value, type) and issubclass(value, BaseException)):
                yield name


def test_every_public_callable_is_in_the_table():
    assert [name for name in _public() if name not in ENTRIES and name not in ELSEWHERE] == []


def _outcome(entry: Entry, arguments: dict[str, Any]) -> Exception | None:
    try:
        entry.call(**arguments)
    except (TypeError, ValueError, *entry.also) as error:
        return error
    return None


@pytest.fixture
def nothing_slow(monkeypatch, tmp_path):
    """Arguments that are accepted get no further than where the slow work would begin; files go to a folder of the
    test.
    """

    def reached(*_: Any, **__: Any) -> Any:
        raise Reached

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sim, "find_toolchain", reached)
    for module in ("top_rtlil", "top_verilog"):
        monkeypatch.setattr(f"eftrain_hdl.rtl.top.{module}", lambda *_: "")


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("name", ENTRIES)
def test_good_arguments_are_accepted(name):
    entry = ENTRIES[name]
    error = _outcome(entry, entry.good)
    assert error is None or isinstance(error, entry.also), error


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, entry in ENTRIES.items() for argument in entry.good]
)
def test_wrong_values_are_taken_or_named(name, argument):
    """Each value in turn in the place of a good one. What is said names the argument."""
    entry = ENTRIES[name]
    unclear = []
    for value in WRONG:
        error = _outcome(entry, entry.good | {argument: value})
        if error is None or isinstance(error, entry.also):
            continue
        said = argument in str(error) or (name in SAID and SAID[name] in str(error))
        if not said or "\n" in str(error) or len(str(error)) > 400:
            unclear.append((value, f"{type(error).__name__}: {error}"))
    assert unclear == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rows": 4 * 10**9}, "rows=4000000000: with lanes=16 at most 1024"),
        ({"rows": 1_000_000, "lanes": 8}, "rows=1000000: with lanes=8 at most 2048"),
        ({"rows": 16.0}, "rows=16.0: expected an integer"),
        ({"rows": True}, "rows=True: expected an integer"),
        ({"lanes": "16"}, "lanes='16': expected an integer"),
        ({"rows": -16}, "rows=-16: must be at least 1"),
        ({"operand": "fp32"}, "operand='fp32': expected a FloatFormat"),
        ({"axi3": 1}, "axi3=1: expected True or False"),
        ({"window": 2.5}, "window=2.5: expected an integer"),
    ],
)  # fmt: skip
def test_a_bad_configuration_says_what_is_wrong(values, words):
    with pytest.raises(ef.ConfigError) as found:
        ef.Config(**values)
    assert words in str(found.value)


def test_integers_of_numpy_make_the_same_configuration():
    config = ef.Config(rows=np.int64(8), lanes=np.uint8(8), ports=np.int32(2))
    assert config == ef.Config(rows=8, lanes=8, ports=2) and config.digest == ef.Config(rows=8, lanes=8, ports=2).digest
    assert {type(value) for value in config.as_dict().values()} <= {int, str, bool, type(None)}


def test_a_network_that_no_address_reaches_is_refused_before_programs_are_made():
    model = ef.Sequential(ef.Linear(16, 10**12), input_shape=(16,))
    with pytest.raises(ef.CompileError, match="more than 40 address bits reach"):
        ef.compile_model(model, CONFIG, batch=1, loss=LOSS, optimizer=OPTIMIZER)


@pytest.mark.parametrize(
    ("progress", "terminal", "said"),
    [(None, True, True), (None, False, False), (False, True, False), (False, False, False)],
)
def test_a_simulator_tells_a_terminal_what_takes_long(monkeypatch, capsys, progress, terminal, said):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    seen = {}

    def build(*_: Any, progress: Callable[[str], None] | None = None, **__: Any) -> Any:
        seen["progress"] = progress
        if progress:
            progress("compiling a model")
        raise Reached

    monkeypatch.setattr(sim, "cached_verilog", lambda *_, **__: "")
    monkeypatch.setattr(sim, "build_model", build)
    monkeypatch.setattr(sim, "find_toolchain", lambda: None)
    with pytest.raises(Reached):
        ef.SimDevice(CONFIG, progress=progress)
    captured = capsys.readouterr()
    assert captured.err == ("eftrain_hdl: compiling a model ...\n" if said else "") and captured.out == ""
    assert (seen["progress"] is not None) == said


def test_a_path_is_no_open_file():
    """0 would be standard input, and wait for ever."""
    reader, writer = os.pipe()
    os.close(writer)
    try:
        with pytest.raises(TypeError, match=f"path={reader}: expected the path of a file"):
            ef.load_plan(reader)  # type: ignore[arg-type]
    finally:
        os.close(reader)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True)], ids=repr)
def test_a_boolean_is_no_number(value):
    """NumPy 2.2 still takes its own for an integer."""
    with pytest.raises(TypeError, match="count=.*: expected an integer"):
        checks.integer("count", value, 0)
    with pytest.raises(TypeError, match="rate=.*: expected a number"):
        checks.number("rate", value, 0, 1)
