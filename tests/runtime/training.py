"""A small training on the emulator that tests of the trainer share."""

from __future__ import annotations

import functools

import numpy as np

import eftrain_hdl as ef
from eftrain_hdl.runtime.device import Device

CONFIG = ef.Config(rows=4, lanes=4)
MEMORY = 1 << 20
BATCH = 4


def model() -> ef.Sequential:
    return ef.Sequential(
        ef.Conv2d(1, 4, 3, padding=1), ef.ReLU(), ef.MaxPool2d(2), ef.Flatten(), ef.Linear(16, 3), input_shape=(1, 4, 4)
    )


@functools.cache
def _plan(optimizer: ef.SGD, config: ef.Config, batch: int) -> ef.Plan:
    return ef.compile_model(model(), config, batch=batch, loss=ef.CrossEntropyLoss(), optimizer=optimizer)


def make(
    optimizer: ef.SGD | None = None, *, device: Device | None = None, seed: int = 1, batch: int = BATCH
) -> ef.Trainer:
    device = device or ef.EmulatorDevice(CONFIG, MEMORY)
    return ef.Trainer.from_plan(
        _plan(optimizer or ef.SGD(lr=0.1, momentum=0.9), device.config, batch), device, seed=seed
    )


def data(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, count)
    x = generator.standard_normal((count, 1, 4, 4)).astype(np.float32)
    x[np.arange(count), 0, y] += 3  # the class is the bright row
    return x, y


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name].view(np.uint32), second[name].view(np.uint32)) for name in first
    )
