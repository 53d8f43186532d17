"""On-chip addresses of the items of a load."""

from amaranth.hdl import Module, Mux, Signal, signed
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
        nest = self.i.payload
        m.d.comb += self.i.ready.eq(self.start)

        # Preparation: four products through one registered multiplier.
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

        # The nest that runs. A level's start: the address where all lower levels are at their first index.
        running = Signal(LoadNestLayout(), reset_less=True)
        delta_x_turn = Signal(ADDRESS_BITS, reset_less=True)
        delta_y_turn = Signal(ADDRESS_BITS, reset_less=True)
        starts = {axis: Signal(ADDRESS_BITS, name=f"start_{axis}", reset_less=True) for axis in "yzw"}
        left = {axis: Signal(16, name=f"left_{axis}", reset_less=True) for axis in "xyz"}
        phase = {axis: Signal(8, name=f"phase_{axis}", reset_less=True) for axis in "xy"}
        last = {axis: left[axis] == 0 for axis in "xyz"}
        turn = {axis: phase[axis] == 0 for axis in "xy"}

        moved_x = Signal(ADDRESS_BITS)
        moved_y = Signal(ADDRESS_BITS)
        moved_z = Signal(ADDRESS_BITS)
        moved_w = Signal(ADDRESS_BITS)
        m.d.comb += [
            moved_x.eq(self.address + Mux(turn["x"], delta_x_turn, running.x_phase_stride)),
            moved_y.eq(starts["y"] + Mux(turn["y"], delta_y_turn, running.y_phase_stride)),
            moved_z.eq(starts["z"] + running.z_stride),
            moved_w.eq(starts["w"] + running.w_stride),
        ]

        def first(axis: str) -> list:
            """Back to the first index of ``axis``; ``phase`` counts the items left in the turn."""
            out = [left[axis].eq(running[f"{axis}_count"])]
            if axis in phase:
                out.append(phase[axis].eq(running[f"{axis}_phase"]))
            return out

        def following(axis: str) -> list:
            out = [left[axis].eq(left[axis] - 1)]
            if axis in phase:
                out.append(phase[axis].eq(Mux(turn[axis], running[f"{axis}_phases"], phase[axis] - 1)))
            return out

        with m.If(self.start):
            m.d.sync += [running.eq(nest), delta_x_turn.eq(x_turn), delta_y_turn.eq(y_turn), self.address.eq(origin)]
            m.d.sync += [signal.eq(origin) for signal in starts.values()]
            for axis in "xyz":
                count = nest[f"{axis}_count"] - 1
                m.d.sync += [running[f"{axis}_count"].eq(count), left[axis].eq(count)]
            for axis in "xy":
                remaining = nest[f"{axis}_phases"] - 1 - nest[f"{axis}_phase"]
                m.d.sync += [
                    running[f"{axis}_phases"].eq(nest[f"{axis}_phases"] - 1),
                    running[f"{axis}_phase"].eq(remaining),
                    phase[axis].eq(remaining),
                ]
        with m.Elif(self.advance):
            with m.If(~last["x"]):
                m.d.sync += [self.address.eq(moved_x), *following("x")]
            with m.Elif(~last["y"]):
                m.d.sync += [self.address.eq(moved_y), starts["y"].eq(moved_y), *first("x"), *following("y")]
            with m.Elif(~last["z"]):
                m.d.sync += [self.address.eq(moved_z), *first("x"), *first("y"), *following("z")]
                m.d.sync += [starts[axis].eq(moved_z) for axis in "yz"]
            with m.Else():
                m.d.sync += [self.address.eq(moved_w), *first("x"), *first("y"), *first("z")]
                m.d.sync += [starts[axis].eq(moved_w) for axis in "yzw"]
        return m
