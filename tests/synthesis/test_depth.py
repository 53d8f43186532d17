"""Logic depth on netlists made by hand, so that each rule stands by itself."""

import pytest

from eftrain_hdl.synthesis.depth import longest_paths

OUTPUTS = {"Q", "O", "CO", "P", "DO", "DOA", "DOB"}


class Netlist:
    """Builds the JSON form: nets by name, cells by type and connections."""

    def __init__(self, **ports):
        self.bits = {}
        self.module = {"ports": {}, "cells": {}, "netnames": {}, "attributes": {}}
        for name, direction in ports.items():
            self.module["ports"][name] = {"direction": direction, "bits": [self.net(name)]}

    def net(self, name):
        if isinstance(name, int):
            return str(name)
        if name not in self.bits:
            self.bits[name] = len(self.bits) + 2
            self.module["netnames"][name] = {"bits": [self.bits[name]], "hide_name": 0}
        return self.bits[name]

    def cell(self, kind, name=None, **pins):
        name = name or f"c{len(self.module['cells'])}"
        wires = {pin: [self.net(n) for n in ([nets] if isinstance(nets, (str, int)) else nets)]
                 for pin, nets in pins.items()}
        self.module["cells"][name] = {
            "type": kind, "connections": wires,
            "port_directions": {pin: "output" if pin in OUTPUTS or pin in ("y", "z") else "input" for pin in pins}}
        return self

    def register(self, d, q):
        return self.cell("FDRE", f"ff_{q}", C="clk", D=d, Q=q, CE=1, R=0)

    def paths(self, others=(), **options):
        return longest_paths({"top": self.module, **dict(others)}, "top", **options)


def test_luts_in_a_row():
    n = Netlist(clk="input").register("d", "a").register("a3", "b")
    n.cell("LUT2", I0="a", I1="b", O="a1").cell("LUT6", I0="a1", O="a2").cell("LUT1", I0="a2", O="a3")
    path = n.paths()[0]
    assert (path.levels, path.start, path.end, path.cells) == (3, "a", "b", ("LUT2", "LUT6", "LUT1"))
    assert str(path) == "  3 levels: a -> b (LUT2 LUT6 LUT1)"


@pytest.mark.parametrize("kind", ["INV", "MUXF7", "MUXF8", "BUFG"])
def test_cells_that_cost_nothing(kind):
    n = Netlist(clk="input").register("d", "a").register("a2", "b")
    n.cell("LUT2", I0="a", O="a1").cell(kind, I0="a1", O="a2")
    assert n.paths()[0].levels == 1


def test_a_carry_chain_is_one_level():
    n = Netlist(clk="input").register("d", "a").register("s2", "b")
    n.cell("LUT2", I0="a", O="p")
    n.cell("CARRY4", S="p", DI="a", CI=0, CYINIT=0, O="s0", CO="c0")
    n.cell("CARRY4", S=0, DI=0, CI="c0", CYINIT=0, O="s1", CO="c1")
    n.cell("CARRY4", S=0, DI=0, CI="c1", CYINIT=0, O="s2", CO="c2")
    assert n.paths()[0].levels == 2


def test_a_late_input_of_a_chain_counts_from_there():
    n = Netlist(clk="input").register("d", "a").register("s1", "b")
    n.cell("CARRY4", S="a", DI="a", CI=0, CYINIT=0, O="s0", CO="c0")
    n.cell("LUT2", I0="a", O="p0").cell("LUT2", I0="p0", O="p1").cell("LUT2", I0="p1", O="p2")
    n.cell("CARRY4", S="p2", DI=0, CI="c0", CYINIT=0, O="s1", CO="c1")
    assert n.paths()[0].levels == 4


def test_two_adders_in_a_row_are_two_chains():
    n = Netlist(clk="input").register("d", "a").register("s1", "b")
    n.cell("CARRY4", S="a", DI="a", CI=0, CYINIT=0, O="s0", CO="c0")
    n.cell("LUT2", I0="s0", O="p")
    n.cell("CARRY4", S="p", DI=0, CI=0, CYINIT=0, O="s1", CO="c1")
    assert n.paths()[0].levels == 3


