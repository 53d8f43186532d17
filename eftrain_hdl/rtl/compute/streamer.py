"""Streams the vectors of a block out of the streaming buffer into the array."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import COMPUTE_STREAM_QUANTITIES
from eftrain_hdl.numerics import to_bits
from eftrain_hdl.rtl.compute.banked_buffer import BankedBuffer
from eftrain_hdl.rtl.compute.lane_table import lane_entry_layout, stream_address_bits
from eftrain_hdl.rtl.compute.mac_row import accumulate_layout
from eftrain_hdl.rtl.compute.nest import NestCounter, step_select
from eftrain_hdl.rtl.compute.rotator import Rotator
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.layouts import BufferWrite

__all__ = ["Streamer", "stream_block_layout", "stream_nest_layout"]

_LEVELS = 4


class _Issue(NamedTuple):
    """The vector of this cycle: level that moved, block, whether there is one, first of its block, that of `ones`."""

    level: Value
    block: data.View
    active: Signal
    first: Signal
    extra: Signal


def stream_nest_layout(config: Config) -> data.StructLayout:
    """The fields of COMPUTE that a stream needs, the same for all blocks of an instruction."""
    fields: dict[str, object] = {
        "planar": 1,
        "ones": 1,
        "bank": range(config.accumulator_banks),
        "lane_base": 8,
        "row_limit": 16,
        "col_limit": 16,
        "ones_acc": signed(16),
    }
    for k in range(_LEVELS):
        fields[f"s{k}_count"] = 16
        for name, bits in COMPUTE_STREAM_QUANTITIES:
            fields[f"s{k}_{name}"] = stream_address_bits(config) if name == "v" else signed(bits)
    return data.StructLayout(fields)


def stream_block_layout(config: Config) -> data.StructLayout:
    """Addresses and coordinates of a block's first vector; whether it overwrites, and swaps the lane table."""
    return data.StructLayout(
        {
            "v": stream_address_bits(config),
            "row": signed(16),
            "col": signed(16),
            "acc": signed(16),
            "init": 1,
            "swap": 1,
        }
    )


