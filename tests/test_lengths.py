"""A function is short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import eftrain_hdl as ef

PACKAGE = Path(ef.__file__).parent
MOST_LINES = 80


def functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, int]]:
    """Name, with the classes and functions around it, and number of lines of every function, decorators included."""
    for node in ast.iter_child_nodes(tree):
        name = outer
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{outer}.{node.name}".removeprefix(".")
            if not isinstance(node, ast.ClassDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                yield name, (node.end_lineno or first) - first + 1
        yield from functions(node, name)


def test_no_function_of_the_package_is_too_long() -> None:
    lengths: dict[str, int] = {}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for name, lines in functions(ast.parse(path.read_text(encoding="utf-8"))):
            # Overloads and setters of a property have one name.
            lengths[f"{place} {name}"] = max(lines, lengths.get(f"{place} {name}", 0))
    assert len(lengths) > 1000
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_functions_are_found_wherever_they_are() -> None:
    source = '''
class A:
    @property
    def b(self):
        def c():
            return 1
        return c
if True:
    async def d():
        return lambda: 2
'''
    assert dict(functions(ast.parse(source))) == {"A.b": 5, "A.b.c": 2, "d": 2}
