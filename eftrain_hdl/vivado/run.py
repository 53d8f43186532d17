"""Runs Vivado on a project's folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["VivadoError", "find_vivado", "run_vivado"]

_STANDARD_ERROR = 2


class VivadoError(RuntimeError):
    """Vivado is missing or failed; the message says what to do or where to look."""


def find_vivado() -> str:
    """Path of the ``vivado`` command; :class:`VivadoError` if there is none."""
    found = shutil.which("vivado")
    if found is None:
        raise VivadoError(
            "vivado is not on PATH: source the settings64.sh of its installation, or leave out --run and run `make` "
            "in the folder on a machine that has it"
        )
    return found


def run_vivado(vivado: str, directory: Path, *, jobs: int) -> None:
    """Build the bitstream; all that Vivado prints goes to standard error. :class:`VivadoError` if anything fails."""
    command = [vivado, "-mode", "batch", "-notrace", "-source", "tcl/build.tcl", "-tclargs", "-jobs", str(jobs)]
    done = subprocess.run(command, cwd=directory, stdout=_STANDARD_ERROR)
    if done.returncode:
        raise VivadoError(f"vivado ended with status {done.returncode}: see {directory / 'vivado.log'}")
