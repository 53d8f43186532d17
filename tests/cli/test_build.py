"""``eftrain build``: it finds mistakes before it writes, says what to do next, and runs Vivado where there is one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import board_main, main, parser
from eftrain_hdl.cli.common import adapted_board_config
from tests.boards.projects import quick_files
from tests.boards.standin import SCRIPT, needs_tclsh, read_recording


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, an accelerator that takes no time, and no Vivado."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eftrain_hdl.vivado.project.accelerator_verilog", lambda config: "module eftrain;\nendmodule\n")
    monkeypatch.setattr("eftrain_hdl.vivado.run.shutil", SimpleNamespace(which=lambda name: None))
    return tmp_path


@pytest.fixture
def vivado(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Vivado as a command; the folder has its record."""
    command = here / "bin" / "vivado"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec tclsh "{SCRIPT}" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setattr("eftrain_hdl.vivado.run.shutil", SimpleNamespace(which=lambda name: str(command)))
    monkeypatch.setenv("STANDIN_RECORD", str(here / "record"))
    return here / "record"


def test_default_folder_and_next_step(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "zcu102"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("build/zcu102: AMD ZCU102, 32 x 16 fp32 at 200 MHz, 128 bits of HP0, HP1, HP3; ")
    assert "make -C build/zcu102" in out
    board = boards.get("zcu102")
    written = {str(path.relative_to(here / "build/zcu102")) for path in (here / "build").rglob("*") if path.is_file()}
    assert written == set(quick_files(board, board.config))


def test_operand_and_options_choose_the_configuration(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def built(*options: str) -> dict:
        assert main(["build", "kv260", "--output", str(here / "o"), "--json", "-", *options]) == 0
        return json.loads(capsys.readouterr().out)

    found = built("--operand", "bf16")
    assert found["config"] == boards.get("kv260").configs["bf16"].as_dict() and found["bitstream"] is None
    assert json.loads((here / "o/manifest.json").read_text())["configuration"] == found["config"]
    changed = built("--operand", "bf16", "--ports", "2", "--clock", "150")
    assert changed["config"] == {**found["config"], "ports": 2} and changed["clock_mhz"] == 150
    # A format for which the board has no configuration of its own starts from FP32's.
    assert built("--operand", "tf32")["config"] == {**boards.get("kv260").config.as_dict(), "operand": "tf32"}


def test_operand_chooses_among_the_boards_configurations_elsewhere_too() -> None:
    options = parser().parse_args(["verilog", "--board", "zcu102", "--operand", "bf16"])
    assert adapted_board_config(options) == boards.get("zcu102").configs["bf16"]


@pytest.mark.parametrize("options, text", [
    (["zcu999"], "unknown board 'zcu999': choose from kv260, pynqz2, ultra96v2, zcu102"),
    (["zcu102", "--ports", "4"], "zcu102 wires 3 memory ports, the configuration has ports=4"),
    (["ultra96v2", "--ports", "2"], "ultra96v2 wires 1 memory port, the configuration has ports=2"),
    (["pynqz2", "--data-width", "128"], "pynqz2: a memory port has at most 64 bits, not data_width=128"),
    (["zcu102", "--rows", "3"], "rows must be a multiple or a divisor of lanes (16), not 3"),
    (["zcu102", "--clock", "334"], "zcu102: the memory ports run at up to 333 MHz, not 334"),
    (["zcu102", "--run"], "vivado is not on PATH"),
    (["zcu102", "--output", "taken"], "taken holds files that `eftrain build` did not write, such as notes.txt"),
])
def test_mistakes_are_found_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], text: str
) -> None:
    (here / "taken").mkdir()
    (here / "taken/notes.txt").write_text("mine")
    assert main(["build", *options]) == 2
    error = capsys.readouterr().err
    assert text in error and len(error.splitlines()) == 1
    assert not (here / "build").exists() and os.listdir(here / "taken") == ["notes.txt"]


@needs_tclsh
def test_it_runs_vivado(here: Path, vivado: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "ultra96v2", "--run", "--jobs", "3", "--json", "-"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["bitstream"] == "build/ultra96v2/eftrain.bit"
    assert "stand-in for Vivado" in captured.err
    assert (here / "build/ultra96v2/eftrain.bit").exists()
    assert ["launch_runs", "synth_1", "-jobs", "3"] in read_recording(vivado)


@needs_tclsh
def test_vivado_that_fails(vivado: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STANDIN_FAULTS", "slack {STATS.WNS -0.2}")
    assert main(["build", "ultra96v2", "--run"]) == 2
    assert "vivado ended with status 1: see build/ultra96v2/vivado.log" in capsys.readouterr().err


@needs_tclsh
def test_the_makefile_runs_vivado_once(here: Path, vivado: Path) -> None:
    assert main(["build", "ultra96v2"]) == 0
    make = ["make", "-C", "build/ultra96v2", f"VIVADO={here / 'bin/vivado'}", "JOBS=5", "BOARD_FILES=/my/boards"]
    assert subprocess.run(make, capture_output=True).returncode == 0
    recorded = read_recording(vivado)
    assert ["launch_runs", "synth_1", "-jobs", "5"] in recorded
    assert ["set_param", "board.repoPaths", "/my/boards"] in recorded
    vivado.unlink()
    assert b"up to date" in subprocess.run(make, capture_output=True).stdout
    assert subprocess.run([*make, "clean"], capture_output=True).returncode == 0
    assert not (here / "build/ultra96v2/eftrain.bit").exists()


def test_a_boards_own_file_is_a_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert board_main(boards.get("pynqz2"), ["build", "--output", "mine"]) == 0
    assert json.loads((here / "mine/manifest.json").read_text())["board"] == "pynqz2"
    assert board_main(boards.get("pynqz2"), ["build", "--output", "mine", "--ports", "3"]) == 2
    assert "pynqz2 wires 2 memory ports" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        board_main(boards.get("pynqz2"), ["build", "--help"])
    assert "(default 8)" in capsys.readouterr().out


def test_every_boards_file_ends_in_its_command() -> None:
    for name in boards.names():
        text = (Path(boards.__file__).parent / f"{name}.py").read_text()
        assert 'if __name__ == "__main__":' in text and "board_main(BOARD)" in text
