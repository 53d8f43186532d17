"""Proofs of the AXI components for all time: inputs free, claims and lemmas by induction over one cycle.

A proof is worth something only if its claims can be violated and its bounds are reached: so each claim has a fault
in the component's source that violates it on a way from power-up, and each bench has goals that must be reachable.
"""

from collections.abc import Callable

import pytest

from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from tests.formal.bench import Bench
from tests.formal.faults import Fault, faulty
from tests.formal.generator import generator
from tests.formal.read_dma import read_dma
from tests.formal.run import Circuit, tools_missing

pytestmark = pytest.mark.skipif(bool(tools_missing()), reason=f"not installed: {', '.join(tools_missing())}")

full = pytest.mark.full

GENERATOR = {"data_width": 32, "address_width": 14, "max_beats": 16}
READ = {"data_width": 32, "address_width": 14, "outstanding": 2, "fifo_beats": 3}

PROOFS: list[tuple[Callable[..., None], dict[str, int], int]] = [
    (generator, GENERATOR, 11),
    (generator, {"data_width": 256, "address_width": 16, "max_beats": 256}, 11),
    (read_dma, READ, 19),
    (read_dma, {"data_width": 64, "address_width": 13, "outstanding": 3, "fifo_beats": 4}, 22),
]
"""Bench, parameters, and the depth within which all goals are reached."""

COMPONENTS = {generator: BurstGenerator, read_dma: ReadDma}

FAULTS: dict[Callable[..., None], tuple[dict[str, int], int, list[Fault]]] = {
    generator: (
        GENERATOR,
        11,
        [
            Fault("length", "self.burst_beats > self.max_beats", "self.burst_beats > self.max_beats + 1"),
            Fault("page", "ends_page = page_fits_limit & ~left_fits_page", "ends_page = Const(0)"),
            Fault("window", "end > self.window_limit", "end > self.window_limit + 4"),
            Fault("stands", "queue.r_en.eq(~head_valid | self.o.ready)", "queue.r_en.eq(1)"),
        ],
    ),
    read_dma: (
        READ,
        19,
        [
            Fault("window", "window_limit.eq(self.window_limit)", "window_limit.eq((1 << self.address_width) - 1)"),
            Fault("asked_once", "(burst.beats - 1)[:8]", "burst.beats[:8]"),
            Fault("address_stands", "addresses.r_en.eq(axi.arready)", "addresses.r_en.eq(1)"),
            Fault("beat_stands", "buffer.r_en.eq(self.o.ready)", "buffer.r_en.eq(1)"),
            Fault("outstanding", "depth=self.outstanding)", "depth=self.outstanding + 1)"),
            Fault("takes_all", "axi.rready.eq(1)", "axi.rready.eq(self.o.ready)"),
            Fault("in_order", "beat_valid & ~beat_bad & ~stopped", "beat_valid & ~beat_bad"),
            Fault("last", "beat_last & flight_head.last", "beat_last"),
            Fault("complete", "beat_valid & ~beat_bad & ~stopped", "beat_valid & ~beat_last & ~beat_bad & ~stopped"),
            Fault("idle", "flight.r_en.eq(beat_valid & beat_last)", "flight.r_en.eq(beat_valid)"),
            Fault("error_found", "beat_bad.eq(axi.rresp[1])", "beat_bad.eq(axi.rresp == 2)"),
            Fault("error_place", "self.error_address.eq(flight_head.address)", "self.error_address.eq(burst.address)"),
        ],
    ),
}


def _name(bench: Callable[..., None], parameters: dict[str, int]) -> str:
    return "_".join([bench.__name__, *map(str, parameters.values())])


@pytest.mark.parametrize(("bench", "parameters", "depth"), PROOFS)
def test_holds_for_ever_and_says_something(bench: Callable[..., None], parameters: dict[str, int], depth: int) -> None:
    subject = Bench()
    bench(subject, **parameters)
    circuit = Circuit(subject, _name(bench, parameters))
    assert circuit.unproved() == []
    assert circuit.reached(depth) == list(subject.goals)


@pytest.mark.parametrize(
    ("bench", "fault"), [(bench, fault) for bench, (_, _, faults) in FAULTS.items() for fault in faults]
)
def test_fault_is_noticed(bench: Callable[..., None], fault: Fault) -> None:
    parameters, depth, _ = FAULTS[bench]
    subject = Bench()
    bench(subject, faulty(COMPONENTS[bench], fault), **parameters)
    assert Circuit(subject, f"{bench.__name__}_{fault.claim}").violated(fault.claim, depth)
