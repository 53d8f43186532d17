"""What a tiling asks for, by the closed formulas that rank it, against the instructions that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import pytest

from eftrain_hdl import SGD, Config
from eftrain_hdl.compiler import phase as phase_module
from eftrain_hdl.compiler.compute import group_words, rows_of_group, words_of_groups
from eftrain_hdl.compiler.context import Context
from eftrain_hdl.compiler.errors import CompileError
from eftrain_hdl.compiler.phase import Phase
from eftrain_hdl.compiler.sample import Detail
from eftrain_hdl.compiler.step import Step
from eftrain_hdl.graph import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import Opcode
from eftrain_hdl.planner.tiling import Need, Tiling, choose, spans
from eftrain_hdl.planner.timing import array_latency, demand

ARRAYS = [(4, 4), (8, 4), (12, 4), (16, 4), (4, 8), (2, 8)]
BATCH, MAP = 4, 8


@pytest.mark.parametrize(("rows", "lanes"), ARRAYS)
def test_words_of_groups_are_those_of_the_instructions(rows: int, lanes: int) -> None:
    config = Config(rows=rows, lanes=lanes)
    for tiles in range(1, 20):
        for group in range(1, tiles + 1):
            parts = [rows_of_group(config, end - first) for first, end in spans(tiles, group)]
            assert words_of_groups(config, tiles, group) == sum(one.blocks for part in parts for one in part)
        assert words_of_groups(config, tiles, tiles) == group_words(config, tiles)


@pytest.mark.parametrize(("rows", "lanes"), ARRAYS)
def test_cycles_of_the_array(monkeypatch: pytest.MonkeyPatch, rows: int, lanes: int) -> None:
    config = Config(rows=rows, lanes=lanes, accumulator_depth=1024)
    model = Sequential(
        Conv2d(5 * lanes, 7 * lanes, 3, padding=1), ReLU(), Conv2d(7 * lanes, 5 * lanes, 1), Flatten(),
        Linear(5 * lanes * MAP * MAP, 10), input_shape=(5 * lanes, MAP, MAP),
    )  # fmt: skip
    compared: set[tuple[str, int]] = set()

    def compare(
        config: Config, candidates: Iterable[tuple[Tiling, Need]], timing: Callable[[Tiling], float | None],
        halvings: Sequence[int], *, brief: bool,
    ) -> Tiling:  # fmt: skip
        phase: Any = timing.__self__  # type: ignore[attr-defined]
        if phase.label == "WU" or phase.columns != MAP:
            return choose(config, candidates, timing, halvings, brief=brief)
        every = list(candidates)
        most = max(tiling.reduce for tiling, _ in every)
        for tiling, need in every:
            pixels = tiling.images * tiling.rows * MAP
            even = BATCH % tiling.images == MAP % tiling.rows == 0
            # The order of the loops and the pieces of a sum make more instructions, not more cycles.
            alike = not tiling.tiles_outer or tiling.reduce < most
            if alike or not even or pixels < max(rows, array_latency(config)[1]):
                continue
            probe = copy(phase)
            probe.context = Context(config, BATCH, Detail.COMPLETE)
            try:
                probe._emit(tiling)
            except CompileError:
                continue
            program = probe.context.builder.finish()
            assert need.mac == sum(demand(one, config) for one in program if one.opcode is Opcode.COMPUTE), tiling
            compared.add((phase.label, tiling.group))
        return choose(config, every, timing, halvings, brief=brief)

    monkeypatch.setattr(phase_module, "choose", compare)
    step = Step(model, config, BATCH, SGD(lr=0.1), Detail.BRIEF)
    for _ in (*step.forward(), *step.backward()):
        pass
    assert len([group for label, group in compared if label == "FP"]) > 3
    assert len([group for label, group in compared if label == "BP"]) > 3


def test_loops_over_a_single_group_are_judged_once() -> None:
    config = Config(rows=4, lanes=4)
    need = Need(1, 1, 1, 100, 10, 10, 0, 10, 10, tiles=4, groups=1, pieces=1, instructions=4, station_pieces=1)
    several = [Tiling(1, rows, 1, 1, outer) for rows in (1, 2) for outer in (True, False)]
    judged: list[Tiling] = []

    def timing(tiling: Tiling) -> float:
        judged.append(tiling)
        return 1000.0 - tiling.rows

    assert choose(config, [(tiling, need) for tiling in several], timing, ()).rows == 2
    assert [tiling.rows for tiling in judged] == [1, 2]
    judged.clear()
    choose(config, [(tiling, need._replace(groups=2)) for tiling in several], timing, ())
    assert [tiling.rows for tiling in judged] == [1, 1, 2, 2]


def test_phases_that_share_tiles_would_choose_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential(
        Conv2d(5, 8, 3, padding=1), ReLU(), *(Conv2d(8, 8, 3, padding=1), ReLU()) * 3, MaxPool2d(2),
        *(Conv2d(8, 8, 3, padding=1), ReLU()) * 2, Flatten(), Linear(8 * 36, 10), input_shape=(5, 12, 12),
    )  # fmt: skip
    shared: list[str] = []
    emit = Phase.emit

    def checked(phase: Phase) -> None:
        known = phase.context.tilings.get((phase.label, *phase._shape()))
        if known is not None:
            shared.append(phase.label)
            assert choose(phase.config, phase._candidates(), phase.cycles, phase.halvings) == known
        emit(phase)

    monkeypatch.setattr(Phase, "emit", checked)
    step = Step(model, Config(rows=4, lanes=4), 3, SGD(lr=0.1), Detail.SAMPLED)
    for _ in (*step.forward(), *step.backward()):
        pass
    # Of 8-to-8 convolutions three on the large map and two on the small; pooling behind one, or before one, counts
    # where the phase executes it.
    assert sorted(shared) == ["BP", "BP", "FP", "FP", "WU", "WU", "WU"]
