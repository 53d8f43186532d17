"""Training on the emulator, held against the golden step."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.trainer import Trainer

OPTIMIZER = SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
FLOOR = 1e-7
"""Where float32 by chance does better than its own precision, 2**-23, this is taken instead."""


def samples(model: Sequential, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((batch, *model.input_shape)).astype(np.float32)
    return x, generator.integers(0, model.output_shape[0], batch)


def trainer(model: Sequential, config: Config, batch: int, optimizer: SGD = OPTIMIZER) -> Trainer:
    device = EmulatorDevice(config)
    return Trainer(model, loss=CrossEntropyLoss(), optimizer=optimizer, batch=batch, device=device, seed=3)


def relative(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(value - reference) / max(np.linalg.norm(reference), 1e-30))


def check_training(model: Sequential, config: Config, batch: int, steps: int = 2) -> None:
    """Changes of all parameters are at most twice as far from float64's as those of float32 NumPy.

    The two ways to make a step, fused and with stored gradients, leave the same bits.
    """
    fused, separate = trainer(model, config, batch), trainer(model, config, batch)
    start = fused.parameters()
    exact = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, start, np.float64)
    single = GoldenStep(model, CrossEntropyLoss(), OPTIMIZER, start, np.float32)
    for step in range(steps):
        x, y = samples(model, batch, step)
        losses = fused.step(x, y).loss, exact.step(x, y)
        single.step(x, y)
        separate.gradients(x, y)
        separate.update()
        assert abs(losses[0] - losses[1]) < 1e-5 * max(1, losses[1])
    assert fused.device.flags() == {"overflow": False, "invalid": False}
    ours, other = fused.parameters(), separate.parameters()
    for name, first in start.items():
        np.testing.assert_array_equal(ours[name].view(np.uint32), other[name].view(np.uint32), err_msg=name)
        change = exact.parameters()[name] - first
        error = relative(ours[name] - first, change)
        allowed = 2 * max(FLOOR, relative(single.parameters()[name] - first, change))
        assert error <= allowed, f"{name}: relative error {error:.3g}, more than {allowed:.3g}"
