"""Walks the block nest of COMPUTE instructions and prepares each block while the one before still streams."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import COMPUTE_BLOCK_QUANTITIES, COMPUTE_LANE_QUANTITIES, Opcode
from eftrain_hdl.rtl.compute.lane_table import lane_nest_layout, stream_address_bits
from eftrain_hdl.rtl.compute.nest import NestCounter, step_select
from eftrain_hdl.rtl.compute.row_loader import row_block_layout
from eftrain_hdl.rtl.compute.streamer import stream_block_layout, stream_nest_layout
from eftrain_hdl.rtl.layouts import instruction_layout

__all__ = ["BlockSequencer"]

_LEVELS = 4


class _Upcoming(NamedTuple):
    """The block to be prepared next."""

    take: Signal
    valid: Signal
    first: Signal
    last: Signal
    init: Signal
    restart: Signal
    valid_lanes: Signal
    a_last_tile: Signal
    at: dict[str, Signal]

    @classmethod
    def registers(cls, config: Config) -> _Upcoming:
        """All of them for ``config``."""
        a_bits = config.stationary_depth.bit_length() - 1
        own_bits = {"a": a_bits, "v": stream_address_bits(config)}
        return cls(
            *(Signal(name=f"upcoming_{name}") for name in ("take", "valid", "first", "last", "init", "restart")),
            valid_lanes=Signal(7, name="upcoming_valid_lanes"),
            a_last_tile=Signal(a_bits),
            at={
                name: Signal(own_bits.get(name, bits), name=f"upcoming_{name}")
                for name, bits in COMPUTE_BLOCK_QUANTITIES
            },
        )


class _Slot(NamedTuple):
    """The block whose rows are loaded and that streams next."""

    valid: Signal
    first: Signal
    last: Signal
    block: data.View
    nest: data.View
    chained: Signal

    @classmethod
    def registers(cls, config: Config) -> _Slot:
        """All of them for ``config``."""
        return cls(
            valid=Signal(name="slot_valid"),
            first=Signal(name="slot_first"),
            last=Signal(name="slot_last"),
            block=Signal(stream_block_layout(config), name="slot_block"),
            nest=Signal(stream_nest_layout(config), name="slot_nest"),
            chained=Signal(name="slot_chained"),
        )


class _Lanes(NamedTuple):
    """The lane table of the upcoming block."""

    needed: Value
    """It has one of its own, or is the first block of its instruction."""
    launched: Signal
    """The table has been started."""


def _countdown(m: Module, load: Signal, cycles: int, name: str) -> Signal:
    """High from ``cycles`` cycles after ``load`` on (and after reset), until the next ``load``."""
    left = Signal(range(max(cycles, 2)), name=f"{name}_left")
    done = Signal(name=f"{name}_done", init=1)
    with m.If(load):
        m.d.sync += [left.eq(cycles - 1), done.eq(cycles <= 1)]
    with m.Elif(~done):
        m.d.sync += [left.eq(left - 1), done.eq(left == 1)]
    return done


class BlockSequencer(wiring.Component):
    """Takes COMPUTE instructions apart into blocks.

    While a block streams, the rows and the lane table of the next one are made ready, so that blocks follow each other
    without a gap when a stream
    has at least as many vectors as the array has rows (and lanes, where every block has its own lane table).

    Parameters
    ----------
    config : Config
    load_lead : int
        Cycles by which a vector takes longer from its issue to the array than a stationary row; at least 1.
    recurrence : int
        Cycles that must lie between two vectors that add into the same word.

    Members
    -------
    instruction : In(stream)
        Next instruction.
    rows : Out(row_block_layout), rows_start : Out(1)
        To the row loader.
    lanes : Out(lane_nest_layout), lanes_start, lanes_restart : Out(1)
        To the lane table.
    nest : Out(stream_nest_layout), block : Out(stream_block_layout), block_start : Out(1)
        To the streamer.
    issuing, finishing : In(1)
        From the streamer.
    first, last : Out(1)
        With ``block_start``: first and last block of its instruction.
    idle : Out(1)
        No instruction is held and no block is in preparation.
    bad_field : Out(1)
        A count of zero, more rows than the array has or a bank that it has not; the sequencer stops there.
    halt : In(1)
        Start nothing.
    """

    def __init__(self, config: Config, *, load_lead: int, recurrence: int):
        self._config = config
        self._load_lead = load_lead
        self._recurrence = recurrence
        super().__init__(
            {
                "instruction": In(stream.Signature(instruction_layout(Opcode.COMPUTE))),
                "rows": Out(row_block_layout(config)),
                "rows_start": Out(1),
                "lanes": Out(lane_nest_layout(config)),
                "lanes_start": Out(1),
                "lanes_restart": Out(1),
                "nest": Out(stream_nest_layout(config)),
                "block": Out(stream_block_layout(config)),
                "block_start": Out(1),
                "issuing": In(1),
                "finishing": In(1),
                "first": Out(1),
                "last": Out(1),
                "idle": Out(1),
                "bad_field": Out(1),
                "halt": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(instruction_layout(Opcode.COMPUTE))
        lanes_done = _countdown(m, self.lanes_start, self._config.lanes, "lanes")
        upcoming, empty = self._elaborate_nest(m, held, lanes_done)
        slot = _Slot.registers(self._config)
        lanes = self._elaborate_lanes(m, held, upcoming, slot, lanes_done)
        rows_done = self._elaborate_rows(m, held, upcoming, slot, lanes)
        self._elaborate_stream(m, slot, rows_done, lanes_done)
        m.d.comb += self.idle.eq(empty & ~slot.valid)
        return m

    def _elaborate_nest(self, m: Module, held: data.View, lanes_done: Signal) -> tuple[_Upcoming, Signal]:
        """The block after those handed on: its origin, computed over a few cycles after the former one was taken.

        Returns it, and whether no instruction is held.
        """
        m.submodules.counter = counter = NestCounter(_LEVELS)
        m.d.comb += [counter.counts[k].eq(held[f"b{k}_count"]) for k in range(_LEVELS)]
        block = _Upcoming.registers(self._config)
        remaining = Signal(24)
        step: dict[str, Signal] = {}
        for name, value in block.at.items():
            step[name] = Signal(len(value), name=f"step_{name}")
            m.d.sync += step[name].eq(step_select(counter.level, [held[f"b{k}_{name}"] for k in range(_LEVELS)]))
        with m.FSM(name="nest"):
            empty = self._take_instruction(m, held)
            self._first_block(m, held, block, counter, remaining)
            self._offer_block(m, held, block, counter, remaining)
            self._next_block(m, held, block, counter, remaining, step)
            with m.State("LEAVE"):
                # The lane nest is read until the table of the last block is complete.
                with m.If(lanes_done):
                    m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        return block, empty

    def _take_instruction(self, m: Module, held: data.View) -> Signal:
        """States that take an instruction and look at its fields. Returns whether there is none."""
        empty, bad = Signal(), Signal()
        with m.State("IDLE"):
            m.d.comb += [empty.eq(~self.instruction.valid), self.instruction.ready.eq(~self.halt)]
            m.d.sync += held.eq(self.instruction.payload)
            with m.If(self.instruction.valid & ~self.halt):
                m.next = "CHECK"
        with m.State("CHECK"):
            m.d.sync += bad.eq(self._bad(held))
            m.next = "JUDGE"
        with m.State("JUDGE"):
            m.next = "START"
            with m.If(bad):
                m.d.comb += self.bad_field.eq(1)
                m.next = "STOPPED"
        return empty

    def _bad(self, held: data.View) -> Value:
        counts = [held[f"{p}{k}_count"] for p, levels in (("b", 4), ("s", 4), ("l", 2)) for k in range(levels)]
        config = self._config
        bad = reduce(or_, [count == 0 for count in counts]) | (held.a_rows == 0) | (held.a_rows > config.rows)
        return bad | (held.bank >= config.accumulator_banks)

    def _first_block(
        self, m: Module, held: data.View, block: _Upcoming, counter: NestCounter, remaining: Signal
    ) -> None:
        """The state that begins an instruction; ``remaining`` are the lanes of this block and of those after it."""
        with m.State("START"):
            tiles = max(1, self._config.rows // self._config.lanes)
            m.d.comb += counter.start.eq(1)
            m.d.sync += [
                *[block.at[name].eq(held[f"{name}_base"]) for name in block.at],
                block.a_last_tile.eq(held.a_tile * (tiles - 1)),
                block.first.eq(1),
                block.init.eq(held.init),
                block.restart.eq(1),
                remaining.eq(held.lanes_total),
            ]
            m.next = "SETTLE"

    def _offer_block(
        self, m: Module, held: data.View, block: _Upcoming, counter: NestCounter, remaining: Signal
    ) -> None:
        """States in which the block is complete, and waits until it is taken."""
        lanes = self._config.lanes
        with m.State("SETTLE"):
            some = held.lanes_per_block & (remaining < lanes)
            m.d.sync += [
                block.valid.eq(1),
                block.last.eq(counter.last),
                block.valid_lanes.eq(Mux(some, remaining, lanes)),
            ]
            m.next = "WAIT"
        with m.State("WAIT"):
            with m.If(block.take):
                m.d.sync += block.valid.eq(0)
                m.d.comb += counter.advance.eq(1)
                m.next = "STEP"
                with m.If(block.last):
                    m.next = "LEAVE"

    def _next_block(
        self,
        m: Module,
        held: data.View,
        block: _Upcoming,
        counter: NestCounter,
        remaining: Signal,
        step: dict[str, Signal],
    ) -> None:
        """States that go from a block to the next one."""
        lanes = self._config.lanes
        with m.State("STEP"):
            # The counter shows the next block now; its steps are selected at the end of this cycle.
            m.d.sync += [
                block.init.eq(held.init & counter.level[3]),
                block.restart.eq(~counter.level[0]),
                block.first.eq(0),
                remaining.eq(Mux(remaining > lanes, remaining - lanes, 0)),
            ]
            m.next = "ADD"
        with m.State("ADD"):
            m.d.sync += [value.eq(value + step[name]) for name, value in block.at.items()]
            with m.If(block.restart):
                m.d.sync += remaining.eq(held.lanes_total)
            m.next = "SETTLE"

    def _elaborate_lanes(
        self, m: Module, held: data.View, upcoming: _Upcoming, slot: _Slot, lanes_done: Signal
    ) -> _Lanes:
        """Start the lane table once its shadow is free: when the block that it was made for has started."""
        lanes = _Lanes(needed=held.lanes_per_block | upcoming.first, launched=Signal(name="launched"))
        shadow_free = ~(slot.valid & slot.block.swap)
        missing = upcoming.valid & lanes.needed & ~lanes.launched
        m.d.comb += [
            self.lanes_start.eq(missing & shadow_free & lanes_done & ~self.halt),
            self.lanes_restart.eq(upcoming.restart),
            self.lanes.total.eq(held.lanes_total),
            *[self.lanes[f"l{k}_count"].eq(held[f"l{k}_count"]) for k in range(2)],
            *[self.lanes[f"l{k}_{q}"].eq(held[f"l{k}_{q}"]) for q, _ in COMPUTE_LANE_QUANTITIES for k in range(3)],
        ]
        with m.If(upcoming.take):
            m.d.sync += lanes.launched.eq(0)
        with m.Elif(self.lanes_start):
            m.d.sync += lanes.launched.eq(1)
        return lanes

    def _elaborate_rows(self, m: Module, held: data.View, upcoming: _Upcoming, slot: _Slot, lanes: _Lanes) -> Signal:
        """Start the rows of the upcoming block once the shadow registers of the array are free: when the block before
        has reached it. The block goes to the slot.

        Returns whether the rows of the block in the slot are loaded.
        """
        config = self._config
        shadow_left = _countdown(m, self.block_start, self._load_lead, "shadow")
        m.d.comb += [
            upcoming.take.eq(
                upcoming.valid & ~slot.valid & shadow_left & (lanes.launched | ~lanes.needed) & ~self.halt
            ),
            self.rows_start.eq(upcoming.take),
            self.rows.a.eq(upcoming.at["a"]),
            self.rows.a_last_tile.eq(upcoming.a_last_tile),
            self.rows.valid_lanes.eq(upcoming.valid_lanes),
            *[self.rows[name].eq(held[name]) for name in ("a_lane", "a_tile", "a_rows", "transposed")],
        ]
        rows_done = _countdown(m, self.rows_start, max(1, config.rows - self._load_lead), "rows")
        with m.If(upcoming.take):
            m.d.sync += [
                slot.valid.eq(1),
                slot.first.eq(upcoming.first),
                slot.last.eq(upcoming.last),
                slot.block.init.eq(upcoming.init),
                slot.block.swap.eq(lanes.needed),
                *[slot.block[name].eq(upcoming.at[name]) for name in ("v", "row", "col", "acc")],
            ]
            with m.If(upcoming.first):
                m.d.sync += slot.chained.eq(held.chained)
                m.d.sync += [slot.nest[name].eq(held[name]) for name, _ in stream_nest_layout(config)]
        with m.Elif(self.block_start):
            m.d.sync += slot.valid.eq(0)
        return rows_done

    def _elaborate_stream(self, m: Module, slot: _Slot, rows_done: Signal, lanes_done: Signal) -> None:
        """Start the block in the slot once rows and lanes are there, and sums into the same word far enough apart.

        Where instructions are chained, the distance of their blocks sees to that; else the array must have finished the
        one before.
        """
        spaced = _countdown(m, self.block_start, self._recurrence, "spacing")
        drained = _countdown(m, self.issuing, self._recurrence, "gap")
        nest_ready = Signal()
        m.d.comb += [
            self.block_start.eq(
                slot.valid
                & rows_done
                & (lanes_done | ~slot.block.swap)
                & (~self.issuing | self.finishing)
                & spaced
                & (nest_ready | ~slot.first)
                & ~self.halt
            ),
            self.block.eq(slot.block),
            self.first.eq(slot.first),
            self.last.eq(slot.last),
        ]
        free = Mux(slot.chained, ~self.issuing | self.finishing, drained & ~self.issuing)
        with m.If(self.block_start):
            m.d.sync += nest_ready.eq(0)
        with m.Elif(slot.valid & slot.first & free):
            m.d.sync += [nest_ready.eq(1), self.nest.eq(slot.nest)]
