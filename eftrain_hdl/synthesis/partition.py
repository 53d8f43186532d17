"""Cuts a design at modules that keep their hierarchy, so that its parts can be synthesised side by side.

Nothing is optimised across the boundary of such a module: with its instances being black boxes, the rest of the design
comes out as it would with the module itself there.
"""

from collections.abc import Collection
from dataclasses import replace

from .merge import Design, Module

__all__ = ["partition"]

_WRAPPER = r"\part"


def partition(design: Design, kept: Collection[str], parts: int) -> list[Design]:
    """Mark the kept modules and cut the design there, into ``parts`` of about equal size or as many as there can be.

    One part is the design as it is. Of several, each has a new top, which instantiates some of the kept modules or the
    top of the design, kept as well; kept modules of other parts are black boxes. Each kept module is in one part.
    """
    if parts < 2 or not kept:
        modules = {name: _keep(module) if name in kept else module for name, module in design.modules.items()}
        return [replace(design, modules=modules)]
    roots = {*kept, design.top}
    islands = {root: _island(design, root, roots) for root in roots}
    sizes = {root: sum(len(design.modules[name].lines) for name in island) for root, island in islands.items()}
    shares: list[list[str]] = [[] for _ in range(min(parts, len(roots)))]
    for root in sorted(roots, key=lambda root: (-sizes[root], root)):
        min(shares, key=lambda share: sum(sizes[other] for other in share)).append(root)
    return [_part(design, share, set().union(*(islands[root] for root in share)), roots) for share in shares]


def _island(design: Design, root: str, roots: Collection[str]) -> set[str]:
    """Return a module and those below it that are flattened into it."""
    found = {root}
    waiting = [root]
    while waiting:
        below = {cell.kind for cell in design.modules[waiting.pop()].instances} - found
        below.difference_update(roots)
        found |= below
        waiting.extend(below)
    return found


def _part(design: Design, share: list[str], inside: set[str], roots: set[str]) -> Design:
    modules = {_WRAPPER: _wrapper(share)}
    for name in design.modules:
        if name in inside:
            modules[name] = _keep(design.modules[name]) if name in roots else design.modules[name]
    border = {cell.kind for name in inside for cell in design.modules[name].instances} - inside
    modules.update({name: _stub(design.modules[name]) for name in sorted(border)})
    return Design(design.preamble, modules, _WRAPPER)


def _wrapper(share: list[str]) -> Module:
    lines = [r"attribute \top 1", f"module {_WRAPPER}"]
    for number, root in enumerate(share):
        lines += [r"  attribute \keep 1", f"  cell {root} \\root_{number}", "  end"]
    return Module(_WRAPPER, [*lines, "end"], header=1)


def _keep(module: Module) -> Module:
    """Return the module with the attribute that stops Yosys from flattening it, for its text only."""
    return Module(module.name, [r"attribute \keep_hierarchy 1", *module.lines], module.header + 1, module.ports)


def _stub(module: Module) -> Module:
    """Return a black box with the ports of the module."""
    ports = [line for line in module.lines if line.startswith("  wire ") and line.split()[-1] in module.ports]
    return Module(module.name, [r"attribute \blackbox 1", module.lines[module.header], *ports, "end"], 1, module.ports)
