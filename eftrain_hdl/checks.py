"""Checks of arguments that all packages share; every message names the argument, what came and what is expected.

``owner`` is what stands before the argument's name, such as ``"Config: "``. Needs the standard library only.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from typing import Any

__all__ = ["boolean", "check_kind", "choice", "choices_text", "counted", "integer", "number", "shown"]

_SHORT = 40
_PLAIN = (type(None), bool, int, float, str)


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], example: str) -> None:
    """TypeError unless ``value`` is of ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}={shown(value)}: expected {example}")


def boolean(name: str, value: Any) -> bool:
    """``value``: TypeError unless it is True or False."""
    check_kind(name, value, bool, "True or False")
    return bool(value)


def _is_boolean(value: Any) -> bool:
    """Python's or NumPy's, which NumPy 2.2 still takes for an integer."""
    return isinstance(value, bool) or bool(getattr(value, "dtype", None) == "bool")


def integer(
    name: str, value: Any, least: int, most: int | None = None, *, error: type[ValueError] = ValueError, why: str = ""
) -> int:
    """``value`` as an int: TypeError unless it is an integer (bool is not), ``error`` unless in the range; ``why``
    it ends at ``most``.
    """
    try:
        if _is_boolean(value):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={shown(value)}: expected an integer") from None
    if found < least:
        raise error(f"{name}={shown(found)}: must be at least {least}")
    if most is not None and found > most:
        raise error(f"{name}={shown(found)}: must be at most {most}{why and f': {why}'}")
    return found


def number(
    name: str, value: Any, least: float, most: float, *, error: type[ValueError] = ValueError, why: str = ""
) -> float:
    """``value`` as a float: TypeError unless it is a real number, ``error`` unless in the range, which NaN is not."""
    try:
        if _is_boolean(value) or isinstance(value, (str, bytes, bytearray)) or getattr(value, "shape", ()) != ():
            raise TypeError
        found = float(value)
    except OverflowError:
        found = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name}={shown(value)}: expected a number") from None
    if not least <= found <= most:
        raise error(f"{name}={found:g}: must be from {least:g} to {most:g}{why and f': {why}'}")
    return found


def choice(name: str, value: Any, known: Collection[str], *, error: type[ValueError] = ValueError) -> str:
    """``value``: TypeError unless it is a text, ``error`` unless it is one of those that are ``known``."""
    check_kind(name, value, str, f"a name: {', '.join(known)}")
    if value not in known:
        raise error(f"unknown {name} {shown(value)}: {choices_text(value, list(known))}")
    return str(value)


def choices_text(value: str, known: Sequence[str]) -> str:
    """What to write instead of an unknown name: the nearest one first, if there is one near."""
    near = get_close_matches(value.lower(), known, 1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{guess}choose from {', '.join(known)}"


def counted(number: int, noun: str) -> str:
    """``1 port``, ``2 ports``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(value: Any) -> str:
    """A value where it is short, or else its type; of a class, that it is the class itself."""
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__} (the class itself)"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        # An int of more than 4300 digits has no text.
        text = hex(value) if isinstance(value, int) and value.bit_length() > 4000 else repr(value)
        return text if len(text) <= _SHORT else f"{text[:37]}..."
    if isinstance(value, (tuple, list)) and len(value) <= 8 and all(type(one) in _PLAIN for one in value):
        return f"{', '.join(map(shown, value))}".join("()" if isinstance(value, tuple) else "[]")
    kind = type(value)
    if is_dataclass(kind) and len(repr(value)) <= _SHORT:
        return repr(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"an object of {name}"
