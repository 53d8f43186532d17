"""``python -m benchmarks``: measure, print, and write ``build/bench.json``."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import model_error, resource_model, simulation, slices, throughput, utilization


def main() -> None:
    """Run all benchmarks."""
    def report(line: str) -> None:
        print(line, flush=True)

    results = {
        module.__name__.split(".")[-1]: module.measure(report)
        for module in (simulation, utilization, throughput, resource_model, slices, model_error)
    }
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    report(f"wrote {path}")


main()
