"""Three training steps on the emulator give the parameters that they gave before: a change of the compiler shows here.

``recorded_steps.json`` has the first digits of a SHA-256 of all parameters, by network and array. They depend on how
work is cut into tiles, which decides the order of sums. Where tiles are chosen anew on purpose, `CHANGED` says why, and
the result must be no further from the golden step in float64 than it was.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import eftrain_hdl as ef
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.zoo import models

RECORDED: dict[str, str] = json.loads(Path(__file__).with_name("recorded_steps.json").read_text())
CONFIGS = {
    "fp32-8x8": ef.Config(rows=8, lanes=8),
    "bf16-16x16": ef.Config(rows=16, lanes=16, operand=ef.BF16, ports=3),
    "fp32-4x8": ef.Config(rows=4, lanes=8, ports=2, accumulator_banks=2),
    "tf32-32x16": ef.Config(rows=32, lanes=16, operand=ef.TF32, ports=4),
}
NETWORKS = {
    "shallow": ((1, 8, 8), 16), "lenet": ((1, 8, 8), 16), "lenet10": ((1, 28, 28), 4), "1x": ((3, 32, 32), 4),
    "2x": ((3, 32, 32), 2), "4x": ((3, 16, 16), 2), "alexnet": ((3, 67, 67), 2),
}  # fmt: skip
"""Input shape and batch."""
QUICK = ("shallow", "lenet")
_DISPATCH = "other tiles pay since most instructions are short"
CHANGED = {
    "lenet/tf32-32x16": (_DISPATCH, {"7.weight": 4.1129e-4}), "lenet10/bf16-16x16": (_DISPATCH, {"0.weight": 0.151844}),
}  # fmt: skip
"""Why, and by parameter the norm of its error before, relative to that of its change."""
CLASSES, STEPS = 10, 3


def batches(shape: tuple[int, ...], batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(2)
    return [
        (generator.standard_normal((batch, *shape)).astype(np.float32), generator.integers(0, CLASSES, batch))
        for _ in range(STEPS)
    ]


def digest(parameters: dict[str, np.ndarray]) -> str:
    found = hashlib.sha256()
    for name, value in sorted(parameters.items()):
        found.update(name.encode() + value.tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("network", [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in NETWORKS
])  # fmt: skip
def test_parameters_after_three_steps(network: str, config: str) -> None:
    (shape, batch), case = NETWORKS[network], f"{network}/{config}"
    model = models[network](shape, CLASSES)
    optimizer = ef.SGD(lr=0.01, momentum=0.9, weight_decay=1e-3)
    device = ef.EmulatorDevice(CONFIGS[config], memory_bytes=1 << 29)
    trainer = ef.Trainer(
        model, loss=ef.CrossEntropyLoss(), optimizer=optimizer, batch=batch, device=device, seed=1
    )
    start = trainer.parameters()
    for x, y in batches(shape, batch):
        trainer.step(x, y)
    after = trainer.parameters()
    if case not in CHANGED:
        assert digest(after) == RECORDED[case]
        return
    golden = GoldenStep(model, ef.CrossEntropyLoss(), optimizer, start)
    for x, y in batches(shape, batch):
        golden.step(x, y)
    _, errors = CHANGED[case]
    for name, error in errors.items():
        wanted = golden.parameters()[name]
        now = np.linalg.norm(after[name] - wanted) / np.linalg.norm(wanted - start[name])
        assert now <= 1.001 * error, name
