"""``eftrain trace``: its files and figures agree, and bad requests say what is wrong before anything is compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eftrain_hdl.cli import main
from eftrain_hdl.runtime.sim import SimDevice
from tests.cli.invoke import status

SMALL = ["--rows", "4", "--lanes", "8"]  # the array of tests/runtime/test_trace.py, so that it is compiled once


def test_trace_figure_and_json_agree(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, plot = tmp_path / "new" / "trace.json", tmp_path / "new" / "trace.png"
    options = ["trace", *SMALL, "--memory", "ideal", "--clock", "100", "--json", "-"]
    assert main([*options, "--output", str(trace), "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert plot.read_bytes().startswith(b"\x89PNG")
    other = json.loads(trace.read_text())["otherData"]
    assert (other["cycles"], other["clock_mhz"]) == (found["cycles"], 100) == (found["counters"]["CYCLES"], 100)
    assert other["totals"] == {name: unit["states"] for name, unit in found["units"].items()}
    for name, unit in found["units"].items():
        assert sum(unit["states"].values()) == found["cycles"]
        assert unit["busy"] == found["counters"]["CYCLES" if name == "COMMAND" else f"{name}_BUSY"]
        assert f"{name} busy" in captured.err
    assert found["memory"] == "ideal" and found["config"]["rows"] == 4
    assert [(p["layer"], p["phase"]) for p in found["phases"]] == [
        (0, "FP"), (4, "FP"), (4, "BP"), (4, "WU"), (0, "BP"), (0, "WU"),
    ]  # fmt: skip
    for phase in found["phases"]:
        assert all(sum(unit.values()) == phase["end"] - phase["start"] for unit in phase["units"].values())
    assert "waiting: LOAD_A" in captured.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--board", "nothing"], "unknown board 'nothing'"),
        (["--memory", "nothing"], "unknown memory 'nothing'"),
        (["--clock", "0"], "--clock: must be a number from 1 to 1000"),
        (["--plot", "trace.xyz"], "--plot: trace.xyz: the name must end in one of"),
        (["--lanes", "3"], "lanes"),
    ],
)
def test_bad_requests(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], text: str
) -> None:
    def no_device(*_: object, **__: object) -> None:
        raise AssertionError("a device was made")

    monkeypatch.setattr(SimDevice, "__init__", no_device)
    assert status("trace", *options) == 2
    assert text in capsys.readouterr().err
