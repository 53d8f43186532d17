"""``eftrain export``: the text and nothing else, to standard output or a file; mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import main
from eftrain_hdl.export.c_header import c_header
from eftrain_hdl.export.device_tree import board_device_tree
from eftrain_hdl.export.markdown import markdown
from eftrain_hdl.export.python_constants import python_constants
from eftrain_hdl.export.systemrdl import systemrdl
from tests.cli.invoke import status

TEXTS = {"c": c_header, "systemrdl": systemrdl, "python": python_constants, "markdown": markdown}


@pytest.mark.parametrize("name", TEXTS)
def test_standard_output_has_the_text_and_nothing_else(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", name]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (TEXTS[name](), "")


def test_a_file_has_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "eftrain.h"
    assert main(["export", "--format", "c", "--output", str(path)]) == 0
    assert path.read_text() == c_header()
    assert capsys.readouterr().out == f"{path}: {len(c_header().splitlines())} lines\n"


def test_the_overlay_is_that_of_the_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "devicetree", "--board", "pynqz2"]) == 0
    assert capsys.readouterr().out == board_device_tree(boards.get("pynqz2"))
    assert main(["export", "--format", "devicetree", "--board", "zcu102", "--buffer", "512"]) == 0
    assert capsys.readouterr().out == board_device_tree(boards.get("zcu102"), 512 << 20)


@pytest.mark.parametrize("options, text", [
    (["devicetree"], "eftrain export: --format devicetree needs --board"),
    (["devicetree", "--board", "zcu999"], "unknown board 'zcu999': choose from"),
    (["devicetree", "--board", "pynqz2", "--buffer", "512"], "pynqz2 has 536870912 bytes of DRAM"),
    (["devicetree", "--board", "pynqz2", "--buffer", "0"], "must be at least 1"),
    (["c", "--board", "zcu102"], "--board is for --format devicetree"),
    (["python", "--buffer", "64"], "--buffer is for --format devicetree"),
    (["ipxact"], "unknown 'ipxact': choose from c, systemrdl"),
])
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], text: str) -> None:
    code = status("export", "--output", str(tmp_path / "file"), "--format", *options)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "") and text in captured.err and len(captured.err.splitlines()) == 1
    assert not (tmp_path / "file").exists()
