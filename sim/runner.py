"""Runs a cocotb bench from pytest: Amaranth component in, failing tests out as an ``AssertionError``.

Builds are cached under ``build/cocotb`` by a hash of the generated Verilog and of the tools, so a bench is compiled
once however many tests use it, also when several pytest workers start at the same time.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import cocotb
from amaranth.hdl import Value, ValueCastable
from amaranth.lib import wiring

from eftrain_hdl.rtl.verilog import component_verilog
from sim.simulators import VERILATOR, Simulator, runtime_objects

__all__ = ["flat_ports", "generate_verilog", "run_bench", "run_verilog"]

ROOT = Path(__file__).resolve().parent.parent
TOP = "top"
TIMESCALE = ("1ns", "1ps")
_LOG_TAIL = 6000


def flat_ports(component: wiring.Component) -> dict[str, tuple[Value, None]]:
    """Ports of ``component`` under names joined with one underscore: member ``axi.awaddr`` becomes ``axi_awaddr``.

    The directions are left to Amaranth, which takes what the design does not drive for an input.
    """
    ports: dict[str, tuple[Value, None]] = {}
    for path, _, value in component.signature.flatten(component):
        name = "_".join(map(str, path))
        if name in ports:
            raise ValueError(f"two ports would be called {name!r}")
        if isinstance(value, ValueCastable):
            value = value.as_value()
        ports[name] = (Value.cast(value), None)
    return ports


def generate_verilog(component: wiring.Component) -> str:
    """Verilog of ``component`` as module ``top`` with ports ``clk``, ``rst`` and those of ``flat_ports``."""
    return component_verilog(component, TOP, ports=flat_ports(component))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _digest(simulator: Simulator, *parts: str) -> str:
    known = (simulator.name, simulator.version, *simulator.build_args, cocotb.__version__)
    return hashlib.sha256("\0".join((*known, *parts)).encode()).hexdigest()[:20]


def _copy_runtime(source: Path, target: Path) -> None:
    """Hand compiled parts of Verilator's own library from one build to the next: they take longer than most designs."""
    for name in runtime_objects():
        if (source / name).exists():
            target.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _build(text: str, top: str, simulator: Simulator) -> Path:
    folder = ROOT / "build" / "cocotb" / _digest(simulator, text)
    runtime = ROOT / "build" / "cocotb" / f"runtime-{_digest(simulator)}"
    with _locked(folder.with_suffix(".lock")):
        stamp = folder / "built"
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with _locked(runtime.with_suffix(".lock")):
                _copy_runtime(runtime, folder)
            source = folder / f"{top}.v"
            source.write_text(text)
            log = folder / "build.log"
            with simulator.environment():
                try:
                    simulator.runner().build(
                        sources=[source],
                        hdl_toplevel=top,
                        build_dir=folder,
                        build_args=simulator.build_args,
                        timescale=TIMESCALE,
                        log_file=log,
                    )
                except BaseException as error:
                    said = log.read_text()[-_LOG_TAIL:] if log.exists() else str(error)
                    raise RuntimeError(f"{simulator.name} build failed:\n{said}") from error
            with _locked(runtime.with_suffix(".lock")):
                _copy_runtime(folder, runtime)
            stamp.touch()
    return folder


def run_bench(
    component: wiring.Component,
    bench: str,
    *,
    testcase: str | None = None,
    environment: Mapping[str, str] | None = None,
    seed: int = 1,
    simulator: Simulator = VERILATOR,
) -> int:
    """Run the cocotb tests of module ``bench`` (importable, such as ``sim.axi.bench_read_dma``) on ``component``.

    Parameters
    ----------
    component : becomes the top level; its ports are named as by ``flat_ports``
    testcase : regular expression for the end of the test's name; all tests if not given
    environment : further environment variables, the way to hand parameters to a bench
    seed : cocotb's random seed; printed by cocotb, and settable here so that a failure can be repeated
    simulator : what to run on

    Returns the number of tests that ran; raises ``AssertionError`` with the log's end if one failed or none ran.
    """
    return run_verilog(
        generate_verilog(component), TOP, bench, testcase=testcase, environment=environment, seed=seed,
        simulator=simulator,
    )  # fmt: skip


def run_verilog(
    text: str,
    top: str,
    bench: str,
    *,
    testcase: str | None = None,
    environment: Mapping[str, str] | None = None,
    seed: int = 1,
    simulator: Simulator = VERILATOR,
) -> int:
    """As `run_bench`, on module ``top`` of a Verilog text."""
    folder = _build(text, top, simulator)
    label = re.sub(r"\W+", "_", f"{bench.rsplit('.', 1)[-1]}_{testcase or 'all'}_{seed}_{os.getpid()}")
    work = folder / "runs" / label
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    log = work / "run.log"
    results = work / "results.xml"
    with simulator.environment():
        try:
            simulator.runner().test(
                test_module=bench,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=work,
                results_xml=str(results),
                seed=seed,
                timescale=TIMESCALE,
                test_filter=testcase,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", **(environment or {})},
                log_file=log,
            )
        except (SystemExit, Exception) as error:
            if not results.exists():
                raise AssertionError(f"{bench} ended without results:\n{log.read_text()[-_LOG_TAIL:]}") from error
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    failed = [case.get("name") for case in ran if case.find("failure") is not None or case.find("error") is not None]
    if failed or not ran:
        what = f"failed: {', '.join(map(str, failed))}" if failed else "no test ran"
        raise AssertionError(f"{bench}: {what}\n{log.read_text()[-_LOG_TAIL:]}")
    return len(ran)
