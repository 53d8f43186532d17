"""Merges structurally identical RTLIL modules.

Amaranth writes one module for each instance, so an array of 256 equal units is synthesised 256 times. Two modules are
equal when they differ only in their own name, source locations, the order of ports and wires, and the names of what is
inside.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Design", "Module", "merge_modules", "parse_design"]

_IDENTIFIER = re.compile(r"(?<![\w\\$\"])[\\$][^\s\]\[{}]+")
_WIRE_PORT = re.compile(r" (input|output|inout) \d+ ")


@dataclass
class Cell:
    """An instance of a module of this design: where it stands in the body and what its ports connect to."""

    header: int
    kind: str
    connects: dict[int, str] = field(default_factory=dict)


@dataclass
class Module:
    """One RTLIL module: ``lines`` from its first attribute to its ``end``, its ports, and the instances in it."""

    name: str
    lines: list[str]
    header: int
    ports: list[str] = field(default_factory=list)
    instances: list[Cell] = field(default_factory=list)
    primitives: int = 0


@dataclass
class Design:
    """Modules by name, in the order of the text; ``top`` is the one with the attribute."""

    preamble: list[str]
    modules: dict[str, Module]
    top: str

    def text(self) -> str:
        """Return the RTLIL."""
        return "\n".join([*self.preamble, *(line for m in self.modules.values() for line in m.lines), ""])

    def instance_counts(self) -> Counter[str]:
        """Count how often each module occurs below the top, which counts once."""
        counts: Counter[str] = Counter({self.top: 1})
        for name in reversed(list(_children_first(self))):
            for cell in self.modules[name].instances:
                counts[cell.kind] += counts[name]
        return counts

    def sizes(self) -> dict[str, int]:
        """Count the primitive cells of each module with everything below it."""
        sizes: dict[str, int] = {}
        for name in _children_first(self):
            module = self.modules[name]
            sizes[name] = module.primitives + sum(sizes[cell.kind] for cell in module.instances)
        return sizes


def parse_design(rtlil: str) -> Design:
    """Split RTLIL, as Amaranth writes it, into modules. Raises ``ValueError`` if no module is marked as the top."""
    modules: dict[str, Module] = {}
    preamble: list[str] = []
    pending: list[str] = []
    top = ""
    lines = iter(rtlil.splitlines())
    for line in lines:
        if line.startswith("attribute "):
            pending.append(line)
        elif line.startswith("module "):
            module = _read_module(line.split()[1], [*pending, line], len(pending), lines)
            if r"attribute \top 1" in pending:
                top = module.name
            modules[module.name] = module
            pending = []
        elif line.strip() and not pending and not modules:
            preamble.append(line)
    if not top:
        raise ValueError("no module of the RTLIL has the attribute 'top'")
    for module in modules.values():
        module.primitives = len(module.instances)
        module.instances = [cell for cell in module.instances if cell.kind in modules]
        module.primitives -= len(module.instances)
    return Design(preamble, modules, top)


def _read_module(name: str, start: list[str], header: int, lines: Iterator[str]) -> Module:
    module = Module(name, start, header)
    cell: Cell | None = None
    for line in lines:
        if not line or line.isspace():
            continue
        index = len(module.lines)
        module.lines.append(line)
        words = line.split(maxsplit=2)
        if line == "end":
            return module
        if words[0] == "wire" and _WIRE_PORT.search(line):
            module.ports.append(line.split()[-1])
        elif words[0] == "cell":
            cell = Cell(index, words[1])
            module.instances.append(cell)
        elif words[0] == "connect" and cell is not None:
            cell.connects[index] = words[1]
        elif words[0] == "end":
            cell = None
    raise ValueError(f"module {name} has no end")


def _children_first(design: Design) -> Iterator[str]:
    done: set[str] = set()
    stack = [(design.top, False)]
    while stack:
        name, expanded = stack.pop()
        if name in done:
            continue
        if expanded:
            done.add(name)
            yield name
        else:
            stack.append((name, True))
            stack.extend((cell.kind, False) for cell in design.modules[name].instances)


def merge_modules(rtlil: str) -> str:
    """Return RTLIL in which each set of structurally identical modules is one module.

    Modules that the top does not reach are dropped. Takes and gives text as ``amaranth.back.rtlil`` writes it; raises
    ``ValueError`` if that has no top module.
    """
    return merge_design(parse_design(rtlil)).text()


def merge_design(design: Design) -> Design:
    """As :func:`merge_modules`, on a parsed design, which is changed in place."""
    kept: dict[str, str] = {}            # canonical text: the module that stands for it
    order_of: dict[str, list[str]] = {}  # ports of a kept module in canonical order
    replaced: dict[str, tuple[str, dict[str, str]]] = {}
    for name in _children_first(design):
        module = design.modules[name]
        for cell in module.instances:
            _retarget(module, cell, replaced)
        text, ports = _canonical(module, order_of)
        first = kept.setdefault(text, name)
        if first == name:
            order_of[name] = ports
        else:
            replaced[name] = (first, dict(zip(ports, order_of[first], strict=True)))
    design.modules = {name: module for name, module in design.modules.items() if name in order_of}
    return design


def _retarget(module: Module, cell: Cell, replaced: dict[str, tuple[str, dict[str, str]]]) -> None:
    if cell.kind not in replaced:
        return
    cell.kind, ports = replaced[cell.kind]
    words = module.lines[cell.header].split()
    module.lines[cell.header] = f"  cell {cell.kind} {words[2]}"
    for index, port in cell.connects.items():
        line = module.lines[index].split(maxsplit=2)
        module.lines[index] = f"    connect {ports[port]} {line[2]}"
        cell.connects[index] = ports[port]


class _Names:
    """Numbers identifiers in the order in which they are met."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        return _IDENTIFIER.sub(lambda match: f"%{self.numbers.setdefault(match[0], len(self.numbers))}", text)


