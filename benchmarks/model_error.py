"""The timing model against the cycle counters of the RTL: whole training steps of layers and small networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

import eftrain_hdl as ef
from eftrain_hdl.compiler.estimate import estimate_step
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.ports import port_timing
from eftrain_hdl.runtime.sim import SimDevice

__all__ = ["CASES", "SHORT", "Case", "Result", "compare", "measure"]

CLOCK_MHZ = 250.0


@dataclass(frozen=True)
class Case:
    """One training step: a network, a batch, a configuration, a memory."""

    network: str
    batch: int
    config: ef.Config
    memory: str

    def __str__(self) -> str:
        config = self.config
        return (f"{self.network} batch {self.batch}, {config.rows} x {config.lanes} {config.operand.name}, "
                f"{config.ports} ports, {self.memory}")


@dataclass(frozen=True)
class Result:
    """Cycles of the RTL and of the model."""

    case: Case
    rtl: int
    model: float

    @property
    def error(self) -> float:
        return self.model / self.rtl - 1


def _layer(conv: ef.Conv2d, size: int, *, pool: bool = False) -> ef.Sequential:
    """A layer between a first one, so that it has all phases, and a classifier."""
    body = [ef.Conv2d(3, conv.in_channels, 1), ef.ReLU(), conv, ef.ReLU(), *([ef.MaxPool2d(2)] if pool else [])]
    features = ef.Sequential(*body, ef.Flatten(), input_shape=(3, size, size)).output_shape[0]
    return ef.Sequential(*body, ef.Flatten(), ef.Linear(features, 10), input_shape=(3, size, size))


_NETWORKS: dict[str, Callable[[], ef.Sequential]] = {
    "shallow": lambda: ef.models["shallow"]((1, 8, 8), 10),
    "lenet": lambda: ef.models["lenet"]((1, 8, 8), 10),
    "lenet10": lambda: ef.models["lenet10"]((1, 28, 28), 10),
    "1x": lambda: ef.models["1x"]((3, 32, 32), 10),
    "3x3": lambda: _layer(ef.Conv2d(32, 48, 3, padding=1), 14, pool=True),
    "1x1": lambda: _layer(ef.Conv2d(64, 32, 1), 14),
    "stride": lambda: _layer(ef.Conv2d(24, 40, 3, stride=2, padding=1), 17),
    "5x5": lambda: _layer(ef.Conv2d(20, 36, 5, padding=2), 12, pool=True),
    "linear": lambda: ef.Sequential(ef.Linear(400, 300), ef.ReLU(), ef.Linear(300, 10), input_shape=(400,)),
}
_BATCHES = (1, 3, 4, 8)
_CONFIGS = (
    ef.Config(rows=8, lanes=8),
    ef.Config(rows=8, lanes=8, ports=3),
    ef.Config(rows=8, lanes=8, operand=ef.BF16, ports=2),
    ef.Config(rows=16, lanes=16, operand=ef.BF16, ports=3),
    ef.Config(rows=16, lanes=16),
)
_MEMORIES = ("zcu102", "ultra96", "ideal", "zynq7020")


def _cases(configs: Sequence[ef.Config], count: int) -> Iterator[Case]:
    """Combine networks, batches, configurations and memories, each in a rhythm of its own."""
    networks, batches, memories = cycle(_NETWORKS), cycle(_BATCHES), cycle(_MEMORIES)
    for k in range(count):
        batch = next(batches) if k % len(_NETWORKS) else next(batches) and next(batches)
        yield Case(next(networks), batch, configs[k * len(configs) // count], next(memories))


CASES = tuple(_cases(_CONFIGS, 45))
SHORT = tuple(_cases(_CONFIGS[:1], 10))
"""Cases that need only one model of the RTL."""


@cache
def _network(name: str) -> ef.Sequential:
    return _NETWORKS[name]()


def compare(case: Case, report: Callable[[str], None] | None = None) -> Result:
    """Run a step on the RTL and estimate it."""
    model = _network(case.network)
    optimizer = ef.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)
    device = SimDevice(case.config, memory=case.memory, memory_bytes=1 << 26, clock_mhz=CLOCK_MHZ, progress=report)
    trainer = ef.Trainer(
        model, loss=ef.CrossEntropyLoss(), optimizer=optimizer, batch=case.batch, device=device, seed=0
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.batch, *model.input_shape)).astype(np.float32)
    cycles = trainer.step(x, np.arange(case.batch) % 10).cycles
    device.close()
    assert cycles is not None
    ports = port_timing(memory_model(case.memory), case.config, CLOCK_MHZ)
    estimate = estimate_step(model, case.config, batch=case.batch, optimizer=optimizer, ports=ports)
    return Result(case, cycles, estimate.cycles)


def _draw(results: Sequence[Result], folder: Path) -> Path:
    """A point for every case: cycles of the RTL, error of the model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for memory in _MEMORIES:
        mine = [result for result in results if result.case.memory == memory]
        axes.scatter([result.rtl for result in mine], [100 * result.error for result in mine], label=memory, s=22)
    axes.axhline(0, color="#7b8794", linewidth=0.8)
    axes.set(xscale="log", xlabel="cycles of a step on the RTL", ylabel="error of the model, %")
    axes.legend(frameon=False, title="memory")
    folder.mkdir(exist_ok=True)
    path = folder / "model_error.png"
    figure.savefig(path, dpi=120)
    return path


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """All cases; returns how many, the mean of the absolute errors, and the worst."""
    report(f"{'case':62} {'RTL':>10} {'model':>10} {'error':>7}")
    results = []
    for case in CASES:
        result = compare(case, report)
        results.append(result)
        report(f"{case!s:62} {result.rtl:10,} {result.model:10,.0f} {result.error:7.1%}")
    errors = [abs(result.error) for result in results]
    report(f"wrote {_draw(results, Path('build'))}")
    return {"cases": len(errors), "mean": float(np.mean(errors)), "worst": max(errors)}


if __name__ == "__main__":
    print(measure(print))
