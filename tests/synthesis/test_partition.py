"""Cutting a design for several processes: what is in which part, and that the figures stay as they are."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.synthesis import netlist as netlist_module
from eftrain_hdl.synthesis import synthesize
from eftrain_hdl.synthesis.merge import merge_design, parse_design
from eftrain_hdl.synthesis.partition import partition


class Adder(wiring.Component):
    """A register behind an adder."""

    a: In(16)
    b: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        total = Signal(16, reset_less=True)
        m.d.sync += total.eq(self.a + self.b)
        m.d.comb += self.o.eq(total)
        return m


class Multiplier(wiring.Component):
    """A product of a sum and an input: one module in another."""

    a: In(16)
    b: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.adder = adder = Adder()
        product = Signal(16, reset_less=True)
        m.d.comb += [adder.a.eq(self.a), adder.b.eq(self.b), self.o.eq(product)]
        m.d.sync += product.eq(adder.o * self.b)
        return m


class Chip(wiring.Component):
    """Four multipliers and four adders in a chain with logic between them, so that the deepest path crosses modules."""

    a: In(16)
    b: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        value = self.a
        for i in range(4):
            m.submodules[f"multiplier{i}"] = multiplier = Multiplier()
            m.submodules[f"adder{i}"] = adder = Adder()
            m.d.comb += [multiplier.a.eq(value), multiplier.b.eq(self.b ^ (value >> 1)),
                         adder.a.eq(multiplier.o ^ value), adder.b.eq(self.b & ~multiplier.o)]
            value = adder.o
        m.d.comb += self.o.eq(value)
        return m


@pytest.fixture
def design():
    return merge_design(parse_design(rtlil.convert(Chip(), name="top")))


def kept_and_stubs(part):
    """Modules of a part that keep their hierarchy, and its black boxes."""
    headers = {name: module.lines[:module.header] for name, module in part.modules.items()}
    return tuple({name for name, lines in headers.items() if f"attribute \\{word} 1" in lines}
                 for word in ("keep_hierarchy", "blackbox"))


def by_size(design):
    """The adder, the multiplier, and the top."""
    sizes = design.sizes()
    return sorted(sizes, key=sizes.__getitem__)


def test_without_a_cut_the_design_stays_whole(design):
    adder, multiplier, top = by_size(design)
    for kept, parts in (({adder, multiplier}, 1), ({adder}, 0), (set(), 3)):
        part, = partition(design, kept, parts)
        assert part.top == top and part.modules.keys() == design.modules.keys()
        assert kept_and_stubs(part) == (kept, set())


def test_each_kept_module_is_in_one_part(design):
    adder, multiplier, top = by_size(design)
    parts = partition(design, {adder, multiplier}, 3)
    found = [kept_and_stubs(part) for part in parts]
    assert len(found) == 3
    for expected in (({adder}, set()), ({multiplier}, {adder}), ({top}, {adder, multiplier})):
        assert expected in found
    assert not {part.top for part in parts} & design.modules.keys()
    # No more parts than there are modules to hand out; with fewer, what lies together needs no black box.
    assert len(partition(design, {adder, multiplier}, 9)) == 3
    stubs = [kept_and_stubs(part)[1] for part in partition(design, {adder, multiplier}, 2)]
    assert len(stubs) == 2 and set() in stubs


def test_what_is_not_kept_goes_where_it_is_used(design):
    adder, multiplier, top = by_size(design)
    parts = {frozenset(kept_and_stubs(part)[0]): part for part in partition(design, {multiplier}, 2)}
    assert adder in parts[frozenset({top})].modules and adder in parts[frozenset({multiplier})].modules


def test_figures_do_not_depend_on_the_cut(monkeypatch):
    monkeypatch.setattr(netlist_module, "_KEEP_CELLS", 1)
    whole = synthesize(Chip())
    monkeypatch.setattr(netlist_module, "_PART_LINES", 1)
    monkeypatch.setattr(netlist_module.os, "cpu_count", lambda: 3)
    cut = synthesize(Chip())
    assert cut.figures() == whole.figures() and cut.cells == whole.cells
    assert [path.levels for path in cut.paths] == [path.levels for path in whole.paths]
    assert [path.levels for path in cut.port_paths] == [path.levels for path in whole.port_paths]
