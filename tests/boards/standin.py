"""Runs the build script of a project in ``tclsh`` with a stand-in for Vivado, and gives back what it did."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("vivado.tcl")

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh, which stands in for Vivado, is missing")


@dataclass
class Recording:
    """Exit status, standard error and the commands, each a list of words."""

    status: int
    errors: str
    commands: list[list[str]]

    def of(self, name: str) -> list[list[str]]:
        """Arguments of every call of a command."""
        return [words[1:] for words in self.commands if words[0] == name]

    def index(self, *words: str) -> int:
        """Where the command that begins with these words stands; exactly one must."""
        (found,) = (k for k, command in enumerate(self.commands) if command[: len(words)] == list(words))
        return found


def environment(record: Path, faults: str = "") -> dict[str, str]:
    """The environment that the stand-in needs."""
    return {**os.environ, "STANDIN_RECORD": str(record), "STANDIN_FAULTS": faults}


def read_recording(record: Path) -> list[list[str]]:
    """Commands in a file of the stand-in."""
    return [command.split("\x1f")[:-1] for command in record.read_text().split("\x1e")[:-1]]


def run_build(project: Path, record: Path, *arguments: str, faults: str = "") -> Recording:
    """Run a project's build script to its end."""
    done = subprocess.run(
        ["tclsh", SCRIPT, "-mode", "batch", "-notrace", "-source", "tcl/build.tcl", "-tclargs", *arguments],
        cwd=project, env=environment(record, faults), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return Recording(done.returncode, done.stderr, read_recording(record))
