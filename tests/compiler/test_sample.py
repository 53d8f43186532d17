"""Sampled programs take as long as complete ones, and the closed estimate is of that size."""

from __future__ import annotations

import pytest

import eftrain_hdl as ef
from eftrain_hdl.compiler.estimate import estimate_step, needed_memory, quick_estimate
from eftrain_hdl.compiler.plan import Compilation
from eftrain_hdl.compiler.sample import Detail
from eftrain_hdl.compiler.stages import build_stages
from eftrain_hdl.planner.timing import simulate_timing

CONFIG = ef.Config(rows=4, lanes=4, streaming_depth=256, stationary_depth=512, accumulator_depth=256)
NETWORKS = {
    "long sums": ef.Sequential(ef.Linear(3000, 24), ef.ReLU(), ef.Linear(24, 10), input_shape=(3000,)),
    "many sums": ef.Sequential(
        ef.Conv2d(3, 16, 3, padding=1), ef.ReLU(), ef.MaxPool2d(2), ef.Conv2d(16, 24, 3, padding=1), ef.ReLU(),
        ef.Flatten(), ef.Linear(24 * 12 * 12, 10), input_shape=(3, 24, 24),
    ),  # fmt: skip
    "pooling between maps": ef.Sequential(
        ef.Conv2d(3, 8, 3, padding=1), ef.ReLU(), ef.MaxPool2d(3, stride=2), ef.Conv2d(8, 8, 3), ef.ReLU(),
        ef.Flatten(), ef.Linear(8 * 17 * 17, 10), input_shape=(3, 40, 40),
    ),  # fmt: skip
}
OPTIMIZER = ef.SGD(lr=0.01, momentum=0.9)


def cycles(model: ef.Sequential, detail: Detail, tilings: dict) -> tuple[float, int]:
    """Cycles of a step, and instructions in its programs."""
    compilation = Compilation(build_stages(model, CONFIG), CONFIG, 4, OPTIMIZER, 0, detail=detail)
    compilation.tilings = tilings
    total, count = 0.0, 0
    for context in (compilation.forward(), compilation.backward(fused=True)):
        program = context.builder.finish()
        total += sum(context.cycles(simulate_timing(program, CONFIG)))
        count += len(program)
    return total, count


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_takes_as_long_as_the_whole(name: str) -> None:
    tilings: dict = {}
    sampled, fewer = cycles(NETWORKS[name], Detail.SAMPLED, tilings)
    complete, instructions = cycles(NETWORKS[name], Detail.COMPLETE, tilings)
    assert fewer < 0.8 * instructions
    assert sampled == pytest.approx(complete, rel=0.02)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_closed_estimate_is_of_the_same_size(name: str) -> None:
    """It ranks candidates; the fetch of many small instructions through one port is what it sees least of."""
    exact = estimate_step(NETWORKS[name], CONFIG, batch=4, optimizer=OPTIMIZER).cycles
    assert 0.5 < quick_estimate(NETWORKS[name], CONFIG, batch=4, optimizer=OPTIMIZER) / exact < 1.25


@pytest.mark.parametrize("batch", [1, 5])
def test_memory_is_that_of_the_tensors_of_a_plan(batch: int) -> None:
    model = NETWORKS["many sums"]
    plan = ef.compile_model(model, CONFIG, batch=batch, loss=ef.CrossEntropyLoss(), optimizer=OPTIMIZER)
    programs = sum(-(-4 * len(program.words) // 4096) * 4096 for program in plan.programs.values())
    needed = needed_memory(model, CONFIG, batch=batch, optimizer=OPTIMIZER)
    assert needed <= plan.memory_bytes <= needed + programs
