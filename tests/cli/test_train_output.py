"""What `eftrain train` and `run` keep of a training when its end is disturbed: by Ctrl-C, or by outputs that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eftrain_hdl.cli import loop, main
from eftrain_hdl.runtime.emulator import EmulatorDevice

TRAIN = ("train", "--model", "shallow", "--device", "emulator", "--rows", "4", "--lanes", "4", "--steps", "2")


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def press(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def trained(folder: Path) -> bytes:
    """The file of the same training, undisturbed."""
    assert main([*TRAIN, "--save", str(folder / "undisturbed.npz")]) == 0
    return (folder / "undisturbed.npz").read_bytes()


def before(plain: Callable[..., Any], what: Callable[[], None], when: int = 1) -> Callable[..., Any]:
    """``plain``, with something that happens before its call number ``when``."""
    calls = iter(range(1, when + 1))

    def call(*arguments: Any, **more: Any) -> Any:
        if next(calls, None) == when:
            what()
        return plain(*arguments, **more)

    return call


def test_a_second_interrupt_in_the_test_behind_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It cuts a program off that changes nothing: the training is kept."""
    expected, saved, result = trained(tmp_path), tmp_path / "s.npz", tmp_path / "r.json"
    plain = loop._evaluate

    def evaluate(learner: Any, data: Any, what: str) -> tuple[float, float]:
        if "after" in what:
            execute = before(EmulatorDevice._execute, lambda: press(2), when=20)
            monkeypatch.setattr(EmulatorDevice, "_execute", execute)
        return plain(learner, data, what)

    monkeypatch.setattr(loop, "_evaluate", evaluate)
    assert main([*TRAIN, "--save", str(saved), "--json", str(result)]) == 130
    assert saved.read_bytes() == expected
    found = json.loads(result.read_text())
    assert found["ended"] == "interrupted" and len(found["loss"]) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_while_the_file_is_written(times: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One waits until it is; two leave the file that was there, and say so."""
    expected, saved, result = trained(tmp_path), tmp_path / "s.npz", tmp_path / "r.json"
    saved.write_bytes(b"old")
    text: list[str] = []
    monkeypatch.setattr(os, "fsync", before(os.fsync, lambda: press(times)))
    monkeypatch.setattr("eftrain_hdl.cli.common.Output.line", lambda output, line="": text.append(line))
    assert main([*TRAIN, "--save", str(saved), "--json", str(result)]) == 130
    assert saved.read_bytes() == (expected if times == 1 else b"old")
    assert (f"not saved: {saved} is as it was" in text) == (times == 2)
    assert json.loads(result.read_text())["ended"] == "interrupted"


def test_a_reader_who_goes_away_costs_no_results(tmp_path: Path) -> None:
    """As `eftrain train ... | head -1` does."""
    arguments = [*TRAIN, "--save", "s.npz", "--json", "r.json", "--plot", "p.svg"]
    command = [sys.executable, "-c", "import sys; from eftrain_hdl.cli import main; sys.exit(main())", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("shallow on digits")
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE, error
    assert "Traceback" not in error and "Broken pipe" not in error
    assert json.loads((tmp_path / "r.json").read_text())["ended"] == "complete"
    assert (tmp_path / "s.npz").exists() and (tmp_path / "p.svg").exists()


def test_a_figure_that_fails_costs_no_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "p.svg")

    monkeypatch.setattr("eftrain_hdl.cli.plot.draw", draw)
    saved, result = tmp_path / "s.npz", tmp_path / "r.json"
    assert main([*TRAIN, "--save", str(saved), "--json", str(result), "--plot", str(tmp_path / "p.svg")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert saved.exists() and json.loads(result.read_text())["ended"] == "complete"


@pytest.mark.parametrize("device", ["emulator", "golden"])
def test_without_a_standard_error(device: str, tmp_path: Path) -> None:
    arguments = ["train", "--model", "shallow", "--device", device, "--steps", "2", "--json", "r.json"]
    script = "import os, sys; os.close(2); os.execv(sys.argv[1], sys.argv[1:])"
    inner = [sys.executable, "-c", "import sys; from eftrain_hdl.cli import main; sys.exit(main())", *arguments]
    done = subprocess.run([sys.executable, "-c", script, *inner], cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / "r.json").read_text())["ended"] == "complete"


def test_without_a_standard_output_there_is_no_place_for_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main([*TRAIN, "--json", "-"]) == 2
    assert "--json -: there is no standard output to write to" in capsys.readouterr().err
