"""Components with one fault put into their source: a claim that does not notice its fault proves nothing."""

import inspect
import sys
from dataclasses import dataclass
from types import ModuleType

from amaranth.lib import wiring

__all__ = ["Fault", "faulty"]


@dataclass(frozen=True)
class Fault:
    """``old``, which must occur once in the component's module, becomes ``new``; ``claim`` is then violated."""

    claim: str
    old: str
    new: str


def faulty(component: type[wiring.Component], fault: Fault) -> type[wiring.Component]:
    """The class as its module would define it with the fault in it."""
    original = sys.modules[component.__module__]
    source = inspect.getsource(original)
    if source.count(fault.old) != 1:
        raise ValueError(f"{component.__module__} has {fault.old!r} {source.count(fault.old)} times, not once")
    module = ModuleType(f"{component.__module__}_faulty")
    exec(compile(source.replace(fault.old, fault.new), f"<{module.__name__}>", "exec"), module.__dict__)
    return vars(module)[component.__name__]
