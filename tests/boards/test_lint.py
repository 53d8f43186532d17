"""The Verilog of a board lints clean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.runtime.sim import cached_verilog
from eftrain_hdl.runtime.verilator.tools import find_toolchain

# How Yosys writes any design: widths follow Verilog's rules without explicit padding, all nets are kept, a case has a
# value assigned before it instead of a default, registers are initialised where they are declared, one file holds all.
_STYLE_OF_YOSYS = (
    "WIDTHEXPAND", "WIDTHTRUNC", "UNUSEDSIGNAL", "CASEINCOMPLETE", "PROCASSINIT", "DECLFILENAME", "CMPCONST",
    # The port is called what AXI systems call it; Verilator renames it in C++.
    "SYMRSVDWORD",
)


@pytest.mark.parametrize("name", ["ultra96", pytest.param("zcu102", marks=pytest.mark.full)])
def test_board(name: str, tmp_path: Path) -> None:
    """Every warning of Verilator counts, but for those about style."""
    tools = find_toolchain()
    (tmp_path / "top.v").write_text(cached_verilog(boards.get(name).config))
    done = subprocess.run(
        [tools.verilator, "--lint-only", "-Wall", *(f"-Wno-{style}" for style in _STYLE_OF_YOSYS),
         "--top-module", "eftrain", "top.v"],
        cwd=tmp_path, env=tools.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-3000:]
