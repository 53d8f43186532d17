"""Arithmetic of the area report; what Yosys says is the business of tests/synthesis, save for one long test."""

import json

import pytest

import eftrain_hdl.synthesis
from eftrain_hdl.cli import main
from eftrain_hdl.rtl.compute.mac_row import MacRow
from eftrain_hdl.synthesis import LogicPath, SynthesisResult


def synthesized(lc: int, dsp: int, ff: int, bram36: float) -> SynthesisResult:
    paths = (LogicPath(7, "a", "b", ("LUT6",) * 7), LogicPath(6, "c", "d", ("LUT6",) * 6))
    return SynthesisResult(
        lc=lc, lutram=10, srl=20, ff=ff, dsp=dsp, bram36=bram36, carry=0, depth=7, paths=paths, port_paths=(), cells={},
        seconds=0.0,
    )  # fmt: skip


@pytest.fixture
def fixed(monkeypatch):
    """Synthesis that answers 1000 cells for a row of the array and 50 000 for everything; the families asked for."""
    families = []

    def synthesize(design, family="xcup", **_):
        families.append(family)
        row, everything = synthesized(1000, 32, 2000, 4.0), synthesized(50_000, 700, 90_000, 200.5)
        return row if isinstance(design, MacRow) else everything

    monkeypatch.setattr(eftrain_hdl.synthesis, "synthesize", synthesize)
    return families


def test_board(capsys, fixed):
    assert main(["area", "--board", "zcu102", "--json", "-"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    rows, lanes = found["config"]["rows"], found["config"]["lanes"]
    assert found["array"]["macs"] == rows * lanes
    assert found["array"]["lc"] == 1000 * rows
    assert found["array"]["lc_per_mac"] == pytest.approx(1000 / lanes)
    assert found["array"]["dsp_per_mac"] == pytest.approx(32 / lanes)
    assert found["total"]["lc"] == 50_000 and found["total"]["luts"] == 50_030
    board = found["board"]
    assert board["fractions"]["lut"] == pytest.approx(50_030 / board["lut"])
    assert board["fractions"]["bram36"] == pytest.approx(200.5 / board["bram36"])
    assert (found["depth"]["levels"], found["depth"]["from"], found["depth"]["to"]) == (7, "a", "b")
    assert len(found["depth"]["paths"]) == 2
    assert "before place and route" in captured.err
    assert fixed == ["xcup", "xcup"]


def test_options_change_the_board_s_configuration(capsys, fixed):
    assert main(["area", "--board", "zcu102", "--operand", "fp16", "--rows", "16", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["config"]["rows"], found["config"]["operand"], found["config"]["ports"]) == (16, "fp16", 3)
    assert found["board"]["name"] == "zcu102" and fixed == ["xcup", "xcup"]


def test_configuration_and_family(capsys, fixed):
    assert main(["area", "--rows", "4", "--lanes", "4", "--family", "xc7", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["rows"] == 4 and found["board"] is None
    assert found["array"]["lc"] == 4000
    assert fixed == ["xc7", "xc7"]


@pytest.mark.full
def test_yosys_measures_a_small_accelerator(capsys):
    assert main(["area", "--rows", "2", "--lanes", "2", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["array"]["lc"] < found["total"]["lc"]
    assert found["array"]["dsp"] >= 4 and found["total"]["bram36"] > 0
