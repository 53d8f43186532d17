"""Closed estimates: what they count, and that they agree with the timing model where the gateware has such a pass."""

from __future__ import annotations

import pytest

from eftrain_hdl.compiler.plan import Compilation
from eftrain_hdl.compiler.sample import Detail
from eftrain_hdl.compiler.stages import cut_stages
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, ReLU, Sequential
from eftrain_hdl.planner import passes
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.passes import Pass, map_beats
from eftrain_hdl.planner.ports import DEFAULT_PORTS, PortTiming, port_timing
from eftrain_hdl.planner.timing import simulate_timing

ZYNQ = port_timing(memory_model("zynq7020"), Config(), 100)


@pytest.mark.parametrize("ports", [DEFAULT_PORTS, ZYNQ, PortTiming(read_rate=0.5)])
@pytest.mark.parametrize("config", [Config(), Config(rows=8, lanes=8, ports=3), Config(operand_depth=512)])
@pytest.mark.parametrize(("shape", "batch"), [((16, 32, 32), 4), ((64, 8, 8), 4), ((32, 16, 16), 1), ((16, 4, 4), 1)])
def test_passes_take_as_long_as_those_of_the_timing_model(
    config: Config, ports: PortTiming, shape: tuple[int, int, int], batch: int
) -> None:
    """A ReLU that stands alone reads one map and writes one; backward, it reads two, as an addition does."""
    stages = cut_stages(Sequential(ReLU(), input_shape=shape).nodes, shape, config, first=False)
    work = Compilation(stages, config, batch, SGD(0.1), 0, detail=Detail.SAMPLED, behind=True)
    beats = map_beats(config, batch, shape)
    (backward,) = passes.rectify_backward(beats)
    for context, closed in ((work.forward(), Pass(beats, beats, beats)), (work.backward(True), backward)):
        model = sum(context.cycles(simulate_timing(context.builder.finish(), config, ports)))
        assert closed.cycles(config, ports) == pytest.approx(model, rel=0.06 if beats > 1000 else 0.09)


def test_what_is_needed_most_sets_the_pace() -> None:
    config, beats = Config(operand_depth=64), 1 << 20
    for work, ports, expected in (
        (Pass(beats, 0, 0), DEFAULT_PORTS, beats),
        (Pass(beats, 2 * beats, beats), DEFAULT_PORTS, 2 * beats),
        (Pass(beats, beats, beats), PortTiming(read_rate=0.25), 4 * beats),
        (Pass(beats, beats, beats), PortTiming(write_rate=0.125), 8 * beats),
    ):
        pieces = beats / 32 * ports.read_latency
        assert work.cycles(config, ports) - pieces == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "lanes", "beats"),
    [((16, 8, 8), 16, 3 * 64 * 4), ((17, 8, 8), 16, 3 * 2 * 64 * 4), ((3, 5, 7), 8, 3 * 35 * 2), ((20,), 8, 3 * 3 * 2)],
)
def test_beats_of_a_map_fill_up_its_channels(shape: tuple[int, ...], lanes: int, beats: int) -> None:
    assert map_beats(Config(rows=lanes, lanes=lanes), 3, shape) == beats


def test_traffic_is_what_the_formulas_say() -> None:
    def traffic(work: list[Pass]) -> tuple[int, int, int]:
        return len(work), sum(one.reads for one in work), sum(one.writes for one in work)

    assert traffic(passes.batch_norm_forward(100)) == (2, 200, 100)
    assert traffic(passes.batch_norm_backward(100, input_gradient=True)) == (2, 400, 100)
    assert traffic(passes.batch_norm_backward(100, input_gradient=False)) == (1, 200, 0)
    assert traffic(passes.batch_norm_update(8, momentum=False)) == (1, 16, 16)
    assert traffic(passes.batch_norm_update(8, momentum=True)) == (1, 32, 32)
    assert traffic(passes.addition(100)) == traffic(passes.rectify_backward(100)) == (1, 200, 100)
    assert passes.average_pool_forward(640, 10, 64) == [Pass(640, 640, 10)]
    assert passes.average_pool_backward(640, 10, 64) == [Pass(640, 10, 640)]
    assert passes.average_pool_forward(90, 64, 9) == [Pass(576, 90, 64)]  # windows that overlap
