"""What has to hold in every graph."""

from __future__ import annotations

from .errors import GraphError, named, need
from .graph import Graph, Node
from .values import Role, Value

_HELD = (Role.PARAMETER, Role.STATE)


def verify(graph: Graph) -> None:
    """Raise GraphError, naming node, layer and rule, unless all of this holds.

    - Every name is defined once, and before it is read; who reads a value sees it as it was defined. Sizes are
      positive integers.
    - Inputs are INPUT, PARAMETER or STATE, the latter two not batched.
    - Outputs of nodes are what the operation's rule makes of the inputs. A forward node makes ACTIVATION and INDEX, and
      reads no GRADIENT; other nodes make GRADIENT; a node makes a PARAMETER or STATE only as the new value of one.
    - An INDEX is read by operations that declare it, and by nobody else.
    - An update replaces a PARAMETER or STATE among the inputs, once, by what a node makes, with its role and shape.
    - A gradient has the shape of its value, which has no other.
    - Nothing is unused: all nodes and inputs lead to an output, the gradient of a parameter, or a new value.
    """
    new = {value for _, value in graph.updates}
    known: dict[str, Value] = {}
    for value in graph.inputs:
        with named(f"input {value.name}"):
            need(value.role in (Role.INPUT, *_HELD), f"no node makes it, so it cannot be {value.role.name}")
            need(not (value.batched and value.role in _HELD), f"a {value.role.name} is not batched")
            _define(value, known)
    for node in graph.nodes:
        with named(node.label):
            for value in node.inputs:
                _see(value, known)
            _check_results(node)
            _check_roles(node, new)
            for value in node.outputs:
                _define(value, known)
    for value in graph.outputs:
        with named(f"output {value.name}"):
            _see(value, known)
    _check_updates(graph, known)
    _check_gradients(graph, known)
    _check_use(graph)


def _define(value: Value, known: dict[str, Value]) -> None:
    need(value.name not in known, f"{value.name} is defined twice")
    positive = all(type(size) is int and size > 0 for size in value.shape)
    need(positive, f"{value.name} has the shape {value.shape}: sizes have to be positive integers")
    known[value.name] = value


def _see(value: Value, known: dict[str, Value]) -> None:
    need(value.name in known, f"{value.name} is read before anything has defined it")
    need(value == known[value.name], f"reads {value}, which is defined as {known[value.name]}")


def _check_results(node: Node) -> None:
    results = node.operation.check(node.inputs)
    need(len(results) == len(node.outputs), f"makes {len(results)} values, but {len(node.outputs)} are listed")
    for result, value in zip(results, node.outputs, strict=True):
        ruled = Value(value.name, result.shape, result.role or value.role, result.batched)
        need(value == ruled, f"{value} is listed, but the operation makes {ruled}")
        made = value.role is not Role.INDEX or result.role is Role.INDEX
        need(made, f"{value.name} is an INDEX, which the operation does not make")


def _check_roles(node: Node, new: set[Value]) -> None:
    forward = node.origin.direction == "FP"
    for value in node.inputs:
        need(not (forward and value.role is Role.GRADIENT), f"a forward node cannot read {value.name}, a GRADIENT")
    for value in node.outputs:
        need(value.role is not Role.INPUT, f"{value.name} is an INPUT, which no node can make")
        if value.role in _HELD:
            need(value in new, f"{value.name} is a {value.role.name}, but replaces nothing")
        elif value.role is not Role.INDEX:
            expected = Role.ACTIVATION if forward else Role.GRADIENT
            need(value.role is expected, f"{value.name} has to be {expected.name}, but is {value.role.name}")


def _check_updates(graph: Graph, known: dict[str, Value]) -> None:
    replaced: set[Value] = set()
    for value, new in graph.updates:
        with named(f"{graph.layer(value)}: update of {value.name}"):
            held = value.role in _HELD and value in graph.inputs
            need(held, "only a PARAMETER or STATE among the inputs can be replaced")
            need(value not in replaced, "it is replaced twice")
            replaced.add(value)
            _see(new, known)
            need(graph.producer(new) is not None, f"no node makes {new.name}")
            fits = (new.shape, new.role, new.batched) == (value.shape, value.role, value.batched)
            need(fits, f"{new} cannot replace {value}")


def _check_gradients(graph: Graph, known: dict[str, Value]) -> None:
    seen: set[Value] = set()
    for value, gradient in graph.gradients:
        with named(f"{graph.layer(value)}: gradient of {value.name}"):
            _see(value, known)
            _see(gradient, known)
            need(value not in seen, "there are two")
            seen.add(value)
            need(gradient.role in (Role.GRADIENT, Role.INPUT), f"{gradient.name} is {gradient.role.name}")
            fits = (gradient.shape, gradient.batched) == (value.shape, value.batched)
            need(fits, f"{gradient} has not the shape of {value}")


def _check_use(graph: Graph) -> None:
    used = set(graph.results)
    for node in reversed(graph.nodes):
        if not used.intersection(node.outputs):
            raise GraphError(f"{node.label}: nothing needs what it makes")
        used.update(node.inputs)
    for value in graph.inputs:
        need(value in used, f"input {value.name}: nothing reads it")
