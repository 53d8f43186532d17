"""The error of every network description and every graph that cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager


class GraphError(ValueError):
    """A layer parameter out of range, shapes that do not fit, or a broken rule of a graph.

    The message names layer and parameter, or the node of the graph, its layer and the rule.
    """


@contextmanager
def named(what: object) -> Iterator[None]:
    """Put ``what`` before the message of a GraphError that comes from inside."""
    try:
        yield
    except GraphError as error:
        raise GraphError(f"{what}: {error}") from None


def need(condition: bool, rule: str) -> None:
    """GraphError, with the rule that is broken, unless ``condition``."""
    if not condition:
        raise GraphError(rule)
