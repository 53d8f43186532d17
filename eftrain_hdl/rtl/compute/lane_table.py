"""Per-lane offsets of streamed vectors, filled while the block before still streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.compute.nest import NestCounter, step_select
from eftrain_hdl.rtl.delay import delay

__all__ = ["LaneTable", "lane_entry_layout", "lane_nest_layout"]


def stream_address_bits(config: Config) -> int:
    """Bits of an element address of the streaming buffer."""
    return (config.streaming_depth * config.lanes).bit_length() - 1


def lane_entry_layout(config: Config) -> data.StructLayout:
    """Offsets of one lane and whether it exists."""
    return data.StructLayout({"v": stream_address_bits(config), "row": 16, "col": 16, "valid": 1})


def lane_nest_layout(config: Config) -> data.StructLayout:
    """The lane nest of a COMPUTE instruction."""
    fields: dict[str, object] = {"l0_count": 16, "l1_count": 16, "total": 24}
    for k in range(3):
        fields |= {f"l{k}_v": stream_address_bits(config), f"l{k}_row": signed(16), f"l{k}_col": signed(16)}
    return data.StructLayout(fields)


class LaneTable(wiring.Component):
    """Enumerates the lane nest, ``lanes`` entries a block, into a shadow table; ``swap`` makes it the active one.

    Parameters
    ----------
    config : Config
        ``lanes``.

    Members
    -------
    nest : In(lane_nest_layout)
        Stable while entries are made.
    start : In(1), restart : In(1)
        Make the next ``lanes`` entries, from the first entry of the nest with ``restart``. The table is complete
        ``lanes + 2`` cycles later; a swap in
        the cycle ``lanes + 1`` after ``start`` takes it along.
    swap : In(1)
        The shadow table becomes active with the next cycle.
    entries : Out(lanes of lane_entry_layout)
        Active table.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "nest": In(lane_nest_layout(config)),
                "start": In(1),
                "restart": In(1),
                "swap": In(1),
                "entries": Out(data.ArrayLayout(lane_entry_layout(config), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        lanes = config.lanes
        nest = self.nest
        entry = lane_entry_layout(config)
        # The third level has no end, and so no counter: it moves whenever both others are through.
        m.submodules.counter = counter = NestCounter(2)
        m.d.comb += [counter.counts[0].eq(nest.l0_count), counter.counts[1].eq(nest.l1_count)]
        third = Signal()
        level = Cat(counter.level, third)

        left = Signal(range(lanes + 1))
        running = Signal()
        with m.If(self.start):
            m.d.sync += [running.eq(1), left.eq(lanes - 1)]
        with m.Elif(running):
            m.d.sync += [left.eq(left - 1), running.eq(left != 0)]
        m.d.comb += [counter.start.eq(self.start & self.restart), counter.advance.eq(running)]
        with m.If(counter.start):
            m.d.sync += third.eq(0)
        with m.Elif(counter.advance):
            m.d.sync += third.eq(counter.last)

        # Entries that are still to come, so that `valid` needs no comparison with a running number.
        remaining = Signal(24)
        with m.If(self.start & self.restart):
            m.d.sync += remaining.eq(nest.total)
        with m.Elif(running & (remaining != 0)):
            m.d.sync += remaining.eq(remaining - 1)

        running_1 = delay(m, running, 1, name="running", reset_less=False)
        first_1 = Signal(reset_less=True)
        valid_1 = Signal(reset_less=True)
        m.d.sync += [first_1.eq(level == 0), valid_1.eq(remaining != 0)]
        shadow = Signal(data.ArrayLayout(entry, lanes), reset_less=True)
        newest = shadow[lanes - 1]
        # The running sums are the newest entry itself; it must survive a swap, hence only `running_1` moves the chain.
        for name in ("v", "row", "col"):
            step = Signal(len(newest[name]), name=f"step_{name}", reset_less=True)
            m.d.sync += step.eq(step_select(level, [nest[f"l{k}_{name}"] for k in range(3)]))
            with m.If(running_1):
                m.d.sync += newest[name].eq(Mux(first_1, 0, newest[name] + step))
        with m.If(running_1):
            m.d.sync += newest.valid.eq(valid_1)
            m.d.sync += [shadow[j].eq(shadow[j + 1]) for j in range(lanes - 1)]

        active = Signal(data.ArrayLayout(entry, lanes), reset_less=True)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.comb += self.entries.eq(active)
        return m
