# amaranth: UnusedElaboratable=no
"""Both arbiters on Verilator, tested by ``sim/axi/bench_arbiter.py``."""

import pytest

from eftrain_hdl.rtl.axi.arbiter import ReadArbiter, WriteArbiter
from sim.axi.tops_shared import SharedPort
from sim.runner import run_bench


def test_bench() -> None:
    assert run_bench(SharedPort(), "sim.axi.bench_arbiter") == 6 + 1 + 1 + 1


@pytest.mark.parametrize("kind", [ReadArbiter, WriteArbiter])
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, 64), {}, "managers must be an integer from 2 to 16, not 1"),
        ((2, 48), {}, "data_width must be one of 32, 64, 128, 256, not 48"),
        ((2, 64), {"outstanding": 0}, "outstanding must be an integer from 1 to 256, not 0"),
        ((2, 64), {"protection": 9}, "protection must be an integer from 0 to 7, not 9"),
    ],
)
def test_constructor_errors(kind: type, arguments: tuple[int, int], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(*arguments, **options)
