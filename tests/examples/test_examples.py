"""The examples run as a reader runs them, and print what their page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| .* \| `python (examples/\w+\.py)` \| `(.*)` \|$", (ROOT / "examples/README.md").read_text(), re.M)


def run(script: str, *prelude: str) -> subprocess.CompletedProcess[str]:
    """Run an example in a process of its own, ``prelude`` before it."""
    code = [*prelude, f"import runpy; runpy.run_path({script!r}, run_name='__main__')"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip


def test_the_page_lists_every_example() -> None:
    scripts = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")} - {"examples/bus_models.py"}
    assert {script for script, _ in ROWS} == scripts


@pytest.mark.parametrize(("script", "last"), ROWS, ids=[script for script, _ in ROWS])
def test_example(script: str, last: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == last
    assert not done.stderr


@pytest.mark.parametrize(
    ("script", "harm"),
    [
        ("examples/fused_dot_product.py", "import eftrain_hdl.numerics as n; n.to_bits = lambda x, f: x.view('u4') ^ 1"),
        (
            "examples/dma_with_own_core.py",
            "import bus_models as b; serve = b.AxiMemory._beats\n"
            "b.AxiMemory._beats = lambda self, a, n, s: serve(self, a + 4 * (a == 0x3000), n, s)",
        ),
    ],
    ids=lambda value: value.split()[0],
)
def test_examples_notice_what_is_wrong(script: str, harm: str) -> None:
    """A wrong operand bit, and data that land in the wrong place."""
    done = run(script, harm)
    assert done.returncode == 1
    assert not done.stderr
