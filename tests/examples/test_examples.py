"""The examples run as a reader runs them, and print what their page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "examples/README.md").read_text()
ROWS = re.findall(r"^\| .* \| `python (examples/\w+\.py)` \| `(.*)` \|$", PAGE, re.MULTILINE)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


def test_the_page_lists_every_example() -> None:
    scripts = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")} - {"examples/bus_models.py"}
    assert {script for script, _ in ROWS} == scripts


@pytest.mark.parametrize(("script", "last"), ROWS, ids=[script for script, _ in ROWS])
def test_example(script: str, last: str) -> None:
    done = python(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == last
    assert not done.stderr


WRONG_BIT = "import eftrain_hdl.numerics as n; n.to_bits = lambda x, fmt: x.view('u4') ^ 1"
WRONG_PLACE = """
import bus_models as b
beats = b.AxiMemory._beats
b.AxiMemory._beats = lambda self, address, count, step: beats(self, address + step * (address == {}), count, step)
"""


@pytest.mark.parametrize(
    ("script", "harm"),
    [
        ("examples/fused_dot_product.py", WRONG_BIT),
        ("examples/dma_with_own_core.py", WRONG_PLACE.format(0x3000)),
        ("examples/accelerator_beside_another_manager.py", WRONG_PLACE.format(0x800)),
    ],
    ids=["fused_dot_product", "dma_with_own_core", "accelerator_beside_another_manager"],
)
def test_examples_notice_what_is_wrong(script: str, harm: str) -> None:
    """An operand with a wrong bit; a burst that goes to the wrong place in memory."""
    code = f"import runpy, sys; sys.path.insert(0, 'examples')\n{harm}\nrunpy.run_path({script!r}, run_name='__main__')"
    done = python("-c", code)
    assert done.returncode == 1
    assert not done.stderr
