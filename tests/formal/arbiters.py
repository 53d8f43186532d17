"""The arbiters between managers and a bus that do as they like within the rules of AXI."""

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value
from amaranth.lib import data, wiring

from eftrain_hdl.rtl.axi.arbiter import ReadArbiter, WriteArbiter
from tests.formal.bench import Bench
from tests.formal.inside import Inside
from tests.formal.line import Line

__all__ = ["read_arbiter", "write_arbiter"]


def read_arbiter(
    bench: Bench,
    build: type[ReadArbiter] = ReadArbiter,
    *,
    managers: int,
    data_width: int,
    address_width: int,
    outstanding: int,
) -> None:
    """A read arbiter whose managers and bus are free, each channel keeping its offers."""
    m = bench.m
    dut = build(managers, data_width, address_width, outstanding=outstanding)
    axi = dut.axi
    inside = Inside(dut)
    m.submodules.dut = inside.fragment
    for index, manager in enumerate(dut.managers):
        m.d.comb += manager.rready.eq(bench.free(f"rready{index}"))
    sent = Signal(range(outstanding + 2))
    beats = Signal(8)
    ended = axi.rvalid & axi.rready & axi.rlast
    bursts = _Bursts(bench, dut, "ar", outstanding, pop=ended)
    m.d.sync += [
        sent.eq(sent + (axi.arvalid & axi.arready) - ended),
        beats.eq(Mux(ended, 0, beats + (axi.rvalid & axi.rready))),
    ]
    m.d.comb += axi.rvalid.eq(bench.free("rvalid") & (sent != 0))
    _drive_offer(bench, axi, "r", ("rdata", "rresp"))
    m.d.comb += axi.rlast.eq(beats == bursts[0].length)

    bursts.claims(bench, dut, "ar", sent)
    _route_claims(bench, dut, "r", bursts[0].manager, ("rdata", "rresp", "rlast"))
    bench.goal("longest", axi.rvalid & axi.rlast & (beats == 3))
    bench.goal("decode_error", ended & (axi.rresp == 3) & (bursts.line.level == outstanding))
    bursts.lemmas(bench, inside, "ar", sent, "order")
    bench.lemma("beats", Mux(sent != 0, beats <= bursts[0].length, beats == 0))


def write_arbiter(
    bench: Bench,
    build: type[WriteArbiter] = WriteArbiter,
    *,
    managers: int,
    data_width: int,
    address_width: int,
    outstanding: int,
) -> None:
    """A write arbiter whose managers and bus are free, each channel keeping its offers, WLAST as AWLEN says."""
    m = bench.m
    dut = build(managers, data_width, address_width, outstanding=outstanding)
    axi = dut.axi
    inside = Inside(dut)
    m.submodules.dut = inside.fragment
    for index, manager in enumerate(dut.managers):
        m.d.comb += manager.bready.eq(bench.free(f"bready{index}"))
        m.d.comb += manager.wvalid.eq(bench.free(f"wvalid{index}"))
        _drive_offer(bench, manager, "w", ("wdata", "wstrb", "wlast"), suffix=str(index))
    sent, written, taken = (Signal(range(outstanding + 2), name=name) for name in ("sent", "written", "taken"))
    answered = axi.bvalid & axi.bready
    moves = Cat(manager.wvalid & manager.wready for manager in dut.managers)
    ends = Cat(manager.wvalid & manager.wready & manager.wlast for manager in dut.managers)
    bursts = _Bursts(bench, dut, "aw", outstanding, pop=answered)
    beats = Signal(8)
    m.d.sync += [
        sent.eq(sent + (axi.awvalid & axi.awready) - answered),
        written.eq(written + (axi.wvalid & axi.wready & axi.wlast) - answered),
        taken.eq(taken + ends.any() - answered),
        beats.eq(Mux(ends.any(), 0, beats + moves.any())),
    ]
    m.d.comb += [
        axi.wready.eq(bench.free("wready")),
        axi.bvalid.eq(bench.free("bvalid") & (sent != 0) & (written != 0)),
    ]
    _drive_offer(bench, axi, "b", ("bresp",))
    current = bursts[taken]
    bench.assume("wlast", ~moves.any() | (ends.any() == (beats == current.length)))

    bursts.claims(bench, dut, "aw", sent)
    _route_claims(bench, dut, "b", bursts[0].manager, ("bresp",))
    payload = Array(Cat(manager.wdata, manager.wstrb, manager.wlast) for manager in dut.managers)[current.manager]
    offer = Cat(axi.wdata, axi.wstrb, axi.wlast)
    bench.stands("data_stands", axi.wvalid, axi.wready, offer)
    unwritten = taken < bursts.line.level
    owner = Cat((current.manager == index) & unwritten for index in range(managers))
    bench.claim("data_owner", (moves & ~owner) == 0)
    passed = bench.before(moves.any())
    bench.claim("data_passed", ~passed | (axi.wvalid & (offer == bench.before(payload))))
    bench.claim("data_invented", ~axi.wvalid | passed | bench.before(axi.wvalid & ~axi.wready))
    offered = (owner & Cat(manager.wvalid for manager in dut.managers)).any()
    stalled = bench.before(unwritten & ~ends.any()) & offered & (~axi.wvalid | axi.wready) & ~moves.any()
    bench.claim("data_moves", ~stalled)
    bench.goal("longest", axi.wvalid & axi.wlast & (beats == 0) & bench.before(beats == 3))
    bench.goal("decode_error", answered & (axi.bresp == 3) & (bursts.line.level == outstanding))
    bench.goal("data_first", written > sent)

    bursts.lemmas(bench, inside, "aw", sent, "response_order")
    owned = inside["owned"]
    waiting = inside.queue("data_order")
    bench.lemma("data_order", waiting.sound() & (waiting.level + taken + owned == bursts.line.level))
    for number in range(outstanding):
        same = waiting[number] == bursts[taken + owned + number].manager
        bench.lemma(f"data_order{number}", (waiting.level <= number) | same)
    bench.lemma("owner", ~owned | (inside["owner"] == current.manager))
    bench.lemma("owned", owned | ~bench.before(unwritten & ~ends.any()))
    bench.lemma("written", written + (axi.wvalid & axi.wlast) == taken)
    bench.lemma("beats", Mux(unwritten, beats <= current.length, beats == 0))
    bench.lemma("begun", owned | (beats == 0))


