"""Cuts a design at modules that keep their hierarchy, so that its parts can be synthesised side by side.

Nothing is optimised across the boundary of such a module: with the instances of it being black boxes, the rest of the
design comes out as it would with the module itself there.
"""

from .merge import Design, Module

__all__ = ["partition"]

WRAPPER = r"\part"


def partition(design: Design, kept: set[str], parts: int) -> list[Design]:
    """Cut a design into so many designs of about equal size, or fewer if it has not as many kept modules.

    Each has a top of its own, which instantiates kept modules and, in one of them, the original top (which is then kept
    as well). Those that another part has are black boxes. Every kept module is in one part.
    """
    islands = {root: _island(design, root, kept) for root in (*kept, design.top)}
    weights = {root: sum(_weight(design.modules[name]) for name in island) for root, island in islands.items()}
    chosen: list[list[str]] = [[] for _ in range(min(parts, len(islands)))]
    loads = [0] * len(chosen)
    for root in sorted(islands, key=lambda root: (-weights[root], root)):
        lightest = loads.index(min(loads))
        chosen[lightest].append(root)
        loads[lightest] += weights[root]
    return [_part(design, roots, {name for root in roots for name in islands[root]}, kept) for roots in chosen]


def _island(design: Design, root: str, kept: set[str]) -> set[str]:
    """Return a module and those below it that are flattened into it."""
    found = {root}
    waiting = [root]
    while waiting:
        below = {cell.kind for cell in design.modules[waiting.pop()].instances} - kept - found
        found |= below
        waiting.extend(below)
    return found


def _weight(module: Module) -> int:
    return len(module.lines)


def _part(design: Design, roots: list[str], inside: set[str], kept: set[str]) -> Design:
    wrapper = [r"attribute \top 1", f"module {WRAPPER}"]
    for number, root in enumerate(roots):
        wrapper += [r"  attribute \keep 1", f"  cell {root} \\root_{number}", "  end"]
    wrapper.append("end")
    modules = {WRAPPER: Module(WRAPPER, wrapper, 1)}
    for name in design.modules:
        if name in inside:
            modules[name] = _keep(design.modules[name]) if name in roots else design.modules[name]
    border = {cell.kind for name in inside for cell in design.modules[name].instances} & kept - inside
    for name in sorted(border):
        modules[name] = _stub(design.modules[name])
    return Design(design.preamble, modules, WRAPPER)


def _keep(module: Module) -> Module:
    lines = [r"attribute \keep_hierarchy 1", *module.lines]
    return Module(module.name, lines, module.header + 1, module.ports, module.instances, module.primitives)


def _stub(module: Module) -> Module:
    lines = [r"attribute \blackbox 1", module.lines[module.header]]
    ports = set(module.ports)
    for line in module.lines:
        words = line.split()
        if words[0] == "wire" and words[-1] in ports:
            lines.append(line)
    return Module(module.name, [*lines, "end"], 1, module.ports)
