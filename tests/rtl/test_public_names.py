# amaranth: UnusedElaboratable=no
"""What the packages export exists and is documented: every component names its ports and parameters."""

import gc
import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring

import eftrain_hdl.rtl
from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode, Target
from eftrain_hdl.registers import REGISTER_MAP, Unit
from eftrain_hdl.rtl.compute import BankedBuffer, MacArray

PACKAGES = [f"eftrain_hdl.{name}" for name in ("numerics", "rtl", "rtl.axi", "rtl.compute", "rtl.fp", "rtl.vector")]
LIBRARY = (Path(__file__).parents[2] / "docs/library.md").read_text()
CONFIG = Config(rows=4, lanes=4)

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Accumulator": (32, 2),
    "BankedBuffer": (CONFIG, 64),
    "BurstGenerator": (64,),
    "Core": (CONFIG, None, None),
    "DecodedDot": (4,),
    "ErrorCollector": (tuple(Unit),),
    "FusedDot": (4,),
    "IssueQueue": (Opcode.VECTOR,),
    "LoadUnit": (CONFIG, Opcode.LOAD_X),
    "NestCounter": (4,),
    "OperandDecoder": (4,),
    "OperandMemory": (CONFIG, Target.OPERAND_A),
    "ReadArbiter": (2, 64),
    "ReadDma": (64,),
    "RegisterBank": (REGISTER_MAP,),
    "Rotator": (32, 4),
    "RoundToFormat": (CONFIG.operand,),
    "SkidBuffer": (16,),
    "StoreUnit": (CONFIG, Opcode.STORE_0),
    "WordUnpacker": (64,),
    "WriteArbiter": (2, 64),
    "WriteDma": (64,),
}
"""What makes those that want more than a Config, or no Config."""
KEYWORDS = {"BlockSequencer": {"load_lead": 1, "recurrence": 4}}
FAMILIES = {
    "Core": ("count_",),
    "PerformanceCounters": ("event_", "count_"),
    "RegisterBank": tuple(register.name.lower() for register in REGISTER_MAP),
}
"""Ports of which a component has one for each register: named once, for all."""


def components() -> dict[str, type[wiring.Component]]:
    """Every public component of the gateware, exported or not."""
    found: dict[str, type[wiring.Component]] = {}
    for module in pkgutil.walk_packages(eftrain_hdl.rtl.__path__, "eftrain_hdl.rtl."):
        for name, value in vars(import_module(module.name)).items():
            if inspect.isclass(value) and issubclass(value, wiring.Component) and not name.startswith("_"):
                if value.__module__ == module.name:
                    found[name] = value
    return found


def ports(kind: type[wiring.Component]) -> list[str]:
    """Names of a component's ports, but for families."""
    build: Callable[..., wiring.Component] = kind
    wanted = inspect.signature(kind).parameters
    arguments = ARGUMENTS.get(kind.__name__, (CONFIG,) if "config" in wanted else ())
    with warnings.catch_warnings():
        # Parts that a component makes in its constructor are not used here either.
        warnings.simplefilter("ignore", UnusedElaboratable)
        names = list(build(*arguments, **KEYWORDS.get(kind.__name__, {})).signature.members)
        gc.collect()
    return [name for name in names if not name.startswith(FAMILIES.get(kind.__name__, ("-",)))]


@pytest.mark.parametrize("package", PACKAGES)
def test_exports_exist_and_are_documented(package: str) -> None:
    module = import_module(package)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            # A dataclass without docstring gets its signature for one.
            assert value.__doc__ and not value.__doc__.startswith(f"{name}("), name


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_names(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_block"):
        import_module(package).no_such_block  # noqa: B018


@pytest.mark.parametrize("kind", components().values(), ids=components())
def test_components_name_ports_and_parameters(kind: type[wiring.Component]) -> None:
    documented = inspect.getdoc(kind) or ""
    names = [*ports(kind), *inspect.signature(kind).parameters]
    assert [name for name in names if not re.search(rf"\b{name}\b", documented)] == []


@pytest.mark.parametrize("package", [package for package in PACKAGES if ".rtl" in package])
def test_the_page_names_every_exported_component(package: str) -> None:
    exported = [name for name in import_module(package).__all__ if name in components()]
    assert exported
    lines = [line for line in LIBRARY.splitlines() if line.startswith("|")]
    missing = [name for name in exported if not any(f"`{name}`" in line for line in lines)]
    assert not missing


@pytest.mark.parametrize("kind", [BankedBuffer, MacArray])
def test_blocks_want_a_config(kind: type[wiring.Component]) -> None:
    with pytest.raises(TypeError, match="^config must be a Config, not 4$"):
        kind(4, 64) if kind is BankedBuffer else kind(4)  # type: ignore[call-arg]


@pytest.mark.parametrize("depth", [0, 1, 48, 64.0])
def test_depth_of_a_buffer_is_checked(depth: object) -> None:
    with pytest.raises(ValueError, match=f"^depth must be a power of two, at least 2, not {depth}$"):
        BankedBuffer(CONFIG, depth)  # type: ignore[arg-type]
