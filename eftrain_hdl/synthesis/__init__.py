"""Area and logic depth of gateware, with tools that pip installs."""

from .baseline import compare, load_baseline, save_baseline
from .depth import LogicPath
from .merge import merge_modules
from .yosys import FAMILIES, SynthesisError, SynthesisResult, area_report, synthesize

__all__ = [
    "FAMILIES",
    "LogicPath",
    "SynthesisError",
    "SynthesisResult",
    "area_report",
    "compare",
    "load_baseline",
    "merge_modules",
    "save_baseline",
    "synthesize",
]
