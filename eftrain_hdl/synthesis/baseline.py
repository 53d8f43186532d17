"""Stored figures of designs, and what changed against them."""

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["compare", "load_baseline", "save_baseline"]

Figures = Mapping[str, float]


def load_baseline(path: Path) -> dict[str, dict[str, float]]:
    """Return the figures of every design in a baseline file; none if there is no file yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def save_baseline(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write figures by design, sorted, so that a change shows as a small difference of the file."""
    plain = {name: dict(values) for name, values in figures.items()}
    path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")


def compare(baseline: Figures, measured: Figures, *, tolerance: float = 0.10) -> list[str]:
    """Return a line for each figure that is off by more than the tolerance, either way; none means as before.

    Logic depth may fall but not rise: one level more is a slower clock, whatever its share. A figure that only one side
    has is a difference too. Better figures are reported so that the baseline is renewed and the gain is kept.
    """
    lines = []
    for name in sorted(baseline.keys() | measured.keys()):
        if name not in measured:
            lines.append(f"{name}: was {baseline[name]:g}, not measured now")
        elif name not in baseline:
            lines.append(f"{name}: {measured[name]:g}, not in the baseline")
        else:
            was, now = baseline[name], measured[name]
            if abs(now - was) > tolerance * was or (name == "depth" and now > was):
                share = f" ({(now - was) / was:+.0%})" if was else ""
                lines.append(f"{name}: was {was:g}, is {now:g}{share}")
    return lines
