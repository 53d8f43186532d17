"""An Amaranth component as a shared library made by Verilator, driven cycle by cycle from Python."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

from eftrain_hdl.runtime.verilator.tools import find_toolchain

_BUILD = Path(__file__).parents[3] / "build" / "vector_bench"

_SHIM = """\
#include <cstring>
#include "Vtop.h"
#include "verilated.h"
struct Top {{ VerilatedContext context; Vtop top{{&context}}; }};
extern "C" Top* make() {{ return new Top; }}
extern "C" void drop(Top* t) {{ delete t; }}
extern "C" void step(Top* t, const unsigned char* i, unsigned char* o) {{
    Vtop& top = t->top;
{inputs}
    top.eval();
{outputs}
    top.clk = 1; top.eval();
    top.clk = 0; top.eval();
}}
"""


def _bytes(width: int) -> int:
    """Bytes that Verilator takes for a port."""
    return next((size for size in (1, 2, 4, 8) if width <= 8 * size), (width + 31) // 32 * 4)


def _build(work: Path, text: str, shim: str) -> Path:
    tools = find_toolchain()
    (work / "top.v").write_text(text)
    (work / "shim.cpp").write_text(shim)
    include = Path(tools.root) / "include"
    runtime = _BUILD / f"runtime-{hashlib.sha256(tools.identity.encode()).hexdigest()[:24]}.a"
    make = [tools.make, "-f", "Vtop.mk", f"CXX={tools.cxx}", f"LINK={tools.cxx}", f"PYTHON3={sys.executable}",
            "CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1"]
    commands = [
        [tools.verilator, "--cc", "-O3", "--noassert", "-Wno-lint", "-Wno-style", "--no-timing", "--prefix", "Vtop",
         "--top-module", "top", "-CFLAGS", "-fPIC", "-Mdir", ".", "top.v"],
        [*make, "libVtop.a"],
        *([] if runtime.exists() else [[*make, "libverilated.a"], ["cp", "libverilated.a", str(runtime)]]),
        [tools.cxx, "-O1", "-fPIC", "-std=c++17", "-shared", "-I.", f"-isystem{include}",
         f"-isystem{include / 'vltstd'}", "shim.cpp", "-Wl,--whole-archive", "libVtop.a", str(runtime),
         "-Wl,--no-whole-archive", "-lpthread", "-o", "model.so"],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=work, env=tools.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return work / "model.so"


class Compiled:
    """Holds inputs between cycles; :meth:`step` returns after the next rising edge.

    ``self[name] = value`` sets an input, ``self[name]`` reads an output as it was just before the last edge.
    """

    def __init__(self, component: wiring.Component):
        text = verilog.convert(component, name="top", emit_src=False)
        ports = [("__".join(map(str, path)), member) for path, member, _ in component.signature.flatten(component)]
        self._places: dict[str, tuple[bool, int, int]] = {}
        lines: dict[bool, list[str]] = {True: [], False: []}
        sizes = {True: 0, False: 0}
        for name, member in [*ports, ("rst", None)]:
            is_input = member is None or member.flow is wiring.In
            width = 1 if member is None else member.shape if isinstance(member.shape, int) else member.shape.size
            size = _bytes(width)
            at = sizes[is_input]
            sizes[is_input] += size
            self._places[name] = (is_input, at, size)
            port = "top." + name.replace("__", "___05F")
            copy = f"&{port}, i + {at}" if is_input else f"o + {at}, &{port}"
            lines[is_input].append(f"    std::memcpy({copy}, {size});")
        shim = _SHIM.format(inputs="\n".join(lines[True]), outputs="\n".join(lines[False]))
        self._library = ctypes.CDLL(str(self._compile(text, shim)))
        self._library.make.restype = ctypes.c_void_p
        self._buffers = {flow: ctypes.create_string_buffer(size) for flow, size in sizes.items()}
        self._inputs, self._outputs = (memoryview(self._buffers[flow]).cast("B") for flow in (True, False))
        self._top = ctypes.c_void_p(self._library.make())

    @staticmethod
    def _compile(text: str, shim: str) -> Path:
        tools = find_toolchain()
        _BUILD.mkdir(parents=True, exist_ok=True)
        library = _BUILD / f"{hashlib.sha256((text + shim + tools.identity).encode()).hexdigest()[:24]}.so"
        # One at a time: Verilator's own part takes longer than most units and is built only once.
        with (_BUILD / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=_BUILD) as folder:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.exists():
                _build(Path(folder), text, shim).replace(library)
        return library

    def __setitem__(self, name: str, value: int) -> None:
        is_input, at, size = self._places[name]
        assert is_input, f"{name} is an output"
        self._inputs[at:at + size] = value.to_bytes(size, "little")

    def __getitem__(self, name: str) -> int:
        _, at, size = self._places[name]
        return int.from_bytes(self._outputs[at:at + size], "little")

    def step(self) -> None:
        """One clock cycle."""
        self._library.step(self._top, self._buffers[True], self._buffers[False])

    def reset(self) -> None:
        """One cycle of reset, all inputs zero."""
        self._inputs[:] = bytes(len(self._inputs))
        self["rst"] = 1
        self.step()
        self["rst"] = 0
