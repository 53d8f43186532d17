"""The read DMA on a bus that answers when and as it likes."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import BurstLayout
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from tests.formal.bench import Bench
from tests.formal.generator import generator_lemmas
from tests.formal.inside import Inside
from tests.formal.line import Line
from tests.formal.rules import Rules, address_lemmas, drive_transfers

__all__ = ["read_dma"]

_COUNT = 8


def read_dma(
    bench: Bench,
    build: type[ReadDma] = ReadDma,
    *,
    data_width: int,
    address_width: int,
    outstanding: int,
    fifo_beats: int,
) -> None:
    """A read DMA whose transfers, limits, window, halt, consumer and bus are free; responses are any of the four."""
    dut = build(data_width, address_width, outstanding=outstanding, fifo_beats=fifo_beats)
    around = _Around(bench, dut)
    _claims(bench, dut, around)
    _burst_lemmas(bench, around)
    _beat_lemmas(bench, dut, around)
    _error_lemmas(bench, dut, around)
    generator_lemmas(bench, around.inside.part("generator"), around.rules)


class _Around:
    """The bus, and what it knows.

    Attributes
    ----------
    line : the bursts from their leaving the generator to their last beat on the bus, which was asked for `sent` of them
    beats_got : how many beats of the oldest burst have come
    got, given : beats that came on the bus and that went out of the DMA; beats carry the number
    bad, bad_address : a bad answer came; the burst of the first one
    """

    def __init__(self, bench: Bench, dut: ReadDma) -> None:
        m = bench.m
        axi = dut.axi
        self.inside = Inside(dut)
        m.submodules.dut = self.inside.fragment
        self.rules = Rules(bench, dut.data_width, dut.address_width, dut.max_beats)
        drive_transfers(bench, dut, dut.i_transfer, self.rules)
        halt = bench.free("halt")
        answers = bench.free("answers")
        m.d.comb += [
            axi.arready.eq(bench.free("arready")),
            axi.rresp.eq(bench.free("response", 2)),
            dut.o.ready.eq(bench.free("oready")),
            dut.halt.eq(halt),
        ]

        got = axi.rvalid & axi.rready
        ended = got & axi.rlast
        self.layout = BurstLayout(dut.address_width)
        leaving = self.inside.part("generator")["head"]
        self.line = Line(m, dut.outstanding, push=self.inside["issue"], value=leaving, pop=ended)
        oldest = data.View(self.layout, self.line[0])
        self.sent = Signal(range(dut.outstanding + 2))
        self.beats_got = Signal(9)
        self.got = Signal(_COUNT)
        self.given = Signal(_COUNT)
        m.d.sync += [
            self.sent.eq(self.sent + (axi.arvalid & axi.arready) - ended),
            self.beats_got.eq(Mux(ended, 0, self.beats_got + got)),
            self.got.eq(self.got + got),
            self.given.eq(self.given + (dut.o.valid & dut.o.ready)),
        ]
        # A beat says which one it is, and whether it is the last one of its transfer.
        m.d.comb += [
            axi.rvalid.eq(answers & (self.sent != 0)),
            axi.rlast.eq(self.beats_got + 1 == oldest.beats),
            axi.rdata.eq(Cat(self.got, axi.rlast & oldest.last)),
        ]

        self.halted = Signal()
        self.bad = Signal()
        self.bad_address = Signal(dut.address_width)
        m.d.sync += self.halted.eq(self.halted | halt)
        with m.If(got & axi.rresp[1] & ~self.bad):
            m.d.sync += [self.bad.eq(1), self.bad_address.eq(oldest.address)]

    def burst(self, number: Value | int) -> data.View:
        return data.View(self.layout, self.line[number])


def _claims(bench: Bench, dut: ReadDma, around: _Around) -> None:
    axi = dut.axi
    around.rules.claims(bench, axi.arvalid, axi.araddr, axi.arlen + 1)
    asked = around.burst(around.sent)
    same = (axi.araddr == asked.address) & (axi.arlen + 1 == asked.beats)
    bench.claim("asked_once", ~axi.arvalid | ((around.sent < around.line.level) & same))
    bench.stands("address_stands", axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen))
    bench.stands("beat_stands", dut.o.valid, dut.o.ready, dut.o.payload.as_value())
    bench.claim("outstanding", around.sent <= dut.outstanding)
    bench.goal("outstanding", around.sent == dut.outstanding)
    bench.claim("takes_all", axi.rready)

    beat = dut.o.payload
    bench.claim("in_order", ~dut.o.valid | (beat.data[:_COUNT] == around.given))
    bench.claim("last", ~dut.o.valid | (beat.last == beat.data[_COUNT]))
    bench.goal("last", dut.o.valid & beat.last & (around.given > 1))
    bench.claim("complete", dut.busy | dut.error | around.halted | (around.got == around.given))
    bench.claim("idle", ~dut.idle | ((around.line.level == 0) & ~axi.arvalid))
    bench.claim("stops", ~(around.inside["issue"] & (around.halted | dut.error)))
    bench.goal("full", around.got - around.given == dut.fifo_beats)

    told = dut.error & (dut.error_code == ErrorCode.READ_RESPONSE)
    bench.claim("error_found", ~bench.before(around.bad) | dut.error)
    bench.claim("error_place", ~told | (around.bad & (dut.error_address == around.bad_address)))
    bench.goal("error_idle", told & dut.idle & (around.got > 2))
    bench.goal("decode_error", axi.rvalid & axi.rlast & (axi.rresp == 3) & (around.line.level == dut.outstanding))


def _burst_lemmas(bench: Bench, around: _Around) -> None:
    """Bursts in flight: the component's queue still has the one whose last beat has just come."""
    inside, line = around.inside, around.line
    flight = inside.queue("flight")
    finishing = inside["beat_valid"] & inside["beat_last"]
    bench.lemma("flight", flight.sound() & (line.level + finishing == flight.level))
    bench.lemma("sent", (around.sent <= line.level) & (line.level <= line.depth))
    for number in range(line.depth):
        burst = around.burst(number)
        entry = Mux(finishing, flight[(number + 1) % flight.depth], flight[number])
        bench.lemma(f"line{number}", (line.level <= number) | around.rules.allowed(burst.address, burst.beats))
        bench.lemma(f"flight{number}", (line.level <= number) | (entry == Cat(burst.address, burst.last)))
    address_lemmas(bench, inside, line, around.layout, around.sent)
    oldest = around.burst(0)
    bench.lemma("beats_got", Mux(around.sent != 0, around.beats_got < oldest.beats, around.beats_got == 0))


