"""``eftrain plan``: what it prints is consistent, and bad requests say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import main
from tests.cli.invoke import status


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
    assert not any(layer["estimated"] for layer in found["layers"]) and found["estimated_cycles"] == 0
    assert {layer["bound"] for layer in found["layers"]} <= {"array", "load", "store", "vector", "latency"}


def test_no_phase_uses_more_than_the_whole_array(capsys: pytest.CaptureFixture[str]) -> None:
    """Two BPs of 1x begin while the phase before still stores: their own time alone would be 101 % of the array."""
    found = plan(capsys, "--model", "1x", "--board", "zcu102", "--batch", "16")
    uses = [layer["utilization"] for layer in found["layers"]]
    assert max(uses) == pytest.approx(1) and max(uses) <= 1 + 1e-9
    assert found["total_cycles"] == pytest.approx(sum(layer["cycles"] for layer in found["layers"]), abs=20)


def test_a_board_gives_configuration_and_clock_and_options_change_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--model", "shallow", "--board", "zcu102", "--operand", "bf16")
    assert found["config"] == boards.get("zcu102").configs["bf16"].as_dict() and found["clock_mhz"] == 200.0
    assert plan(capsys, "--model", "shallow", "--board", "zcu102", "--rows", "32")["config"]["rows"] == 32


def test_momentum_costs_time(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "lenet", "--rows", "8", "--lanes", "8"]
    plain, momentum = (plan(capsys, *options, "--momentum", value)["total_cycles"] for value in ("0", "0.9"))
    assert plain < momentum


def test_layers_that_are_planned_only_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--model", "resnet20", "--batch", "1", "--input-shape", "3,8,8", "--rows", "8", "--lanes", "8",
                 "--json", "-"]) == 0  # fmt: skip
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    estimated = [layer for layer in found["layers"] if layer["estimated"]]
    assert {layer["name"].split("(")[1] for layer in estimated} == {"BatchNorm2d)", "Residual)", "AvgPool2d)", "ReLU)"}
    assert {layer["name"].split("(")[1] for layer in found["layers"] if not layer["estimated"]} == {
        "Conv2d)", "Linear)",
    }  # fmt: skip
    assert found["estimated_cycles"] == pytest.approx(sum(layer["cycles"] for layer in estimated), abs=len(estimated))
    assert 0 < found["estimated_cycles"] < found["total_cycles"]
    marked = [line for line in captured.err.splitlines() if line.startswith("layer ") and "~" in line]
    assert len(marked) == len(estimated)
    assert not any("Conv2d" in line or "Linear" in line for line in marked)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--model", "lenet", "--board", "nothing"], "unknown board 'nothing'"),
        (["--model", "lenet", "--memory", "nothing"], "unknown memory 'nothing'"),
        (["--model", "1x", "--streaming-depth", "64"], "needs streaming_depth"),
        (["--model", "vgg16", "--board", "ultra96"], "more than the 2,147,483,648 of ultra96v2; a batch of "),
        (["--model", "lenet", "--clock", "0"], "--clock: must be a number from 1 to 1000 (MHz; no FPGA runs"),
        (["--model", "lenet", "--clock", "inf"], "an accelerator faster), not 'inf'"),
        (["--model", "lenet", "--search"], "--search needs a --board"),
        (["--model", "lenet", "--search", "--board", "zcu102", "--rows", "8"], "--search chooses --rows itself"),
        (["--model", "lenet", "--search", "--board", "zcu102", "--share", "2"], "--share: must be a number from 0.001"),
        (["--model", "lenet", "--search", "--board", "ultra96", "--share", "0.02"], "even 4 x 4 needs lut"),
        (["--model", "lenet", "--plot", "plan.docx"], "the name must end in one of"),
    ],
)
def test_bad_requests(capsys: pytest.CaptureFixture[str], options: list[str], text: str) -> None:
    assert status("plan", *options) == 2
    assert text in capsys.readouterr().err


def test_memory_says_what_would_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """The batch that the message names does fit, and one more does not."""
    options = ["plan", "--model", "alexnet", "--board", "ultra96", "--batch"]
    assert main([*options, "1000"]) == 2
    fits = int(capsys.readouterr().err.split("a batch of ")[1].split()[0])
    assert main([*options, str(fits + 1)]) == 2
    assert f"a batch of {fits} would fit" in capsys.readouterr().err


def test_a_figure_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan(capsys, "--model", "shallow", "--rows", "4", "--lanes", "4", "--plot", str(tmp_path / "plan.svg"))
    assert "Roofline" in (tmp_path / "plan.svg").read_text()


def test_resources_of_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    used = plan(capsys, "--model", "shallow", "--board", "zcu102")["resources"]
    assert set(used) == {"lut", "ff", "dsp", "bram36"} and all(0 < part < 1 for part in used.values())
    assert plan(capsys, "--model", "shallow")["resources"] is None


def test_search_finds_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--model", "shallow", "--board", "ultra96", "--operand", "bf16", "--search")["pareto"]
    assert found and all(max(choice["resources"].values()) <= 0.9 for choice in found)
    rates = [choice["images_per_second"] for choice in found]
    shares = [max(choice["resources"][name] for name in ("lut", "dsp", "bram36")) for choice in found]
    assert max(shares) <= 0.8
    assert rates == sorted(rates, reverse=True) and shares == sorted(shares, reverse=True)