class _Bursts:
    """Bursts from their being taken of a manager to their end on the bus, and how often others went first."""

    def __init__(self, bench: Bench, dut: ReadArbiter | WriteArbiter, channel: str, outstanding: int, *, pop: Value):
        m = bench.m
        axi = dut.axi
        self._layout = data.StructLayout({"address": len(getattr(axi, f"{channel}addr")), "length": 8, "manager": 4})
        self._requests = []
        entries = []
        for index, manager in enumerate(dut.managers):
            valid = getattr(manager, f"{channel}valid")
            m.d.comb += valid.eq(bench.free(f"{channel}valid{index}"))
            _drive_offer(bench, manager, channel, (f"{channel}addr", f"{channel}len"), suffix=str(index))
            self._requests.append((valid, getattr(manager, f"{channel}ready")))
            address, length = getattr(manager, f"{channel}addr"), getattr(manager, f"{channel}len")
            entries.append((valid & self._requests[-1][1], Cat(address, length, Const(index, 4))))
        m.d.comb += getattr(axi, f"{channel}ready").eq(bench.free(f"{channel}ready"))
        self.took = Cat(took for took, _ in entries)
        entry = Signal(self._layout.size)
        for took, value in entries:
            with m.If(took):
                m.d.comb += entry.eq(value)
        self.line = Line(m, outstanding, push=self.took.any(), value=entry, pop=pop)
        self.passed = [Signal(range(2 * len(entries)), name=f"passed{index}") for index in range(len(entries))]
        for index, passed in enumerate(self.passed):
            valid, ready = self._requests[index]
            m.d.sync += passed.eq(Mux(valid & ~ready, passed + self.took.any(), 0))

    def __getitem__(self, number: Value | int) -> data.View:
        return data.View(self._layout, self.line[number])

    def claims(self, bench: Bench, dut: ReadArbiter | WriteArbiter, channel: str, sent: Value) -> None:
        axi = dut.axi
        valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
        offer = Cat(getattr(axi, f"{channel}addr"), getattr(axi, f"{channel}len"))
        count = len(self.passed)
        asked = self[sent]
        same = offer == Cat(asked.address, asked.length)
        bench.claim("one_taken", sum(self.took) <= 1)
        bench.claim("asked_once", ~valid | ((sent < self.line.level) & same))
        bench.stands("address_stands", valid, ready, offer)
        bench.claim("outstanding", self.line.level <= dut.outstanding)
        bench.goal("outstanding", sent == dut.outstanding)
        requested = Cat(request for request, _ in self._requests).any()
        blocked = (valid & ~ready) | (self.line.level == dut.outstanding)
        bench.claim("address_moves", ~requested | self.took.any() | blocked)
        for index, passed in enumerate(self.passed):
            bench.claim(f"turn{index}", passed < count)
            bench.goal(f"turn{index}", passed == count - 1)

    def lemmas(self, bench: Bench, inside: Inside, channel: str, sent: Value, order: str) -> None:
        queue = inside.queue(order)
        count = len(self.passed)
        latest = inside["latest"]
        bench.lemma("order", queue.sound() & (queue.level == self.line.level))
        bench.lemma("sent", sent + inside[f"axi__{channel}valid"] == self.line.level)
        for number in range(self.line.depth):
            entry = self[number].manager
            bench.lemma(f"order{number}", (queue.level <= number) | ((queue[number] == entry) & (entry < count)))
        bench.lemma("latest", latest < count)
        for index, (request, _) in enumerate(self._requests):
            distance = Mux(latest < index, index - latest, index + count - latest)
            bench.lemma(f"distance{index}", ~request | (self.passed[index] + distance <= count))


def _drive_offer(
    bench: Bench, side: wiring.PureInterface, channel: str, payload: tuple[str, ...], suffix: str = ""
) -> None:
    """Free payload of a channel whose ``valid`` is driven; promise that its offers stand until they are taken."""
    valid, ready = getattr(side, f"{channel}valid"), getattr(side, f"{channel}ready")
    values = [getattr(side, name) for name in payload]
    bench.m.d.comb += [
        value.eq(bench.free(f"{name}{suffix}", len(value))) for name, value in zip(payload, values, strict=True)
    ]
    waiting = bench.before(valid & ~ready)
    same = Cat(values) == bench.before(Cat(values))
    bench.assume(f"{channel}{suffix}_stands", ~waiting | (valid & same))


def _route_claims(
    bench: Bench, dut: ReadArbiter | WriteArbiter, channel: str, asker: Value, payload: tuple[str, ...]
) -> None:
    """What comes back goes to the manager that asked, unchanged, and to nobody else; it is taken when that one does."""
    axi = dut.axi
    valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
    for index, manager in enumerate(dut.managers):
        mine = valid & (asker == index)
        same = Cat(getattr(manager, name) == getattr(axi, name) for name in payload).all()
        bench.claim(f"to_asker{index}", (getattr(manager, f"{channel}valid") == mine) & (~mine | same))
        bench.claim(f"taken_by_asker{index}", ~mine | (ready == getattr(manager, f"{channel}ready")))
        bench.goal(f"to_asker{index}", mine & ready)
