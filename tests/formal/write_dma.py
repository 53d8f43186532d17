"""The write DMA on a bus that takes and answers when and as it likes."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BurstLayout
from eftrain_hdl.rtl.axi.write_dma import WriteDma
from tests.formal.bench import Bench
from tests.formal.generator import generator_lemmas
from tests.formal.inside import Inside
from tests.formal.line import Line
from tests.formal.rules import Rules, address_lemmas, drive_transfers

__all__ = ["write_dma"]

_COUNT = 8


def write_dma(
    bench: Bench,
    build: type[WriteDma] = WriteDma,
    *,
    data_width: int,
    address_width: int,
    outstanding: int,
    fifo_beats: int,
) -> None:
    """A write DMA whose transfers, limits, window, halt, producer and bus are free; responses are any of the four."""
    dut = build(data_width, address_width, outstanding=outstanding, fifo_beats=fifo_beats)
    around = _Around(bench, dut)
    _address_claims(bench, dut, around)
    _data_claims(bench, dut, around)
    _response_claims(bench, dut, around)
    _burst_lemmas(bench, dut, around)
    _sending_lemmas(bench, dut, around)
    _beat_lemmas(bench, dut, around)
    _error_lemmas(bench, dut, around)
    generator_lemmas(bench, around.inside.part("generator"), around.rules)


class _Around:
    """The bus, and what it knows.

    Attributes
    ----------
    line : the bursts from their leaving the generator to their response
    sent, written : how many of them the bus has the address of, and all beats of
    beats : how many beats of the burst after those it has
    taken, given : beats that went into the DMA and that came out of it; beats carry the number
    held : the difference
    answer : a response comes
    bad, bad_address : a bad one came; the burst of the first one
    stopped : the DMA was halted, or tells of an error
    """

    def __init__(self, bench: Bench, dut: WriteDma) -> None:
        m = bench.m
        axi = dut.axi
        self.inside = Inside(dut)
        m.submodules.dut = self.inside.fragment
        self.rules = Rules(bench, dut.data_width, dut.address_width, dut.max_beats)
        drive_transfers(bench, dut, dut.i_transfer, self.rules)
        halt = bench.free("halt")
        answers = bench.free("answers")
        m.d.comb += [
            axi.awready.eq(bench.free("awready")),
            axi.wready.eq(bench.free("wready")),
            axi.bresp.eq(bench.free("response", 2)),
            dut.i.valid.eq(bench.free("ivalid")),
            dut.halt.eq(halt),
        ]

        self.answer = axi.bvalid & axi.bready
        sent_beat = axi.wvalid & axi.wready
        ended = sent_beat & axi.wlast
        took = dut.i.valid & dut.i.ready
        self.layout = BurstLayout(dut.address_width)
        leaving = self.inside.part("generator")["head"]
        self.line = Line(m, dut.outstanding, push=self.inside["issue"], value=leaving, pop=self.answer)
        self.sent = Signal(range(dut.outstanding + 2))
        self.written = Signal(range(dut.outstanding + 2))
        self.beats = Signal(9)
        self.taken = Signal(_COUNT)
        self.given = Signal(_COUNT)
        self.held = Signal(_COUNT)
        m.d.sync += [
            self.sent.eq(self.sent + (axi.awvalid & axi.awready) - self.answer),
            self.written.eq(self.written + ended - self.answer),
            self.beats.eq(Mux(ended, 0, self.beats + sent_beat)),
            self.taken.eq(self.taken + took),
            self.given.eq(self.given + sent_beat),
            self.held.eq(self.held + took - sent_beat),
        ]
        m.d.comb += [axi.bvalid.eq(answers & (self.sent != 0) & (self.written != 0)), dut.i.payload.eq(self.taken)]

        halted = Signal()
        self.stopped = halted | dut.error
        self.bad = Signal()
        self.bad_address = Signal(dut.address_width)
        m.d.sync += halted.eq(halted | halt)
        with m.If(self.answer & axi.bresp[1] & ~self.bad):
            m.d.sync += [self.bad.eq(1), self.bad_address.eq(self.burst(0).address)]

    def burst(self, number: Value | int) -> data.View:
        return data.View(self.layout, self.line[number])


def _address_claims(bench: Bench, dut: WriteDma, around: _Around) -> None:
    axi = dut.axi
    around.rules.claims(bench, axi.awvalid, axi.awaddr, axi.awlen + 1)
    asked = around.burst(around.sent)
    same = (axi.awaddr == asked.address) & (axi.awlen + 1 == asked.beats)
    bench.claim("asked_once", ~axi.awvalid | ((around.sent < around.line.level) & same))
    bench.stands("address_stands", axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen))
    bench.claim("outstanding", around.sent <= dut.outstanding)
    bench.goal("outstanding", around.sent == dut.outstanding)
    bench.claim("stops", ~(around.inside["issue"] & around.stopped))
    bench.claim("idle", ~dut.idle | ((around.line.level == 0) & ~axi.awvalid & ~axi.wvalid))


def _data_claims(bench: Bench, dut: WriteDma, around: _Around) -> None:
    axi = dut.axi
    line, stopped = around.line, around.stopped
    bench.stands("data_stands", axi.wvalid, axi.wready, Cat(axi.wdata, axi.wstrb, axi.wlast))
    bench.claim("in_order", ~axi.wvalid | (axi.wdata[:_COUNT] == around.given))
    final = around.beats + 1 == around.burst(around.written).beats
    bench.claim("last", ~axi.wvalid | ((around.written < line.level) & (axi.wlast == final)))
    bench.goal("last", axi.wvalid & axi.wlast & (around.beats > 1))
    bench.goal("data_first", around.written > around.sent)
    bench.goal("address_first", around.sent == around.written + dut.outstanding)
    missing = sum(
        Mux((around.written <= number) & (line.level > number), around.burst(number).beats, 0)
        for number in range(line.depth)
    )
    bench.claim("in_hand", missing - around.beats <= around.held)
    bench.goal("in_hand", (missing - around.beats == around.held) & (missing > 2))

    new = axi.wvalid & ~bench.before(axi.wvalid & ~axi.wready)
    all_set = axi.wstrb == (1 << len(axi.wstrb)) - 1
    bench.claim("strobes_set", ~axi.wvalid | stopped | all_set)
    bench.claim("strobes_clear", ~new | ~bench.before(stopped) | (axi.wstrb == 0))
    bench.claim("strobes_whole", ~axi.wvalid | all_set | (axi.wstrb == 0))
    bench.goal("strobes_clear", axi.wvalid & axi.wlast & (axi.wstrb == 0) & (around.beats > 1))
    bench.claim("complete", dut.busy | stopped | (around.held == 0))
    bench.goal("full", around.held > dut.fifo_beats)


def _response_claims(bench: Bench, dut: WriteDma, around: _Around) -> None:
    axi = dut.axi
    stopped = around.stopped
    bench.claim("takes_all", axi.bready)
    good = around.answer & ~axi.bresp[1] & around.burst(0).last
    bench.claim("done", dut.done == bench.before(bench.before(good) & ~stopped))
    bench.goal("done", dut.done)
    told = dut.error & (dut.error_code == ErrorCode.WRITE_RESPONSE)
    bench.claim("error_found", ~bench.before(around.bad) | dut.error)
    bench.claim("error_place", ~told | (around.bad & (dut.error_address == around.bad_address)))
    bench.goal("error_idle", told & dut.idle & (around.given > 2))
    bench.goal("decode_error", axi.bvalid & (axi.bresp == 3) & (around.line.level == dut.outstanding))


def _burst_lemmas(bench: Bench, dut: WriteDma, around: _Around) -> None:
    """Bursts in flight: the component's queue still has the one whose response has just come."""
    inside, line = around.inside, around.line
    flight = inside.queue("flight")
    answered = inside["response_valid"]
    bench.lemma("flight", flight.sound() & (line.level + answered == flight.level))
    bench.lemma("line", (around.sent <= line.level) & (around.written <= line.level) & (line.level <= line.depth))
    for number in range(line.depth):
        burst = around.burst(number)
        entry = Mux(answered, flight[(number + 1) % flight.depth], flight[number])
        bench.lemma(f"line{number}", (line.level <= number) | around.rules.allowed(burst.address, burst.beats))
        bench.lemma(f"flight{number}", (line.level <= number) | (entry == Cat(burst.address, burst.last)))
    address_lemmas(bench, inside, line, around.layout, around.sent)