def _beat_lemmas(bench: Bench, dut: ReadDma, around: _Around) -> None:
    """Beats: every place that is promised is counted once, and beats stay in order."""
    inside, line = around.inside, around.line
    generator = inside.part("generator")
    buffer = inside.queue("buffer")
    offer = inside.part("buffer")
    stopped, credit = inside["stopped"], inside["credit"]
    ready = offer["r_rdy"]
    held = buffer.level + ready
    owed = sum(Mux(line.level > number, around.burst(number).beats, 0) for number in range(line.depth))
    promised = credit + inside["popped"] + held + inside["beat_valid"] + owed - around.beats_got
    bench.lemma("credit", (promised <= dut.fifo_beats) & (stopped | (promised == dut.fifo_beats)))
    beats = data.View(around.layout, generator["head"]).beats
    bench.lemma("fits", ~inside["fits"] | (generator["head_valid"] & (beats <= credit)))
    bench.goal("no_credit", (credit == 0) & (held == 0) & ~stopped)

    def numbered(entry: Value, number: Value) -> Value:
        return (entry[:_COUNT] == number[:_COUNT]) & (entry[_COUNT] == entry[-1])

    bench.lemma("buffer", buffer.sound())
    bench.lemma("buffer_offer", ~ready | numbered(offer["r_data"], around.given + 0))
    for number in range(buffer.depth):
        bench.lemma(
            f"buffer{number}", (buffer.level <= number) | numbered(buffer[number], around.given + ready + number)
        )
    arrived = (around.given + held)[:_COUNT]
    beat = inside["beat"]
    bench.lemma("arrived", stopped | ((arrived + inside["beat_valid"])[:_COUNT] == around.got))
    bench.lemma("beat", ~inside["beat_valid"] | stopped | (beat[:_COUNT] == arrived))


def _error_lemmas(bench: Bench, dut: ReadDma, around: _Around) -> None:
    """The burst of a beat is at the head of the queue of those in flight."""
    inside = around.inside
    head = inside.part("flight")["r_data"]
    beat_valid, beat_bad = inside["beat_valid"], inside["beat_bad"]
    last = inside["beat_last"] & head[-1]
    bench.lemma("beat_burst", ~beat_valid | (inside["beat"][_COUNT] == last))
    bench.lemma("beat_flight", ~beat_valid | (inside.queue("flight").level != 0))
    told = dut.error & (dut.error_code == ErrorCode.READ_RESPONSE)
    first = beat_valid & beat_bad & ~dut.error
    bench.lemma("bad", Mux(around.bad, dut.error | first, ~told & ~(beat_valid & beat_bad)))
    bench.lemma("bad_place", ~first | (around.bad & (head[:-1] == around.bad_address)))
    bench.lemma("stopped", inside["stopped"] == (around.halted | dut.error))
