"""On-chip addresses of the items of a load."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LoadNest", "LoadNestLayout"]

ADDRESS_BITS = 24
_MULTIPLY_STAGES = 2


class LoadNestLayout(data.StructLayout):
    """The fields of a load instruction that say where its items go; names and meaning as in :mod:`eftrain_hdl.isa`."""

    def __init__(self) -> None:
        counts = {f"{axis}_count": 16 for axis in "xyz"}
        phases = {f"{axis}_{name}": 8 for axis in "xy" for name in ("phases", "phase")}
        strides = ("base", "x_stride", "x_phase_stride", "y_stride", "y_phase_stride", "z_stride", "w_stride")
        super().__init__(counts | phases | {name: signed(ADDRESS_BITS) for name in strides})


class _Prepared(NamedTuple):
    """What was computed for the nest on offer: its first address, and the steps from the last phase of a turn on."""

    origin: Signal
    x_turn: Signal
    y_turn: Signal


class _Walk(NamedTuple):
    """Where the nest that runs stands.

    ``left`` counts the items of each axis down, ``phase`` those of its turn. ``starts`` has the address at which all
    lower levels are at their first index, for each level.
    """

    nest: data.View
    """The nest, with all counts and phases as they are counted down: less one, and the first phase from the end."""
    x_turn: Signal
    y_turn: Signal
    starts: dict[str, Signal]
    left: dict[str, Signal]
    phase: dict[str, Signal]

    @classmethod
    def registers(cls) -> _Walk:
        return cls(
            nest=Signal(LoadNestLayout(), name="running", reset_less=True),
            x_turn=Signal(ADDRESS_BITS, name="delta_x_turn", reset_less=True),
            y_turn=Signal(ADDRESS_BITS, name="delta_y_turn", reset_less=True),
            starts={axis: Signal(ADDRESS_BITS, name=f"start_{axis}", reset_less=True) for axis in "yzw"},
            left={axis: Signal(16, name=f"left_{axis}", reset_less=True) for axis in "xyz"},
            phase={axis: Signal(8, name=f"phase_{axis}", reset_less=True) for axis in "xy"},
        )

    def last(self, axis: str) -> Value:
        return self.left[axis] == 0

    def turn(self, axis: str) -> Value:
        return self.phase[axis] == 0

    def to_first(self, m: Module, *axes: str) -> None:
        """Back to the first index of each of ``axes``."""
        for axis in axes:
            m.d.sync += self.left[axis].eq(self.nest[f"{axis}_count"])
            if axis in self.phase:
                m.d.sync += self.phase[axis].eq(self.nest[f"{axis}_phase"])

    def to_next(self, m: Module, axis: str) -> None:
        """To the next index of ``axis``."""
        m.d.sync += self.left[axis].eq(self.left[axis] - 1)
        if axis in self.phase:
            phases = self.nest[f"{axis}_phases"]
            m.d.sync += self.phase[axis].eq(Mux(self.turn(axis), phases, self.phase[axis] - 1))


class LoadNest(wiring.Component):
    """Address generator of a load: one item a cycle.

    Products (first phase times phase stride, and what the last phase of a turn steps back) are formed once per nest by
    one multiplier, in six cycles, while the nest before it still runs; from then on every address is one addition away.
    Addresses wrap modulo 2**24.

    Members
    -------
    i : In(stream of LoadNestLayout)
        Nests; each must stay on offer until it is taken by ``start``. Counts and phases at least 1, first phase below
        the number of phases.
    start : In(1)
        Take the nest on offer; only where ``ready`` is set. Its first address is there in the next cycle.
    ready : Out(1)
        The nest on offer is prepared.
    advance : In(1)
        Move on to the next item; its address is there in the next cycle.
    address : Out(24)
        Address of the present item.
    """

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(LoadNestLayout())),
            "start": In(1),
            "ready": Out(1),
            "advance": In(1),
            "address": Out(ADDRESS_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(self.start)
        prepared = self._elaborate_preparation(m)
        walk = _Walk.registers()
        moved = self._elaborate_moves(m, walk)
        with m.If(self.start):
            self._begin(m, walk, prepared)
        with m.Elif(self.advance):
            self._advance(m, walk, moved)
        return m

    def _elaborate_preparation(self, m: Module) -> _Prepared:
        """Four products through one registered multiplier, and the sums that they are for."""
        nest = self.i.payload
        products = (
            (nest.x_phase, nest.x_phase_stride),
            (nest.y_phase, nest.y_phase_stride),
            (nest.x_phases - 1, nest.x_phase_stride),
            (nest.y_phases - 1, nest.y_phase_stride),
        )
        step = Signal(range(len(products) + _MULTIPLY_STAGES + 1))
        factor = Signal(8, reset_less=True)
        stride = Signal(signed(ADDRESS_BITS), reset_less=True)
        product = Signal(ADDRESS_BITS, reset_less=True)
        origin = Signal(ADDRESS_BITS, reset_less=True)
        x_turn = Signal(ADDRESS_BITS, reset_less=True)
        y_turn = Signal(ADDRESS_BITS, reset_less=True)
        m.d.comb += self.ready.eq(step == len(products) + _MULTIPLY_STAGES)
        with m.If(self.start):
            m.d.sync += step.eq(0)
        with m.Elif(self.i.valid & ~self.ready):
            m.d.sync += step.eq(step + 1)
        m.d.sync += product.eq(factor * stride)
        with m.Switch(step):
            for index, (left, right) in enumerate(products):
                with m.Case(index):
                    m.d.sync += [factor.eq(left), stride.eq(right)]
        with m.Switch(step):
            with m.Case(2):
                m.d.sync += origin.eq(nest.base + product)
            with m.Case(3):
                m.d.sync += origin.eq(origin + product)
            with m.Case(4):
                m.d.sync += x_turn.eq(nest.x_stride - product)
            with m.Case(5):
                m.d.sync += y_turn.eq(nest.y_stride - product)
        return _Prepared(origin, x_turn, y_turn)

    def _elaborate_moves(self, m: Module, walk: _Walk) -> dict[str, Signal]:
        """For each axis the address at its next index, all axes below it at their first."""
        nest, starts = walk.nest, walk.starts
        moved = {axis: Signal(ADDRESS_BITS, name=f"moved_{axis}") for axis in "xyzw"}
        m.d.comb += [
            moved["x"].eq(self.address + Mux(walk.turn("x"), walk.x_turn, nest.x_phase_stride)),
            moved["y"].eq(starts["y"] + Mux(walk.turn("y"), walk.y_turn, nest.y_phase_stride)),
            moved["z"].eq(starts["z"] + nest.z_stride),
            moved["w"].eq(starts["w"] + nest.w_stride),
        ]
        return moved

    def _begin(self, m: Module, walk: _Walk, prepared: _Prepared) -> None:
        """Take the nest on offer, at its first item."""
        nest, origin = self.i.payload, prepared.origin
        m.d.sync += [
            walk.nest.eq(nest),
            walk.x_turn.eq(prepared.x_turn),
            walk.y_turn.eq(prepared.y_turn),
            self.address.eq(origin),
        ]
        m.d.sync += [start.eq(origin) for start in walk.starts.values()]
        for axis in "xyz":
            count = nest[f"{axis}_count"] - 1
            m.d.sync += [walk.nest[f"{axis}_count"].eq(count), walk.left[axis].eq(count)]
        for axis in "xy":
            remaining = nest[f"{axis}_phases"] - 1 - nest[f"{axis}_phase"]
            m.d.sync += [
                walk.nest[f"{axis}_phases"].eq(nest[f"{axis}_phases"] - 1),
                walk.nest[f"{axis}_phase"].eq(remaining),
                walk.phase[axis].eq(remaining),
            ]

    def _advance(self, m: Module, walk: _Walk, moved: dict[str, Signal]) -> None:
        """To the next item: along the innermost axis that is not at its last index."""
        with m.If(~walk.last("x")):
            m.d.sync += self.address.eq(moved["x"])
            walk.to_next(m, "x")
        with m.Elif(~walk.last("y")):
            m.d.sync += [self.address.eq(moved["y"]), walk.starts["y"].eq(moved["y"])]
            walk.to_first(m, "x")
            walk.to_next(m, "y")
        with m.Elif(~walk.last("z")):
            m.d.sync += self.address.eq(moved["z"])
            walk.to_first(m, "x", "y")
            walk.to_next(m, "z")
            m.d.sync += [walk.starts[axis].eq(moved["z"]) for axis in "yz"]
        with m.Else():
            m.d.sync += self.address.eq(moved["w"])
            walk.to_first(m, "x", "y", "z")
            m.d.sync += [walk.starts[axis].eq(moved["w"]) for axis in "yzw"]