class Streamer(wiring.Component):
    """The streaming buffer and the sequencer that reads one vector per cycle, masks it and hands it to the array.

    Parameters
    ----------
    config : Config
        ``streaming_depth``, ``lanes``, the operand format and the accumulators.

    Members
    -------
    write : In(BufferWrite)
        Beats for the streaming buffer.
    nest : In(stream_nest_layout)
        Stable from ``start`` until the last vector of the instruction is issued.
    block : In(stream_block_layout), start : In(1)
        Taken with ``start``; the first vector is issued in the next cycle.
    issuing : Out(1), finishing : Out(1)
        A vector is issued in this cycle; it is the last one of its block.
    swap : Out(1), entries : In(lanes of lane_entry_layout)
        To and from the lane table.
    b : Out(lanes of operand), b_first : Out(1), accumulate : Out(accumulate_layout)
        To the array, :attr:`latency` cycles after the issue.
    address_error : Out(1), error_address : Out(16)
        An accumulator word beyond the depth; nothing is accumulated.
    """

    def __init__(self, config: Config):
        self._config = config
        self._buffer = BankedBuffer(config, config.streaming_depth)
        self._rotator = Rotator(config.streaming_depth.bit_length() - 1, config.lanes)
        super().__init__(
            {
                "write": In(BufferWrite(config)),
                "nest": In(stream_nest_layout(config)),
                "block": In(stream_block_layout(config)),
                "start": In(1),
                "issuing": Out(1),
                "finishing": Out(1),
                "swap": Out(1),
                "entries": In(data.ArrayLayout(lane_entry_layout(config), config.lanes)),
                "b": Out(data.ArrayLayout(unsigned(config.operand.width), config.lanes)),
                "b_first": Out(1),
                "accumulate": Out(accumulate_layout(config)),
                "address_error": Out(1),
                "error_address": Out(16),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the issue of a vector to the array."""
        return 5 + self._rotator.latency + self._buffer.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = self._buffer
        wiring.connect(m, wiring.flipped(self.write), self._buffer.write)
        issue = self._elaborate_issue(m)
        at = self._elaborate_addresses(m, issue)
        valid = self._elaborate_lanes(m, at, issue)
        self._elaborate_output(m, at, issue, valid)
        return m

    def _elaborate_issue(self, m: Module) -> _Issue:
        """Cycle 0: which vector."""
        m.submodules.counter = counter = NestCounter(_LEVELS)
        nest = self.nest
        issue = _Issue(
            level=counter.level,
            block=Signal(stream_block_layout(self._config), name="block"),
            active=Signal(name="active"),
            first=Signal(name="first"),
            extra=Signal(name="extra"),
        )
        m.d.comb += [
            *[counter.counts[k].eq(nest[f"s{k}_count"]) for k in range(_LEVELS)],
            counter.start.eq(self.start),
            counter.advance.eq(issue.active & ~issue.extra),
            self.issuing.eq(issue.active),
            self.finishing.eq(issue.active & Mux(nest.ones, issue.extra, counter.last)),
        ]
        with m.If(self.start):
            m.d.sync += [issue.block.eq(self.block), issue.active.eq(1), issue.extra.eq(0), issue.first.eq(1)]
        with m.Elif(issue.active):
            m.d.sync += [
                issue.first.eq(0),
                issue.extra.eq(counter.last & ~issue.extra),
                issue.active.eq(~self.finishing),
            ]
        return issue

    def _elaborate_addresses(self, m: Module, issue: _Issue) -> dict[str, Signal]:
        """Cycle 1: addresses and coordinates, by the step of the level that moved; valid in cycle 2."""
        nest, block = self.nest, issue.block
        first = delay(m, issue.first & issue.active, 1, name="first", reset_less=False)
        at: dict[str, Signal] = {}
        for name, base in {
            "v": block.v,
            "row": block.row,
            "col": block.col,
            "acc": block.acc,
            "lane": delay(m, nest.lane_base, 1, name="lane_base"),
        }.items():
            step = Signal(len(base), name=f"step_{name}", reset_less=True)
            at[name] = Signal(len(base), name=f"at_{name}", reset_less=True)
            m.d.sync += [
                step.eq(step_select(issue.level, [nest[f"s{k}_{name}"] for k in range(_LEVELS)])),
                at[name].eq(Mux(first, base.as_unsigned(), at[name] + step)),
            ]
        m.d.comb += self.swap.eq(first & block.swap)
        return at

    def _elaborate_lanes(self, m: Module, at: dict[str, Signal], issue: _Issue) -> list[Signal]:
        """Cycles 2 and 3: address and range of every lane, then the rotation to banks. Returns valid bits (cycle 4)."""
        config, nest = self._config, self.nest
        m.submodules.rotator = rotator = self._rotator
        lane_bits = config.lanes.bit_length() - 1
        extra = delay(m, issue.extra, 3, name="extra_lanes")
        # A negative coordinate is at least 2**15 as an unsigned number: no limit may be larger than that.
        row_limit, col_limit = (
            delay(m, Mux(nest[name][-1], 1 << 15, nest[name]), 3, name=name) for name in ("row_limit", "col_limit")
        )
        planar = delay(m, nest.planar, 3, name="planar")
        valid = []
        for j in range(config.lanes):
            entry = self.entries[j]
            v, row, col, exists = (
                Signal(len(entry[name]), name=f"lane_{name}_{j}", reset_less=True)
                for name in ("v", "row", "col", "valid")
            )
            m.d.sync += [
                v.eq(at["v"] + entry.v),
                row.eq(at["row"] + entry.row),
                col.eq(at["col"] + entry.col),
                exists.eq(entry.valid),
            ]
            valid.append(Signal(name=f"valid_{j}", reset_less=True))
            address = Signal(len(rotator.i[j]), name=f"address_{j}", reset_less=True)
            m.d.sync += [
                valid[j].eq(exists & (extra | ((row < row_limit) & (col < col_limit)))),
                address.eq(Mux(planar, v >> lane_bits, v)),
            ]
            m.d.comb += rotator.i[j].eq(address)
        shift, back = (Signal(lane_bits, name=n, reset_less=True) for n in ("shift", "shift_back"))
        m.d.sync += [
            shift.eq(at["v"][:lane_bits] + self.entries[0].v[:lane_bits] + at["lane"][:lane_bits]),
            back.eq(-shift),
        ]
        m.d.comb += [
            rotator.shift.eq(back),
            self._buffer.rows.eq(rotator.o),
            self._buffer.shift.eq(delay(m, shift, 1 + rotator.latency, name="shift")),
        ]
        return valid

    def _elaborate_output(self, m: Module, at: dict[str, Signal], issue: _Issue, valid: list[Signal]) -> None:
        """The accumulator word, and the last cycle, in which lanes that do not count become zero."""
        config, nest = self._config, self.nest
        last = self.latency - 1

        ones_acc = Signal(16, reset_less=True)
        m.d.sync += ones_acc.eq(issue.block.acc + nest.ones_acc)
        word = Signal(16, name="word", reset_less=True)
        m.d.sync += word.eq(
            Mux(delay(m, issue.extra, 2, name="extra_word"), delay(m, ones_acc, 2, name="ones_acc"), at["acc"])
        )
        active = delay(m, issue.active, 3, name="active", reset_less=False)
        outside = word[config.accumulator_depth.bit_length() - 1 :].any()
        m.d.comb += [self.address_error.eq(active & outside), self.error_address.eq(word)]

        one = int(to_bits(np.float32(1), config.operand))
        extra = delay(m, issue.extra, last, name="extra_output")
        for j in range(config.lanes):
            output = Signal(config.operand.width, name=f"b_{j}", reset_less=True)
            exists = delay(m, valid[j], last - 4, name=f"valid_{j}")
            m.d.sync += output.eq(Mux(exists, Mux(extra, one, self._buffer.o[j]), 0))
            m.d.comb += self.b[j].eq(output)
        word_bits = len(self.accumulate.address)
        m.d.comb += [
            self.b_first.eq(delay(m, issue.first & issue.active, last + 1, name="b_first", reset_less=False)),
            self.accumulate.en.eq(delay(m, active & ~outside, last + 1 - 3, name="accumulate_en", reset_less=False)),
            self.accumulate.init.eq(delay(m, issue.block.init, last + 1, name="accumulate_init")),
            self.accumulate.bank.eq(delay(m, nest.bank, last + 1, name="accumulate_bank")),
            self.accumulate.address.eq(delay(m, word[:word_bits], last + 1 - 3, name="accumulate_address")),
        ]
