"""The Python module: it stands alone, and every value in it is that of the tables."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from eftrain_hdl.export.python_constants import python_constants
from eftrain_hdl.registers import ERROR_MEANINGS, IP_VLNV, Unit
from tests.export.expected import constants


def test_every_constant_has_its_value() -> None:
    names: dict[str, object] = {}
    exec(python_constants(), names)  # noqa: S102
    del names["__builtins__"]
    assert str(names.pop("__doc__")).startswith(f"Registers and instructions of the accelerator {IP_VLNV}.")
    assert names.pop("VLNV") == IP_VLNV
    assert names.pop("ERROR_TEXTS") == {int(code): text for code, text in ERROR_MEANINGS.items()}
    assert names.pop("UNIT_TEXTS") == {int(unit): unit.name for unit in Unit}
    assert names == constants()


def test_no_name_is_given_twice() -> None:
    given = [node.targets[0].id for node in ast.parse(python_constants()).body if isinstance(node, ast.Assign)]
    assert len(set(given)) == len(given)


def test_it_needs_neither_this_package_nor_the_standard_library(tmp_path: Path) -> None:
    text = python_constants()
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    (tmp_path / "eftrain_constants.py").write_text(text)
    command = [sys.executable, "-S", "-E", "-c", "import eftrain_constants as e; print(hex(e.IDENTIFICATION))"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0x45465448\n", "")