@pytest.mark.parametrize("kind", ["DSP48E2", "RAMB36E2", "SRL16E", "FDRE"])
def test_boundaries_cut_a_path(kind):
    n = Netlist(clk="input").register("d", "a").register("a3", "b")
    n.cell("LUT2", I0="a", O="a1").cell(kind, "block", D="a1", CLK="clk", Q="a2").cell("LUT2", I0="a2", O="a3")
    assert [path.levels for path in n.paths()] == [1, 1]


def test_a_lut_ram_is_read_through_one_level():
    n = Netlist(clk="input").register("d", "a").register("q1", "b")
    n.cell("LUT2", I0="a", O="address")
    n.cell("RAM32M", "store", ADDRA="address", ADDRB=0, DIA="a", WE="a", WCLK="clk", DOA="q0")
    n.cell("LUT2", I0="q0", O="q1")
    deepest = n.paths()[0]
    assert (deepest.levels, deepest.cells) == (3, ("LUT2", "RAM32M", "LUT2"))
    ends = {path.end: path.levels for path in n.paths()}
    assert ends["store.ADDRA (RAM32M)"] == 1
    assert ends["store.DIA (RAM32M)"] == 0


def test_enable_and_reset_pins_are_ends():
    n = Netlist(clk="input").register("d", "a")
    n.cell("LUT2", I0="a", O="enable").cell("FDRE", "ff_b", C="clk", D="a", Q="b", CE="enable", R=0)
    assert n.paths()[0].end == "b (CE)"


def test_ports_count_only_when_asked():
    n = Netlist(clk="input", i="input", o="output").register("i2", "a").cell("LUT2", I0="a", O="o")
    n.cell("LUT2", I0="i", O="i1").cell("LUT2", I0="i1", O="i2")
    assert all(path.levels == 0 for path in n.paths())
    found = {(path.start, path.end): path.levels for path in n.paths(ports=True)}
    assert found == {("port i", "a"): 2, ("a", "port o"): 1}


def test_paths_cross_module_boundaries():
    child = Netlist(x="input", y="output").cell("LUT2", I0="x", O="y")
    n = Netlist(clk="input").register("d", "a").register("a3", "b")
    n.cell("LUT2", I0="a", O="a1").cell("child", "u0", x="a1", y="a2").cell("child", "u1", x="a2", y="a3")
    path = n.paths({"child": child.module}.items())[0]
    assert (path.levels, path.start, path.end) == (3, "a", "b")


def test_names_carry_the_instance():
    child = Netlist(clk="input", x="input", y="output").register("x1", "y").cell("LUT3", I0="x", O="x1")
    n = Netlist(clk="input").register("d", "a").cell("child", "u0", clk="clk", x="a", y="b")
    path = n.paths({"child": child.module}.items())[0]
    assert (path.levels, path.start, path.end) == (1, "a", "u0.y")


def test_an_output_that_is_an_input_of_its_module():
    child = Netlist(x="input")
    child.module["ports"]["y"] = {"direction": "output", "bits": [child.net("x")]}
    n = Netlist(clk="input").register("d", "a").register("a3", "b")
    n.cell("LUT2", I0="a", O="a1").cell("child", "u0", x="a1", y="a2").cell("LUT2", I0="a2", O="a3")
    path = n.paths({"child": child.module}.items())[0]
    assert (path.levels, path.start, path.end) == (2, "a", "b")


def test_one_path_a_signal():
    n = Netlist(clk="input").register("d", "a")
    for i in range(20):
        n.cell("LUT2", I0="a", O=f"x{i}").register(f"x{i}", f"b{i}")
    n.register("a", "c")
    assert [(path.levels, path.end[0]) for path in n.paths()] == [(1, "b"), (0, "c")]


def test_loops_are_refused():
    n = Netlist(clk="input").register("y", "a")
    n.cell("LUT2", I0="a", I1="y", O="x").cell("LUT2", I0="x", O="y")
    with pytest.raises(ValueError, match="combinational loop through 2 cells"):
        n.paths()
