"""What every burst must keep to, and what both DMA engines share around their burst generator."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data, wiring

from eftrain_hdl.rtl.axi.descriptor import BurstLayout
from eftrain_hdl.rtl.axi.signature import PAGE_BYTES
from tests.formal.bench import Bench
from tests.formal.inside import Inside
from tests.formal.line import Line

__all__ = ["Rules", "address_lemmas", "drive_transfers"]


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
        return (address[: self.shift] == 0) & (self.page_end(address, beats) <= PAGE_BYTES)

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
        bench.goal("page", valid & (self.page_end(address, beats) == PAGE_BYTES) & (beats > 1))
        bench.goal("window_base", valid & (address == self.base) & (beats > 1))
        bench.goal("window_limit", valid & (self.window_end(address, beats) == self.end) & (beats > 1))


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


def address_lemmas(bench: Bench, inside: Inside, line: Line, layout: BurstLayout, sent: Value) -> None:
    """The queue of addresses holds what the bus was not yet asked for, in order, as address and AxLEN."""
    addresses = inside.queue("addresses")
    offer = inside.part("addresses")
    ready = offer["r_rdy"]

    def announces(entry: Value, number: Value) -> Value:
        burst = data.View(layout, line[number])
        return (entry[:-8] == burst.address) & (entry[-8:] + 1 == burst.beats)

    bench.lemma("addresses", addresses.sound() & (addresses.level + ready + sent == line.level))
    bench.lemma("address_offer", ~ready | announces(offer["r_data"], sent))
    for number in range(line.depth):
        waits = addresses.level > number
        bench.lemma(f"address{number}", ~waits | announces(addresses[number], sent + ready + number))
