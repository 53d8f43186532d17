"""Area, logic depth and timing of gateware, with tools that pip installs."""

from .baseline import compare, load_baseline, save_baseline
from .depth import LogicPath
from .merge import merge_modules
from .place import PARTS, Placement, place_and_route
from .sdf import TimingPath
from .tools import PlacementError, SynthesisError, check_nextpnr
from .yosys import FAMILIES, SynthesisResult, area_report, synthesize

__all__ = [
    "FAMILIES",
    "PARTS",
    "LogicPath",
    "Placement",
    "PlacementError",
    "SynthesisError",
    "SynthesisResult",
    "TimingPath",
    "area_report",
    "check_nextpnr",
    "compare",
    "load_baseline",
    "merge_modules",
    "place_and_route",
    "save_baseline",
    "synthesize",
]
