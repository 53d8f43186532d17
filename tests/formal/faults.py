"""Components with one fault put into their source: a claim that does not notice its fault proves nothing."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from amaranth.lib import wiring

__all__ = ["Fault", "faulty"]


@dataclass(frozen=True)
class Fault:
    """``old``, which must occur once in the module of ``part`` (the component itself, or a class or a function that its
    module imports), becomes ``new``; ``claim`` is then violated.
    """

    claim: str
    old: str
    new: str
    part: type[wiring.Component] | Callable[..., object] | None = None


def faulty(component: type[wiring.Component], fault: Fault) -> type[wiring.Component]:
    """The class as its module would define it with the fault in it."""
    if fault.part is None:
        return vars(_changed(component, fault.old, fault.new))[component.__name__]
    module = _changed(component, "", "")
    vars(module)[fault.part.__name__] = vars(_changed(fault.part, fault.old, fault.new))[fault.part.__name__]
    return vars(module)[component.__name__]


def _changed(part: type[wiring.Component] | Callable[..., object], old: str, new: str) -> ModuleType:
    """A copy of the module of ``part`` in which ``old`` became ``new``."""
    original = sys.modules[part.__module__]
    source = inspect.getsource(original)
    if old and source.count(old) != 1:
        raise ValueError(f"{original.__name__} has {old!r} {source.count(old)} times, not once")
    module = ModuleType(f"{original.__name__}_faulty")
    exec(compile(source.replace(old, new) if old else source, f"<{module.__name__}>", "exec"), vars(module))
    return module
