# amaranth: UnusedElaboratable=no
"""The timing model: its latencies are the gateware's, its cycles close to those that the RTL counts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.model_error import CASES, SHORT, compare
from eftrain_hdl.config import Config
from eftrain_hdl.isa import Instruction, Opcode
from eftrain_hdl.planner.timing import array_latency, simulate_timing
from eftrain_hdl.rtl.compute import ComputeUnit

MEAN, WORST = 0.02, 0.06


@pytest.mark.parametrize(("rows", "lanes"), [(2, 2), (4, 4), (4, 8), (8, 8), (32, 16), (16, 32), (64, 64)])
def test_latencies_are_those_of_the_gateware(rows: int, lanes: int) -> None:
    config = Config(rows=rows, lanes=lanes)
    unit = ComputeUnit(config)
    assert array_latency(config) == (unit.latency, unit.recurrence)


def test_a_program_without_instructions_takes_only_its_fetch() -> None:
    timeline = simulate_timing([Instruction(Opcode.END, {})], Config())
    assert len(timeline.phases) == 1 and 0 < timeline.phases[0] < 200 and not timeline.spans


def test_a_program_that_waits_for_ever_is_refused() -> None:
    program = [Instruction(Opcode.STORE_0, {"run": 1, "count1": 1, "count2": 1, "count3": 1})]  # of what nobody sends
    with pytest.raises(AssertionError, match="never reached"):
        simulate_timing([*program, Instruction(Opcode.END, {})], Config())


def test_cycles_of_the_rtl() -> None:
    """Ten cases, as many as one model of the RTL can show."""
    check([compare(case) for case in SHORT])


@pytest.mark.full
def test_cycles_of_the_rtl_on_many_configurations() -> None:
    assert len(CASES) >= 40
    check([compare(case) for case in CASES])


def check(results: list) -> None:
    for result in results:
        print(f"{result.case}: {result.rtl} {result.model:.0f} {result.error:+.2%}")
    errors = np.abs([result.error for result in results])
    assert errors.mean() <= MEAN and errors.max() <= WORST
