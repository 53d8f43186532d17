"""The package as it is installed: its version, its public names, its types, and what a wheel of it holds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import eftrain_hdl as ef
from eftrain_hdl.cli import main
from tests.cli.test_run import NUMPY_ALONE

ROOT = Path(__file__).parents[1]


def test_the_version_is_one_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"eftrain-hdl {ef.__version__}\n"
    # The accelerator's VERSION register holds three numbers.
    assert re.fullmatch(r"\d+\.\d+\.\d+", ef.__version__)


def test_public_names() -> None:
    assert len(set(ef.__all__)) == len(ef.__all__)
    for name in ef.__all__:
        assert getattr(ef, name) is not None
    public = {name for name in dir(ef) if not name.startswith("_")} - {"Any", "TYPE_CHECKING", "import_module"}
    modules = {name for name in public if f"eftrain_hdl.{name}" in sys.modules}
    assert public - modules == set(ef.__all__) - {"__version__"}
    assert (ef.FP32.name, ef.BF16.name, ef.FP16.name, ef.TF32.name) == ("fp32", "bf16", "fp16", "tf32")
    with pytest.raises(AttributeError, match="module 'eftrain_hdl' has no attribute 'FP8'"):
        ef.FP8  # noqa: B018


def test_a_board_can_import_all_of_them() -> None:
    """With NumPy and nothing else."""
    wall = NUMPY_ALONE.partition("from eftrain_hdl.cli")[0]
    script = f"{wall}\nfrom eftrain_hdl import *\nprint(SimDevice.__name__, PynqDevice.__name__, __version__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"SimDevice PynqDevice {ef.__version__}\n", "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("setuptools", minversion="77", reason="a wheel needs a newer setuptools: pip install '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("eftrain_hdl", "boards"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as backend; backend.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_has_every_file(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{package}/{path.relative_to(ROOT / source).as_posix()}"
        for source, package in (("eftrain_hdl", "eftrain_hdl"), ("boards", "eftrain_hdl/boards"))
        for path in (ROOT / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert "eftrain_hdl/py.typed" in held


def test_what_an_index_would_show(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata: Message = Parser().parsestr(wheel.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("eftrain-hdl", ef.__version__)
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text().strip()