def _sending_lemmas(bench: Bench, dut: WriteDma, around: _Around) -> None:
    """Bursts whose beats are not all out: one in the register of W, one being counted down, the rest in a queue."""
    inside, line, axi = around.inside, around.line, dut.axi
    lengths = inside.queue("lengths")
    sending, left = inside["sending"], inside["left"]
    ending = axi.wvalid & axi.wlast
    current = around.written + ending
    waiting = current + sending
    passed = Mux(ending, 0, around.beats + axi.wvalid)
    bench.lemma("lengths", lengths.sound() & (lengths.level + waiting == line.level))
    for number in range(line.depth):
        same = lengths[number] == around.burst(waiting + number).beats
        bench.lemma(f"length{number}", (lengths.level <= number) | same)
    bench.lemma("left", ~sending | ((left != 0) & (left + passed == around.burst(current).beats)))
    bench.lemma("final", ~sending | (inside["final"] == (left == 1)))
    bench.lemma("ending", ~ending | (around.beats + 1 == around.burst(around.written).beats))
    bench.lemma("midway", sending | ending | (~axi.wvalid & (around.beats == 0)))


def _beat_lemmas(bench: Bench, dut: WriteDma, around: _Around) -> None:
    """Beats: each one in the buffer belongs to a burst in flight or is available, and they stay in order."""
    inside, axi = around.inside, dut.axi
    generator = inside.part("generator")
    buffer, lengths = inside.queue("buffer"), inside.queue("lengths")
    offer = inside.part("buffer")
    ready = offer["r_rdy"]
    held = buffer.level + ready
    queued = sum(Mux(lengths.level > number, lengths[number], 0) for number in range(lengths.depth))
    owed = queued + Mux(inside["sending"], inside["left"], 0)
    available = inside["available"]
    bench.lemma("available", held == available + inside["pushed"] + owed)
    bench.lemma("held", around.held == held + axi.wvalid)
    beats = data.View(around.layout, generator["head"]).beats
    bench.lemma("fits", ~inside["fits"] | (generator["head_valid"] & (beats <= available)))

    def numbered(entry: Value, number: Value) -> Value:
        return entry[:_COUNT] == number[:_COUNT]

    first = around.given + axi.wvalid
    bench.lemma("buffer", buffer.sound())
    bench.lemma("taken", around.taken == (around.given + around.held)[:_COUNT])
    bench.lemma("buffer_offer", ~ready | numbered(offer["r_data"], first))
    for number in range(buffer.depth):
        bench.lemma(f"buffer{number}", (buffer.level <= number) | numbered(buffer[number], first + ready + number))


def _error_lemmas(bench: Bench, dut: WriteDma, around: _Around) -> None:
    """A response belongs to the burst at the head of the queue of those in flight."""
    inside = around.inside
    head = inside.part("flight")["r_data"]
    valid, bad = inside["response_valid"], inside["response_bad"]
    good = bench.before(around.answer & ~dut.axi.bresp[1] & around.burst(0).last)
    bench.lemma("good", (valid & ~bad & head[-1]) == good)
    told = dut.error & (dut.error_code == ErrorCode.WRITE_RESPONSE)
    first = valid & bad & ~dut.error
    bench.lemma("bad", Mux(around.bad, dut.error | first, ~told & ~(valid & bad)))
    bench.lemma("bad_place", ~first | (around.bad & (head[:-1] == around.bad_address)))
    bench.lemma("stopped", inside["stopped"] == around.stopped)
