"""Proofs of the AXI components for all time: inputs free, claims and lemmas by induction over one cycle.

A proof is worth something only if its claims can be violated and its bounds are reached: so each claim has a fault
in the component's source that violates it on a way from power-up, and each bench has goals that must be reachable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from amaranth.lib import wiring

from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.rtl.axi.arbiter import ReadArbiter, WriteArbiter
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator
from eftrain_hdl.rtl.axi.dma_parts import add_flight, connect_generator
from eftrain_hdl.rtl.axi.lite import RegisterBank
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from eftrain_hdl.rtl.axi.write_dma import WriteDma
from tests.formal.arbiters import read_arbiter, write_arbiter
from tests.formal.bench import Bench
from tests.formal.faults import Fault, faulty
from tests.formal.generator import generator
from tests.formal.lite import SMALL_MAP, register_bank
from tests.formal.read_dma import read_dma
from tests.formal.run import Circuit, tools_missing
from tests.formal.write_dma import write_dma

pytestmark = pytest.mark.skipif(bool(tools_missing()), reason=f"not installed: {', '.join(tools_missing())}")


@dataclass(frozen=True)
class Proof:
    """A bench with its parameters, and the depth from power-up within which its goals and faults show."""

    bench: Callable[..., None]
    depth: int
    parameters: Mapping[str, object]

    def subject(self, component: type[wiring.Component]) -> Bench:
        bench = Bench()
        self.bench(bench, component, **self.parameters)
        return bench


PROOFS = {
    "generator": Proof(generator, 11, {"data_width": 32, "address_width": 14, "max_beats": 16}),
    "read": Proof(read_dma, 19, {"data_width": 32, "address_width": 14, "outstanding": 2, "fifo_beats": 3}),
    "write": Proof(write_dma, 18, {"data_width": 32, "address_width": 14, "outstanding": 2, "fifo_beats": 3}),
    "read_arbiter": Proof(read_arbiter, 10, {"managers": 3, "data_width": 32, "address_width": 13, "outstanding": 3}),
    "write_arbiter": Proof(write_arbiter, 10, {"managers": 3, "data_width": 32, "address_width": 13, "outstanding": 3}),
    "registers": Proof(register_bank, 10, {"register_map": SMALL_MAP}),
}

_WIDE = {"data_width": 128, "address_width": 40}
OTHER_PARAMETERS = {
    "generator": Proof(generator, 11, {**_WIDE, "max_beats": 256}),
    "read": Proof(read_dma, 24, {**_WIDE, "outstanding": 4, "fifo_beats": 5}),
    "write": Proof(write_dma, 24, {**_WIDE, "outstanding": 4, "fifo_beats": 5}),
    "read_arbiter": Proof(read_arbiter, 14, {"managers": 5, **_WIDE, "outstanding": 8}),
    "write_arbiter": Proof(write_arbiter, 14, {"managers": 5, **_WIDE, "outstanding": 8}),
    "registers": Proof(register_bank, 10, {"register_map": REGISTER_MAP}),
}

COMPONENTS: dict[str, type[wiring.Component]] = {
    "generator": BurstGenerator,
    "read": ReadDma,
    "write": WriteDma,
    "read_arbiter": ReadArbiter,
    "write_arbiter": WriteArbiter,
    "registers": RegisterBank,
}

_STROBE = "strobe.eq(~stopped)"
_ADDRESS_FREE = "free.eq((~valid | ready) & room)"
_ARBITER_FAULTS = [
    Fault("address_stands", _ADDRESS_FREE, "free.eq(room)"),
    Fault("address_moves", _ADDRESS_FREE, "free.eq(~valid & room)"),
    Fault("one_taken", "eq(free & (grant == index))", "eq(free)"),
    Fault("asked_once", "with m.Elif(ready):", "with m.Elif(ready & ~ready):"),
    Fault("turn0", "latest.eq(grant)", "latest.eq(0)"),
]

_BURST_LENGTH = ("length", "self.burst_beats > self.max_beats", "self.burst_beats > self.max_beats + 1")
_BURST_PAGE = ("page", "ends_page = page_fits_limit & ~left_fits_page", "ends_page = Const(0)")
_FLIGHT = ("outstanding", "depth=dma.outstanding)", "depth=dma.outstanding + 1)")
_ENGINE_FAULTS = [
    Fault("length", "limit.eq(self.burst_beats)", "limit.eq(self.burst_beats + 1)", part=BurstGenerator),
    Fault(*_BURST_PAGE, part=BurstGenerator),
]

FAULTS = {
    "generator": [
        Fault(*_BURST_LENGTH),
        Fault(*_BURST_PAGE),
        Fault("window", "end > self.window_limit", "end > self.window_limit + 4"),
        Fault("window", "below | (end", "(end"),
        Fault("stands", "queue.r_en.eq(~head_valid | self.o.ready)", "queue.r_en.eq(1)"),
    ],
    "read": [
        *_ENGINE_FAULTS,
        Fault(
            "window",
            "window_limit.eq(dma.window_limit)",
            "window_limit.eq((1 << dma.address_width) - 1)",
            part=connect_generator,
        ),
        Fault("asked_once", "(burst.beats - 1)[:8]", "burst.beats[:8]"),
        Fault("address_stands", "addresses.r_en.eq(axi.arready)", "addresses.r_en.eq(1)"),
        Fault("beat_stands", "buffer.r_en.eq(self.o.ready)", "buffer.r_en.eq(1)"),
        Fault(*_FLIGHT, part=add_flight),
        Fault("stops", "fifo.w_rdy & addresses.w_rdy & ~stopped", "fifo.w_rdy & addresses.w_rdy"),
        Fault("takes_all", "axi.rready.eq(1)", "axi.rready.eq(self.o.ready)"),
        Fault("in_order", "beat.valid & ~beat.bad & ~stopped", "beat.valid & ~beat.bad"),
        Fault("last", "beat.last & flight.head.last", "beat.last"),
        Fault("complete", "beat.valid & ~beat.bad & ~stopped", "beat.valid & ~beat.last & ~beat.bad & ~stopped"),
        Fault("idle", "fifo.r_en.eq(beat.valid & beat.last)", "fifo.r_en.eq(beat.valid)"),
        Fault("error_found", "beat.bad.eq(axi.rresp[1])", "beat.bad.eq(axi.rresp == 2)"),
        Fault("error_place", "READ_RESPONSE, flight.head.address", "READ_RESPONSE, generator.o.payload.address"),
    ],
    "write": [
        *_ENGINE_FAULTS,
        Fault("window", "window_base.eq(dma.window_base)", "window_base.eq(0)", part=connect_generator),
        Fault("asked_once", "(burst.beats - 1)[:8]", "burst.beats[:8]"),
        Fault("address_stands", "addresses.r_en.eq(axi.awready)", "addresses.r_en.eq(1)"),
        Fault(*_FLIGHT, part=add_flight),
        Fault("idle", "self.idle.eq(flight.fifo.level == 0)", "self.idle.eq(lengths.level == 0)"),
        Fault("data_stands", "with m.Elif(axi.wready):", "with m.Else():"),
        Fault("in_order", "buffer.r_en.eq(sending & (~axi.wvalid | axi.wready))", "buffer.r_en.eq(sending)"),
        Fault("last", "final.eq(left == 2)", "final.eq(left == 3)"),
        Fault("in_hand", "(burst.beats <= available)", "(burst.beats <= available + 1)"),
        Fault("strobes_set", _STROBE, "strobe.eq(0)"),
        Fault("strobes_clear", _STROBE, "strobe.eq(1)"),
        Fault("strobes_whole", "strobe.replicate(self.data_width // 8)", "strobe"),
        Fault("complete", "(generator.busy | (buffer.level != 0))", "generator.busy"),
        Fault("stops", "lengths.w_rdy & addresses.w_rdy & ~stopped", "lengths.w_rdy & addresses.w_rdy"),
        Fault("takes_all", "axi.bready.eq(1)", "axi.bready.eq(~stopped)"),
        Fault("done", "flight.head.last & ~stopped", "flight.head.last"),
        Fault("done", "response_valid & ~response_bad & flight.head.last", "response_valid & ~response_bad"),
        Fault("error_found", "response_bad.eq(axi.bresp[1])", "response_bad.eq(axi.bresp == 2)"),
        Fault("error_place", "WRITE_RESPONSE, flight.head.address", "WRITE_RESPONSE, generator.o.payload.address"),
    ],
    "read_arbiter": [
        *_ARBITER_FAULTS,
        Fault(
            "outstanding",
            "order = SyncFIFO(width=len(Signal(range(self.count))), depth=self.outstanding)",
            "order = SyncFIFO(width=len(Signal(range(self.count))), depth=self.outstanding + 1)",
        ),
        Fault("to_asker0", "axi.rvalid & order.r_rdy & (order.r_data == index)", "axi.rvalid & order.r_rdy"),
        Fault("to_asker1", "axi.rvalid & axi.rready & axi.rlast", "axi.rvalid & axi.rready"),
        Fault("taken_by_asker1", "for manager in self.managers)[order.r_data])", "for manager in self.managers)[0])"),
    ],
    "write_arbiter": [
        *_ARBITER_FAULTS,
        Fault(
            "outstanding",
            "response_order = SyncFIFO(width=width, depth=self.outstanding)",
            "response_order = SyncFIFO(width=width, depth=self.outstanding + 1)",
        ),
        Fault("data_stands", "free.eq(owned & (~axi.wvalid | axi.wready))", "free.eq(owned)"),
        Fault("data_owner", "manager.wready.eq(free & (owner == index))", "manager.wready.eq(free)"),
        Fault("data_passed", "strobe.eq(Array(manager.wstrb for manager in self.managers)[owner])", "strobe.eq(15)"),
        Fault("data_invented", "with m.Elif(axi.wready):", "with m.Elif(axi.wready & ~axi.wready):"),
        Fault("data_moves", "data_order.r_en.eq(~owned |", "data_order.r_en.eq("),
        Fault("to_asker0", "axi.bvalid & response_order.r_rdy & (response_order.r_data == index)", "axi.bvalid"),
        Fault("taken_by_asker1", "with m.If(response_order.r_rdy):", "with m.If(data_order.r_rdy):"),
    ],
    "registers": [
        Fault("b_stands", "with m.If(axi.bvalid & axi.bready):", "with m.If(axi.bvalid):"),
        Fault("b_asked", "have_address & have_data & ~apply", "have_address & ~apply"),
        Fault(
            "b_prompt",
            "with m.If(apply):\n            m.d.sync += [",
            "with m.If(apply & axi.bready):\n            m.d.sync += [",
        ),
        Fault("aw_kept", "axi.awready.eq(~have_address)", "axi.awready.eq(1)"),
        Fault("w_kept", "axi.wready.eq(~have_data)", "axi.wready.eq(1)"),
        Fault("b_response", "if register.writable:", "if True:"),
        Fault("field_setting_high", "strobe[n].replicate(8)", "strobe[0].replicate(8)"),
        Fault("field_action_go", "getattr(self, name).eq(new & enable)", "getattr(self, name).eq(new)"),
        Fault("field_flags_a", "(port & ~(new & enable)) |", "(port & ~enable) |"),
        Fault(
            "field_place", "hit.eq(address == register.offset // 4 + word)", "hit.eq(address == register.offset // 4)"
        ),
        Fault("r_stands", "axi.rdata.eq(data)", "axi.rdata.eq(chosen[0][:32])"),
        Fault("r_asked", "with m.If(axi.rvalid & axi.rready):", "with m.If(Const(0)):"),
        Fault("ar_kept", "axi.arready.eq((step == 0) & ~axi.rvalid)", "axi.arready.eq(step == 0)"),
        Fault("r_prompt", "with m.If(step[1]):", "with m.If(step[1] & axi.rready):"),
        Fault("r_data", "captured if register.snapshot else high", "high"),
        Fault("r_response", "known.eq(chosen[n][32])", "known.eq(1)"),
    ],
}


def _test_proof(name: str, proof: Proof) -> None:
    bench = proof.subject(COMPONENTS[name])
    sizes = [str(value) for value in proof.parameters.values() if isinstance(value, int)]
    circuit = Circuit(bench, "_".join([name, *sizes]))
    assert circuit.unproved() == []
    assert circuit.reached(proof.depth) == list(bench.goals)


@pytest.mark.parametrize("name", PROOFS)
def test_holds_for_ever_and_says_something(name: str) -> None:
    _test_proof(name, PROOFS[name])


@pytest.mark.full
@pytest.mark.parametrize("name", OTHER_PARAMETERS)
def test_holds_with_other_parameters(name: str) -> None:
    _test_proof(name, OTHER_PARAMETERS[name])


# The first three of each component in every run, the others in the long one.
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, id=f"{name}-{number}-{fault.claim}", marks=pytest.mark.full if number >= 3 else ())
        for name, faults in FAULTS.items()
        for number, fault in enumerate(faults)
    ],
)
def test_fault_is_noticed(name: str, fault: Fault) -> None:
    bench = PROOFS[name].subject(faulty(COMPONENTS[name], fault))
    assert Circuit(bench, f"{name}_{fault.claim}").violated(fault.claim, PROOFS[name].depth)


def _kind(claim: str) -> str:
    """Claims that are made of each manager, or of each field of a register, are of one kind."""
    return "field" if claim.startswith("field_") else claim.rstrip("0123456789")


@pytest.mark.parametrize("name", PROOFS)
def test_every_kind_of_claim_has_a_fault(name: str) -> None:
    claims = {_kind(claim) for claim in PROOFS[name].subject(COMPONENTS[name]).claims}
    assert claims == {_kind(fault.claim) for fault in FAULTS[name]}
