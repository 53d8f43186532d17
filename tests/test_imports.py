"""Who imports whom: lower parts never import higher ones, and a model's key covers all that its Verilog is made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import eftrain_hdl as ef
from eftrain_hdl.runtime import sim

PACKAGE = Path(ef.__file__).parent
PARTS = (
    "checks", "files", "numerics", "register_map", "registers", "config", "isa", "synthesis", "rtl", "ir", "graph",
    "zoo", "data", "golden", "planner", "compiler", "runtime", "boards", "export", "vivado", "cli",
)  # fmt: skip
"""Folders and modules of the package, from the lowest to the highest."""
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Names of this package that a file imports, anywhere in it, as ``part.module.name``."""
    package = ".".join(path.relative_to(PACKAGE.parent).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.partition(".")[2] for name in names if name.startswith("eftrain_hdl."))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_no_part_imports_a_higher_one() -> None:
    wrong = []
    for path in SOURCES:
        part = part_of(path)
        # What a user sees and what a shell starts stand above all parts.
        if part not in ("__init__", "__main__"):
            allowed = (*PARTS[: PARTS.index(part) + 1], "__version__")
            wrong += [(str(path), name) for name in imported(path) if name.partition(".")[0] not in allowed]
    assert wrong == []


def file_of(name: str) -> Path | None:
    """The source of ``part.module.name``, whose last part may be a name within a module."""
    for parts in (name.split("."), name.split(".")[:-1]):
        if parts:
            module = PACKAGE.joinpath(*parts)
            for path in (module.with_suffix(".py"), module / "__init__.py"):
                if path.is_file():
                    return path
    return None


def test_the_key_of_verilog_covers_what_it_is_made_of() -> None:
    """Else an old model would be used after a change. The package itself brings its version only, which is a part of
    the key.
    """
    reached: set[Path] = set()
    left = [PACKAGE / "rtl" / "top.py", PACKAGE / "rtl" / "probes.py"]
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            left += [found for name in imported(path) if (found := file_of(name))]
    assert len(reached) > 60
    covered = {PACKAGE / name for name in sim._GATEWARE}
    assert [str(path) for path in sorted(reached) if not covered & {path, *path.parents}] == []
