"""The C example for programs without an operating system, on the simulated RTL, against the Python runtime."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.compiler import compile_model
from eftrain_hdl.config import Config
from eftrain_hdl.export.c_header import c_header
from eftrain_hdl.export.c_plan import c_plan
from eftrain_hdl.graph import (
    SGD,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    initial_parameters,
)
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.trainer import Trainer
from tests.conformance.hardware import BASE, Hardware

EXAMPLE = Path(__file__).parents[2] / "examples" / "bare_metal"
FLAGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99")
CONFIG = Config(rows=4, lanes=8)
MEMORY = 1 << 20
STEPS = 4
MODELS = {
    # The input of the first is planar with two column phases; that of the second has vectors of lanes.
    "planar": Sequential(
        Conv2d(2, 9, 3, stride=2, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(36, 11), input_shape=(2, 8, 8)
    ),
    "vectors": Sequential(Conv2d(11, 5, 3), ReLU(), Flatten(), Linear(5 * 4 * 3, 3), input_shape=(11, 6, 5)),
}

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def build(tmp_path: Path, model: Sequential, config: Config, optimizer: SGD) -> ctypes.CDLL:
    plan = compile_model(
        model, config, batch=3, loss=CrossEntropyLoss(), optimizer=optimizer, memory_base=BASE
    )
    (tmp_path / "eftrain.h").write_text(c_header())
    (tmp_path / "plan.c").write_text(c_plan(plan, initial_parameters(model, 3)))
    shim = Path(__file__).with_name("platform_shim.c")
    sources = [EXAMPLE / "main.c", EXAMPLE / "driver.c", tmp_path / "plan.c", shim]
    library = tmp_path / "train.so"
    # ISO C contracts no products into fused operations under -std=c99; the arithmetic is that of the Python runtime.
    command = ["cc", *FLAGS, "-O2", "-shared", "-fPIC", f"-DSTEPS={STEPS}", f"-I{tmp_path}", f"-I{EXAMPLE}"]
    subprocess.run([*command, *map(str, sources), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def connect(library: ctypes.CDLL, hardware: Hardware) -> list[Any]:
    """Let the shim's calls end in the hardware; the callbacks have to be kept as long as they are used."""

    def to_memory(address: int, data: int, nbytes: int) -> None:
        hardware.model.dram[address : address + nbytes] = np.frombuffer(ctypes.string_at(data, nbytes), np.uint8)

    def from_memory(data: int, address: int, nbytes: int) -> None:
        ctypes.memmove(data, hardware.model.dram[address : address + nbytes].ctypes.data, nbytes)

    u32, u64, pointer, size = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t
    kept: list[Any] = []
    for name, kind, function in (
        ("shim_read_register", ctypes.CFUNCTYPE(u32, u32), hardware.read),
        ("shim_write_register", ctypes.CFUNCTYPE(None, u32, u32), hardware.write),
        ("shim_to_memory", ctypes.CFUNCTYPE(None, u64, pointer, size), to_memory),
        ("shim_from_memory", ctypes.CFUNCTYPE(None, pointer, u64, size), from_memory),
    ):
        kept.append(kind(function))
        ctypes.c_void_p.in_dll(library, name).value = ctypes.cast(kept[-1], ctypes.c_void_p).value
    return kept


@pytest.mark.parametrize("name", MODELS)
def test_the_same_weights_as_from_python(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, optimizer = MODELS[name], SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
    library, hardware = build(tmp_path, model, CONFIG, optimizer), Hardware(CONFIG, MEMORY)
    kept = connect(library, hardware)
    assert library.main() == 0
    hardware.assert_clean()
    assert kept

    trainer = Trainer(
        model, loss=CrossEntropyLoss(), optimizer=optimizer, batch=3, seed=3,
        device=EmulatorDevice(CONFIG, MEMORY, window_base=BASE),
    )  # fmt: skip
    losses = []
    for step in range(STEPS):
        x, y = np.zeros((3, *model.input_shape), np.float32), np.zeros(3, np.uint32)
        library.make_batch(step, x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
        losses.append(trainer.step(x, y.astype(np.int64)).loss)
    assert capfd.readouterr().out.splitlines() == [f"step {k:2}: loss {loss:.6f}" for k, loss in enumerate(losses)]
    for key, tensor in trainer.plan.tensors.items():
        if key.startswith(("weights.", "velocity.")):
            ours = hardware.model.dram[tensor.address : tensor.address + tensor.nbytes]
            np.testing.assert_array_equal(ours, trainer.device.read(tensor.address, tensor.nbytes), err_msg=key)


def test_another_configuration_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = replace(CONFIG, streaming_depth=1024)
    library, hardware = build(tmp_path, MODELS["planar"], other, SGD(0.1)), Hardware(CONFIG, MEMORY)
    before = hardware.model.dram.copy()
    kept = connect(library, hardware)
    assert library.main() == 1
    said = capfd.readouterr().out
    assert "compiled for another configuration" in said and f"0x{other.digest:08x}" in said
    np.testing.assert_array_equal(hardware.model.dram, before)
    assert kept


def test_a_bus_error_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    library, hardware = build(tmp_path, MODELS["planar"], CONFIG, SGD(0.1)), Hardware(CONFIG, MEMORY)
    kept = connect(library, hardware)
    hardware.model.add_fault(BASE, "read")
    assert library.main() == 1
    assert "stopped: memory answered a read with an error in LOAD_X" in capfd.readouterr().out
    assert kept


def test_a_machine_that_is_not_ready_is_given_nothing(tmp_path: Path) -> None:
    """It ignores a start while it is busy or stopped; the end of another program must not count as the next one's."""
    model = MODELS["planar"]
    library, hardware = build(tmp_path, model, CONFIG, SGD(0.1)), Hardware(CONFIG, MEMORY)
    kept = connect(library, hardware)
    plan, error, loss = ctypes.byref(ctypes.c_char.in_dll(library, "plan")), (ctypes.c_uint64 * 16)(), ctypes.c_double()
    x, y = np.zeros((3, *model.input_shape), np.float32), np.zeros(3, np.uint32)
    data = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, y)]

    def step() -> int:
        return int(library.eftrain_step(plan, *data, ctypes.byref(loss), error))

    ok, stopped, not_ready = 0, 3, 5
    assert library.eftrain_open(plan, error) == step() == ok
    hardware.model.stall_memory(reads=True, writes=True)
    hardware.write(REGISTER_MAP.offset("CONTROL"), 1)
    assert step() == not_ready
    hardware.model.stall_memory(reads=False, writes=False)
    assert library.eftrain_open(plan, error) == step() == ok
    hardware.model.add_fault(BASE, "read")
    assert step() == stopped
    hardware.model.clear_faults()
    assert step() == not_ready
    assert library.eftrain_open(plan, error) == step() == ok
    assert kept


def test_the_board_s_platform_compiles(tmp_path: Path) -> None:
    """With the declarations that it uses of the vendor's library."""
    (tmp_path / "xil_cache.h").write_text(
        "#include <stdint.h>\ntypedef intptr_t INTPTR;\n"
        "void Xil_DCacheFlushRange(INTPTR address, INTPTR bytes);\n"
        "void Xil_DCacheInvalidateRange(INTPTR address, INTPTR bytes);\n"
    )
    command = ["cc", *FLAGS, "-c", f"-I{tmp_path}", "-DEFTRAIN_REGISTERS=0xA0000000"]
    subprocess.run([*command, str(EXAMPLE / "platform_zynq.c"), "-o", str(tmp_path / "platform.o")], check=True)
