"""Simulated and emulated devices with equal memories, and training steps on both."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from eftrain_hdl.compiler import Plan
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.sim import SimDevice
from eftrain_hdl.runtime.trainer import Trainer

DEFAULT = Config(rows=8, lanes=8)
WIDE = Config(rows=4, lanes=8)
SMALL = {"streaming_depth": 1024, "stationary_depth": 512, "accumulator_depth": 512, "operand_depth": 128}
TALL = Config(rows=8, lanes=4, ports=3, accumulator_banks=2, **SMALL)
MEMORY_BYTES = 1 << 23
OPTIMIZER = SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)


@functools.cache
def sim_device(config: Config) -> SimDevice:
    """The process's simulated device of a configuration."""
    return SimDevice(config, memory_bytes=MEMORY_BYTES, watchdog=20_000)


def trainer(
    device: Device, model: Sequential, batch: int, optimizer: SGD = OPTIMIZER, *, plan: Plan | None = None
) -> Trainer:
    """A trainer on a device whose memory holds random bytes wherever the plan has nothing.

    ``plan``: that of the model for such a device, if there is one already.
    """
    if plan is None:
        made = Trainer(model, loss=CrossEntropyLoss(), optimizer=optimizer, batch=batch, device=device, seed=3)
    else:
        made = Trainer.from_plan(plan, device, seed=3)
    device.clear_flags()
    device.write(0, np.random.default_rng(1).integers(0, 256, MEMORY_BYTES, np.uint8))
    device.write(made.plan.memory_base, np.zeros(made.plan.memory_bytes, np.uint8))
    made.restore()
    return made


def samples(model: Sequential, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((batch, *model.input_shape)).astype(np.float32)
    return x, generator.integers(0, model.output_shape[0], batch)


@dataclass
class Pair:
    """The same training on RTL and emulator."""

    rtl: Trainer
    emulator: Trainer

    @classmethod
    def of(cls, model: Sequential, config: Config, batch: int) -> Pair:
        return cls.on(sim_device(config), EmulatorDevice(config, MEMORY_BYTES), model, batch)

    @classmethod
    def on(cls, sim: SimDevice, emulator: EmulatorDevice, model: Sequential, batch: int) -> Pair:
        rtl = trainer(sim, model, batch)
        return cls(rtl, trainer(emulator, model, batch, plan=rtl.plan))

    def assert_same_memory(self) -> None:
        """Every byte of both memories."""
        ours, theirs = (trainer.device.read(0, MEMORY_BYTES) for trainer in (self.rtl, self.emulator))
        if np.array_equal(ours, theirs):
            return
        places = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32)) * 4
        names = {
            tensor.name for tensor in self.rtl.plan.tensors.values()
            if ((places >= tensor.address) & (places < tensor.address + tensor.nbytes)).any()
        }  # fmt: skip
        raise AssertionError(f"{len(places)} words differ, the first at {places[0]:#x}; tensors: {sorted(names)}")
