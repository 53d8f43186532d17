"""`eftrain compile` and `eftrain run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.cli import main
from tests.cli.invoke import status

NUMPY_ALONE = """
import sys
from importlib.abc import MetaPathFinder

class Wall(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "eftrain_hdl"):
            raise ImportError(f"{name} is not on this board")

# A finder of an editable installation is not one of the packages that it finds.
sys.meta_path.insert(0, Wall())
from eftrain_hdl.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def data_file(folder: Path, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> Path:
    generator = np.random.default_rng(1)
    y = generator.integers(0, classes, 60)
    y[:classes] = np.arange(classes)
    x = generator.standard_normal((60, *shape)) + y[:, None, None, None] / 5
    np.savez(folder / "data.npz", x=x, y=y)
    return folder / "data.npz"


def compiled(folder: Path, *options: str) -> Path:
    path = folder / "plan.npz"
    arguments = ["--model", "lenet", "--input-shape", "1,8,8", "--rows", "4", "--lanes", "8", "--batch", "4"]
    assert main(["compile", *arguments, "--output", str(path), *options]) == 0
    return path


def run(*arguments: Any) -> int:
    return main(["run", *map(str, arguments)])


def test_a_plan_trains_as_train_does(tmp_path: Path) -> None:
    plan, data = compiled(tmp_path, "--momentum", "0.5"), data_file(tmp_path)
    common = ["--data", data, "--steps", "6", "--json"]
    assert run(plan, "--device", "emulator", *common, tmp_path / "run.json", "--save", tmp_path / "run.npz") == 0
    machine = ["--rows", "4", "--lanes", "8", "--batch", "4", "--momentum", "0.5", "--device", "emulator"]
    files = [tmp_path / "train.json", "--save", tmp_path / "train.npz"]
    assert main(["train", "--model", "lenet", *machine, *map(str, common), *map(str, files)]) == 0
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("run", "train"))
    assert ours["loss"] == theirs["loss"] and ours["accuracy"] == theirs["accuracy"]
    with np.load(tmp_path / "run.npz") as one, np.load(tmp_path / "train.npz") as other:
        for name in other.files:
            np.testing.assert_array_equal(one[name], other[name])
    assert run(plan, "--device", "emulator", *common, tmp_path / "go.json", "--load", tmp_path / "run.npz") == 0
    assert json.loads((tmp_path / "go.json").read_text())["accuracy_before"] == ours["accuracy"]


def test_numpy_is_all_that_is_needed(tmp_path: Path) -> None:
    plan, data = compiled(tmp_path), data_file(tmp_path)
    command = [sys.executable, "-c", NUMPY_ALONE, "run", plan, "--device", "emulator", "--data", data, "--steps", "3"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([*map(str, command), "--json", "-"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["loss"]) == 3


def test_compile_reports_what_a_board_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled(tmp_path, "--board", "ultra96", "--json", "-", "--c-source", str(tmp_path / "c"))
    result = json.loads(capsys.readouterr().out)
    assert result["bytes"] == path.stat().st_size and result["config"]["lanes"] == 8
    assert result["memory_bytes"] > sum(result["programs"].values())
    assert {one.name for one in (tmp_path / "c").iterdir()} == {"eftrain.h", "plan.c"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "pynq"], "--device pynq needs --bitstream, or --registers"),
        (["--device", "pynq", "--bitstream", "nowhere.bit"], "--bitstream: nowhere.bit: no such file"),
        (["--device", "pynq", "--registers", "0xa0000000"], "pynq cannot be imported"),
        (["--device", "uio", "--uio", "nobody"], "UIO devices are called 'nobody'"),
        (["--device", "emulator", "--timeout", "0"], "--timeout: must be a number from 1e-09 to 1e+09, not '0'"),
        (["--device", "emulator", "--save", "x.txt"], "must end in .npz"),
        (["--device", "sim", "--memory", "tape"], "unknown memory 'tape'"),
    ],
)
def test_requests_that_cannot_be_met(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = compiled(tmp_path)
    assert status("run", str(plan), "--data", str(data_file(tmp_path)), *options) == 2
    assert message in capsys.readouterr().err


def test_a_plan_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = compiled(tmp_path)
    assert run(plan, "--device", "emulator", "--data", data_file(tmp_path), "--load", plan) == 2
    error = capsys.readouterr().err
    assert f"{plan}: parameters: missing 0.weight" in error and "; there are plan, program.forward" in error, error


def test_data_that_do_not_fit_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = compiled(tmp_path)
    assert run(plan, "--device", "emulator", "--data", data_file(tmp_path, (1, 9, 8))) == 2
    assert "samples of shape (1, 9, 8), the plan takes (1, 8, 8)" in capsys.readouterr().err
    assert run(plan, "--device", "emulator", "--data", data_file(tmp_path, classes=12)) == 2
    assert "has 12 classes, the plan tells 10 apart" in capsys.readouterr().err


def test_a_timeout_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = compiled(tmp_path)
    assert run(plan, "--device", "emulator", "--data", data_file(tmp_path), "--timeout", "1e-9") == 2
    captured = capsys.readouterr()
    assert "no end within 1e-09 s, program at 0x" in captured.err
    assert "LOAD_X_BEATS" in captured.out or "LOAD_A_BEATS" in captured.out
