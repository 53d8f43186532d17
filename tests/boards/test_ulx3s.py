# amaranth: UnusedElaboratable=no
"""The timing harness of the ULX3S."""

from __future__ import annotations

import re
import sys

import pytest

from eftrain_hdl.boards.ulx3s import CLOCK_MHZ, timing_design
from eftrain_hdl.config import Config
from eftrain_hdl.rtl.accelerator import Accelerator
from eftrain_hdl.rtl.fp import FloatMul


def test_pins_and_clock() -> None:
    rtlil, constraints = timing_design(FloatMul())
    assert re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', constraints) == [
        ("clk25_0__io", "G2"), ("button_fire_0__io", "R1"), ("led_0__io", "B2")
    ]  # fmt: skip
    assert "FREQUENCY PORT \"clk25_0__io\" 25000000.0 HZ" in constraints
    pll = rtlil[rtlil.index("cell \\EHXPLLL") :]
    dividers = {name: int(value) for name, value in re.findall(r"parameter \\(CLK\w+_DIV) (\d+)", pll)}
    assert 25 / dividers["CLKI_DIV"] * dividers["CLKFB_DIV"] == CLOCK_MHZ
    assert 400 <= CLOCK_MHZ * dividers["CLKOP_DIV"] <= 800


def test_every_bit_of_the_ports_has_a_register() -> None:
    rtlil, _ = timing_design(FloatMul())
    top = rtlil[rtlil.index("module \\top\n") :]
    widths = {name: int(bits) for bits, name in re.findall(r"wire width (\d+) \\(\w+)\n", top)}
    assert (widths["stimulus"], widths["response"], widths["signature"]) == (64, 34, 34)


def test_products_are_cut_for_its_multipliers() -> None:
    rtlil, _ = timing_design(FloatMul())
    multipliers = re.findall(r"cell \$mul .*?\n  end\n", rtlil, re.DOTALL)
    widths = [tuple(int(re.search(rf"{side}_WIDTH (\d+)", cell)[1]) for side in "AB") for cell in multipliers]
    assert sorted(widths) == [(6, 18), (18, 6), (18, 18)]


@pytest.mark.full
def test_accelerator() -> None:
    rtlil, _ = timing_design(Accelerator(Config(rows=2, lanes=2)))
    assert "module \\top.component.core" in rtlil


def test_amaranth_boards_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth_boards.ulx3s", None)
    with pytest.raises(ImportError, match=r"amaranth-boards is not installed: pip install 'eftrain-hdl\[pnr\]'"):
        timing_design(FloatMul())
