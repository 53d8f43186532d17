"""The burst generator: every burst legal, inside the window and within both limits, none lost on the way out."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator
from eftrain_hdl.rtl.axi.descriptor import BurstLayout, TransferLayout
from eftrain_hdl.rtl.axi.signature import PAGE_BYTES
from tests.formal.bench import Bench
from tests.formal.inside import Inside
from tests.formal.rules import Rules, drive_transfers

__all__ = ["generator", "generator_lemmas"]


def generator_lemmas(bench: Bench, inside: Inside, rules: Rules) -> None:
    """What holds in every stage of a burst generator, from the descriptor to the register at its output."""
    layout = BurstLayout(len(rules.base))
    page_beats = PAGE_BYTES >> rules.shift

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
