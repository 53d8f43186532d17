"""The burst generator: every burst legal, inside the window and within both limits, none lost on the way out."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data, wiring

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator
from eftrain_hdl.rtl.axi.descriptor import BurstLayout, TransferLayout
from tests.formal.bench import Bench
from tests.formal.inside import Inside

__all__ = ["Rules", "drive_transfers", "generator", "generator_lemmas"]

_PAGE = 4096


class Rules:
    """What a burst must keep to; ``longest`` is the limit in beats."""

    def __init__(self, bench: Bench, data_width: int, address_width: int, max_beats: int) -> None:
        self.burst_beats = bench.constant("burst_beats", 9)
        self.base = bench.constant("window_base", address_width)
        self.end = bench.constant("window_limit", address_width)
        self.shift = (data_width // 8).bit_length() - 1
        self.longest = Signal(9)
        bench.m.d.comb += self.longest.eq(
            Mux(self.burst_beats == 0, 1, Mux(self.burst_beats > max_beats, max_beats, self.burst_beats))
        )

    def length(self, beats: Value) -> Value:
        return (beats > 0) & (beats <= self.longest)

    def page_end(self, address: Value, beats: Value) -> Value:
        return address[:12] + (beats << self.shift)

    def page(self, address: Value, beats: Value) -> Value:
        """Aligned to beats, and no byte lies behind the next multiple of 4 KiB."""
        return (address[: self.shift] == 0) & (self.page_end(address, beats) <= _PAGE)

    def window_end(self, address: Value, beats: Value) -> Value:
        return address + (beats << self.shift)

    def window(self, address: Value, beats: Value) -> Value:
        return (address >= self.base) & (self.window_end(address, beats) <= self.end)

    def legal(self, address: Value, beats: Value) -> Value:
        return self.length(beats) & self.page(address, beats)

    def allowed(self, address: Value, beats: Value) -> Value:
        return self.legal(address, beats) & self.window(address, beats)

    def claims(self, bench: Bench, valid: Value, address: Value, beats: Value) -> None:
        """Claim all of it of a burst on offer, and that each bound is reached."""
        bench.claim("length", ~valid | self.length(beats))
        bench.claim("page", ~valid | self.page(address, beats))
        bench.claim("window", ~valid | self.window(address, beats))
        bench.goal("length", valid & (beats == self.longest) & (beats > 2))
        bench.goal("page", valid & (self.page_end(address, beats) == _PAGE) & (beats > 1))
        bench.goal("window_base", valid & (address == self.base) & (beats > 1))
        bench.goal("window_limit", valid & (self.window_end(address, beats) == self.end) & (beats > 1))


def generator_lemmas(bench: Bench, inside: Inside, rules: Rules) -> None:
    """What holds in every stage of a burst generator, from the descriptor to the register at its output."""
    layout = BurstLayout(len(rules.base))
    page_beats = _PAGE >> rules.shift

    def aligned(*values: Value) -> Value:
        return Cat(value[: rules.shift] for value in values) == 0

    given = data.View(TransferLayout(len(rules.base)), inside["given"])
    given_aligned = aligned(given.address, given.stride1, given.stride2, given.stride3)
    bench.lemma("limit", (inside["limit"] == 1) | (inside["limit"] == rules.longest))
    bench.lemma("given_run", ~inside["given_valid"] | inside["given_bad_length"] | (given.run != 0))
    bench.lemma("given_aligned", ~inside["given_valid"] | inside["given_unaligned"] | given_aligned)
    nest = [inside[f"{kind}{level}"] for kind in ("start", "stride") for level in (1, 2, 3)]
    bench.lemma("run_beats", ~inside["run_valid"] | (inside["run_beats"] != 0))
    bench.lemma("run_aligned", ~inside["run_valid"] | aligned(*nest))
    cut_address = inside["cut_address"]
    cut_fits = inside["cut_page"] + cut_address[rules.shift : 12] == page_beats
    bench.lemma("cut_left", ~inside["cut_valid"] | (inside["cut_left"] != 0))
    bench.lemma("cut_page", ~inside["cut_valid"] | (aligned(cut_address) & cut_fits))

    valid = [inside[f"stage{stage}_valid"] for stage in (4, 5, 6)]
    bursts = [data.View(layout, inside[f"stage{stage}"]) for stage in (4, 5, 6)]
    for number, (is_valid, burst) in enumerate(zip(valid, bursts, strict=True), start=4):
        bench.lemma(f"stage{number}", ~is_valid | rules.legal(burst.address, burst.beats))
    end = bursts[1].address + (bursts[1].beats << rules.shift)
    bench.lemma("end", ~valid[1] | ((inside["end"] == end) & (inside["below"] == (bursts[1].address < rules.base))))
    inside_window = rules.window(bursts[2].address, bursts[2].beats)
    bench.lemma("outside", ~valid[2] | (inside["outside"] == ~inside_window))

    codes = (0, ErrorCode.BAD_LENGTH, ErrorCode.UNALIGNED, ErrorCode.OUT_OF_WINDOW)
    bench.lemma("error_code", Cat(inside["error_code"] == code for code in codes).any())

    queue = inside.queue("queue")
    bench.lemma("queue", queue.sound())
    for number, place in enumerate(queue.places):
        burst = data.View(layout, place)
        bench.lemma(f"queue{number}", ~queue.holds(number) | rules.allowed(burst.address, burst.beats))
    burst = data.View(layout, inside["head"])
    bench.lemma("head", ~inside["head_valid"] | rules.allowed(burst.address, burst.beats))
    held = sum(valid, start=queue.level + inside["head_valid"] + inside["taken"])
    bench.lemma("queued", (inside["queued"] >= held) & (inside["queued"] <= queue.depth))
    bench.lemma("room", ~inside["room"] | (inside["queued"] < queue.depth))
    bench.lemma("queue_fits", ~valid[2] | (queue.level < queue.depth))


def drive_transfers(bench: Bench, dut: wiring.Component, transfers: wiring.PureInterface, rules: Rules) -> None:
    """Any transfer at any time, and the limits of ``rules``."""
    transfer = transfers.payload
    bench.hint("one_run", Cat(transfer[f"count{level}"] == 1 for level in (1, 2, 3)).all())
    bench.hint("no_stride", Cat(transfer[f"stride{level}"] == 0 for level in (1, 2, 3)).all())
    bench.m.d.comb += [
        transfer.as_value().eq(bench.free("transfer", len(transfer.as_value()))),
        transfers.valid.eq(bench.free("transfer_valid")),
        dut.burst_beats.eq(rules.burst_beats),
        dut.window_base.eq(rules.base),
        dut.window_limit.eq(rules.end),
    ]


def generator(
    bench: Bench, build: type[BurstGenerator] = BurstGenerator, *, data_width: int, address_width: int, max_beats: int
) -> None:
    """A burst generator whose transfers, limits, window, stop and consumer are free."""
    m = bench.m
    dut = build(data_width, address_width, max_beats=max_beats)
    inside = Inside(dut)
    m.submodules.dut = inside.fragment
    rules = Rules(bench, data_width, address_width, max_beats)
    drive_transfers(bench, dut, dut.i, rules)
    m.d.comb += [dut.o.ready.eq(bench.free("ready")), dut.stop.eq(bench.free("stop"))]
    generator_lemmas(bench, inside, rules)
    burst = dut.o.payload
    rules.claims(bench, dut.o.valid, burst.address, burst.beats)
    bench.stands("stands", dut.o.valid, dut.o.ready, burst.as_value())