def _canonical(module: Module, order_of: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Return a text that is equal for equal modules, and the module's ports in an order that is the same for them."""
    names = _Names()
    body: list[str] = []
    aliases: list[tuple[str, str]] = []
    wires: dict[str, str] = {}
    attributes: list[str] = []
    instances = {cell.header: cell for cell in module.instances}
    skip: set[int] = set()
    for index in range(module.header + 1, len(module.lines) - 1):
        line = module.lines[index].strip()
        word, _, rest = line.partition(" ")
        if index in skip:
            continue
        if word == "attribute":
            if not rest.startswith(r"\src "):
                attributes.append(rest)
            continue
        if word == "wire":
            shape, _, name = _WIRE_PORT.sub(r" \1 ", line).rpartition(" ")
            wires[name] = f"{shape} {sorted(attributes)}"
        elif word == "cell":
            kind = rest.split()[0]
            body.append(f"cell {kind} {sorted(attributes)}")
            if index in instances:
                cell = instances[index]
                by_port = {port: line_index for line_index, port in cell.connects.items()}
                for port in order_of[cell.kind]:
                    if port in by_port:
                        body.append(f"{port} {names(module.lines[by_port[port]].split(maxsplit=2)[2])}")
                skip.update(cell.connects)
        elif word == "connect" and module.lines[index].startswith("connect"):
            left, right = rest.split(maxsplit=1) if not rest.startswith("{") else _split_concat(rest)
            aliases.append((left, right))
        elif word in ("connect", "parameter"):
            pin, _, value = rest.partition(" ")
            body.append(f"{word} {pin} {names(value)}")
        elif word == "memory":
            body.append(f"{line} {sorted(attributes)}")
        else:
            body.append(names(line) + "".join(sorted(attributes)))
        attributes = []
    return _finish(module, names, body, aliases, wires)


def _split_concat(text: str) -> tuple[str, str]:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[:position + 1], text[position + 1:].strip()
    raise ValueError(f"unbalanced braces in RTLIL: {text!r}")


def _finish(
    module: Module, names: _Names, body: list[str], aliases: list[tuple[str, str]], wires: dict[str, str]
) -> tuple[str, list[str]]:
    ports = set(module.ports)
    # A wire that only repeats another for its name does not count, and neither does the order of such statements.
    needed = ports | names.numbers.keys()
    used: list[tuple[str, str]] = []
    unsettled = True
    while unsettled:
        found = [pair for pair in aliases if needed.intersection(_IDENTIFIER.findall(pair[0]))]
        unsettled = len(found) > len(used)
        used = found
        needed = needed.union(*(_IDENTIFIER.findall(right) for _, right in used))
    # The order in which Amaranth declares them is not that of equal modules; their names usually are equal.
    for left, right in sorted(used):
        body.append(f"{names(left)} = {names(right)}")
    for port in sorted(ports - names.numbers.keys()):
        names(port)
    ordered = sorted((number, name) for name, number in names.numbers.items() if name in wires)
    body.extend(f"{number} {wires[name]}" for number, name in ordered)
    return "\n".join(body), [name for _, name in ordered if name in ports]
