"""Verilog and a C++ shim as a shared library, built once for each content; Verilator's own part once for all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eftrain_hdl.runtime.verilator.tools import Toolchain, find_toolchain

__all__ = ["build"]

_FOLDER = Path(__file__).resolve().parents[2] / "build" / "verilated"
# Compiling takes longer than what the tests run.
_VERILATOR_FLAGS = ("--cc", "-O3", "--noassert", "-Wno-lint", "-Wno-style", "--no-timing", "--prefix", "Vtop",
                    "--output-split", "5000", "--output-split-cfuncs", "500", "--top-module", "top", "-CFLAGS", "-fPIC",
                    "-Mdir", ".")
_MAKE_FLAGS = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1", "VM_PARALLEL_BUILDS=1")


@contextmanager
def _lock(name: str) -> Iterator[None]:
    with (_FOLDER / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(map(repr, (_VERILATOR_FLAGS, _MAKE_FLAGS, *parts))).encode()).hexdigest()[:24]


def _run(tools: Toolchain, work: str, *command: str) -> None:
    done = subprocess.run(command, cwd=work, env=tools.environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def build(text: str, shim: str) -> Path:
    """Path of the library with the model ``Vtop`` of Verilog module ``top`` and the C++ functions of ``shim``."""
    tools = find_toolchain()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    key = _digest(text, shim, tools.identity)
    library = _FOLDER / f"{key}.so"
    with _lock(key), tempfile.TemporaryDirectory(dir=_FOLDER) as work:
        if library.exists():
            return library
        Path(work, "top.v").write_text(text)
        Path(work, "shim.cpp").write_text(shim)
        _run(tools, work, tools.verilator, *_VERILATOR_FLAGS, "top.v")
        make = (tools.make, "-f", "Vtop.mk", f"-j{os.cpu_count()}", f"CXX={tools.cxx}", f"LINK={tools.cxx}",
                f"PYTHON3={sys.executable}", *_MAKE_FLAGS)
        runtime = _FOLDER / f"runtime-{_digest(tools.identity)}.a"
        with _lock(runtime.stem):
            if not runtime.exists():
                _run(tools, work, *make, "libverilated.a")
                Path(work, "libverilated.a").replace(runtime)
        _run(tools, work, *make, "libVtop.a")
        include = Path(tools.root) / "include"
        _run(tools, work, tools.cxx, "-O1", "-std=c++17", "-fPIC", "-shared", "-I.", f"-isystem{include}",
             f"-isystem{include / 'vltstd'}", "shim.cpp", "-Wl,--whole-archive", "libVtop.a", str(runtime),
             "-Wl,--no-whole-archive", "-lpthread", "-o", "model.so")
        Path(work, "model.so").replace(library)
    return library
