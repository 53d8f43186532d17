"""A header for C99 and C++11: the tables as macros, and names of errors and units as functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eftrain_hdl.export.constants import NOTES, Constant, Group, groups
from eftrain_hdl.registers import ERROR_MEANINGS, IP_NAME, IP_VLNV, ErrorCode, Unit

__all__ = ["c_header"]

_PREFIX = IP_NAME.upper()
_DECIMAL_DIGITS, _LONG_DIGITS = 0, 16


def c_header() -> str:
    """The whole header. Nothing in it needs linking, so any number of files can include it."""
    lines = [
        f"/* Registers and instructions of the accelerator {IP_VLNV}.",
        " *",
        " * Written by `eftrain export --format c`.",
        *(f" * {line}" for line in NOTES),
        " */",
        f"#ifndef {_PREFIX}_H",
        f"#define {_PREFIX}_H",
        "",
        "#include <stdint.h>",
        "",
        f'#define {_PREFIX}_VLNV "{IP_VLNV}"',
    ]
    for group in groups():
        lines += ["", *_group(group)]
    errors = ((f"ERROR_{code.name}", ERROR_MEANINGS[code]) for code in ErrorCode)
    units = ((f"UNIT_{unit.name}", unit.name) for unit in Unit)
    lines += ["", *_function("error_text", "What an error code means; the text is not to be freed.", errors)]
    lines += ["", *_function("unit_text", "Name of a unit; the text is not to be freed.", units)]
    lines += ["", f"#endif /* {_PREFIX}_H */"]
    return "\n".join(lines) + "\n"


def _group(group: Group) -> Iterator[str]:
    # No text of the tables may end the comment, or begin another.
    texts = [line.replace("*/", "* /").replace("/*", "/ *") for line in group.comment]
    yield from (f"{'/*' if number == 0 else ' *'} {text}" for number, text in enumerate(texts[:-1]))
    yield f"{'/*' if len(texts) == 1 else ' *'} {texts[-1]} */"
    for item in group.constants:
        yield f"#define {_PREFIX}_{item.name} {_number(item)}"


def _number(item: Constant) -> str:
    if item.digits == _DECIMAL_DIGITS:
        return item.text
    return f"UINT{64 if item.digits == _LONG_DIGITS else 32}_C({item.text})"


def _function(name: str, comment: str, cases: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"/* {comment} */"
    yield f"static inline const char *{IP_NAME}_{name}(uint32_t number)"
    yield "{"
    yield "    switch (number) {"
    for constant, text in cases:
        yield f"    case {_PREFIX}_{constant}:"
        yield f'        return "{_escaped(text)}";'
    yield "    default:"
    yield '        return "unknown";'
    yield "    }"
    yield "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
