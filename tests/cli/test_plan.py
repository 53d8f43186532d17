"""``eftrain plan``: what it prints is consistent, and bad requests say what is wrong."""

from __future__ import annotations

import json

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import main


def plan(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert main(["plan", "--batch", "4", "--json", "-", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_figures_are_consistent(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--model", "lenet", "--rows", "8", "--lanes", "8", "--clock", "100")
    assert found["total_cycles"] == pytest.approx(sum(layer["cycles"] for layer in found["layers"]), abs=20)
    assert 0 < found["utilization"] < 1
    assert found["gflops"] == pytest.approx(found["utilization"] * 2 * 64 * 0.1)
    assert found["images_per_second"] == pytest.approx(4e8 / found["total_cycles"], rel=1e-3)
    assert {layer["phase"] for layer in found["layers"]} == {"FP", "BP", "WU"}
    assert {layer["bound"] for layer in found["layers"]} <= {"array", "load", "store", "vector", "latency"}


def test_a_board_gives_configuration_and_clock_and_options_change_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--model", "shallow", "--board", "zcu102", "--operand", "bf16")
    assert found["config"] == boards.get("zcu102").configs["bf16"].as_dict() and found["clock_mhz"] == 200.0
    assert plan(capsys, "--model", "shallow", "--board", "zcu102", "--rows", "32")["config"]["rows"] == 32


def test_momentum_costs_time(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "lenet", "--rows", "8", "--lanes", "8"]
    plain, momentum = (plan(capsys, *options, "--momentum", value)["total_cycles"] for value in ("0", "0.9"))
    assert plain < momentum


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--model", "lenet", "--board", "nothing"], "unknown board 'nothing'"),
        (["--model", "lenet", "--memory", "nothing"], "no memory model called 'nothing'"),
        (["--model", "1x", "--streaming-depth", "64"], "needs streaming_depth"),
    ],
)
def test_bad_requests(capsys: pytest.CaptureFixture[str], options: list[str], text: str) -> None:
    assert main(["plan", *options]) == 2
    assert text in capsys.readouterr().err
