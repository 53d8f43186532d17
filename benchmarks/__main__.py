"""``python -m benchmarks``: measure, print, and write ``build/bench.json``."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import simulation, utilization


def main() -> None:
    """Run all benchmarks."""
    def report(line: str) -> None:
        print(line, flush=True)

    results = {"utilization": utilization.measure(report), "simulation": simulation.measure(report)}
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    report(f"wrote {path}")


main()
