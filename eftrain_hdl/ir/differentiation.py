"""From a forward graph to one with gradients: the backward pass, of what is needed and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eftrain_hdl.checks import check_kind, shown

from .builder import GraphBuilder
from .errors import GraphError, named
from .graph import Graph
from .operations import Add
from .values import Direction, Origin, Role, Value


def differentiate(graph: Graph, output_gradients: Mapping[str, str], trainable: Collection[str] | None = None) -> Graph:
    """``graph`` with the nodes that compute the gradients of its trainable parameters.

    ``output_gradients`` says under which names the host writes the gradients of which outputs: they become inputs. An
    output that is not named has no gradient. ``trainable`` names the parameters to train, None means all of them. A
    gradient that no trainable parameter needs is not computed, and an input that only it would need does not exist.

    A value that several nodes read gets the sum of what they give it, added in the order of the backward pass, last
    reader first, to the gradient that the host writes if it is an output. Nodes have the layer of their forward node,
    and the direction "WU" if they make the gradient of a parameter, else "BP".

    Raises GraphError for unknown names, for a graph that has gradients already, and if a trainable parameter has no way
    to an output with a gradient, or one through an operation without gradient rule.
    """
    check_kind("graph", graph, Graph, "a Graph")
    check_kind("output_gradients", output_gradients, Mapping, "a dict of names by names of outputs")
    if graph.gradients or graph.updates:
        raise GraphError("the graph has gradients or updates already: differentiate the forward graph")
    needed = _needed(graph, _checked(graph, trainable))
    by_products = (value for node in graph.nodes if node.outputs[0] in needed for value in node.outputs[1:])
    stopped = {value for value in by_products if value.role is not Role.INDEX}
    backward = _Backward(graph)
    for name, gradient in output_gradients.items():
        value = next((value for value in graph.outputs if value.name == name), None)
        if value is None:
            outputs = ", ".join(value.name for value in graph.outputs)
            raise GraphError(f"output_gradients: the graph has no output {shown(name)}; there is {outputs}")
        if value in needed:
            backward.receive(value, backward.builder.input(gradient, value.shape, batched=value.batched))
    for node in reversed(graph.nodes):
        dy = backward.total(node.outputs[0])
        if dy is None:
            continue
        for position, value in enumerate(node.inputs):
            if value in stopped:
                raise GraphError(f"{node.label}: reads {value.name}, a by-product through which no gradient flows")
            if value in needed:
                origin = Origin(node.origin.layer, backward.direction(value))
                with backward.builder.at(origin, value.name), named(node.label):
                    backward.receive(value, node.operation.gradient(position, node, dy, backward.builder))
    for value in graph.parameters:
        if value in needed and backward.total(value) is None:
            trained = f"{graph.layer(value)}: {value.name} is to be trained"
            raise GraphError(f"{trained}, but no output with a gradient depends on it")
    return backward.builder.finish(graph.outputs, tuple(backward.gradients.items()))


class _Backward:
    """A backward pass under way: what each value has received, and the sums."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = GraphBuilder(graph)
        self.gradients: dict[Value, Value] = {}
        self._received: dict[Value, list[Value]] = {}

    def receive(self, value: Value, gradient: Value) -> None:
        """One reader's part of the gradient of ``value``."""
        self._received.setdefault(value, []).append(gradient)

    def total(self, value: Value) -> Value | None:
        """The gradient of ``value`` once all readers have given their part; None if none has."""
        parts = self._received.get(value)
        if not parts:
            return None
        total = parts[0]
        with self.builder.at(Origin(self.graph.layer(value), self.direction(value)), value.name):
            for part in parts[1:]:
                total = self.builder.add(Add(), total, part, name="gradient")
        self.gradients[value] = total
        return total

    @staticmethod
    def direction(value: Value) -> Direction:
        """Whether the gradient of ``value`` is for others or for an update."""
        return "WU" if value.role is Role.PARAMETER else "BP"


def _checked(graph: Graph, trainable: Collection[str] | None) -> set[str]:
    names = {value.name for value in graph.parameters}
    if trainable is None:
        return names
    if isinstance(trainable, (str, bytes)):
        raise TypeError(f"trainable={shown(trainable)}: expected a collection of names of parameters, or None for all")
    check_kind("trainable", trainable, Collection, "a collection of names of parameters, or None for all")
    unknown = [shown(name) for name in trainable if name not in names]
    if unknown:
        known = ", ".join(value.name for value in graph.parameters)
        raise GraphError(f"trainable: the graph has no parameter {', '.join(unknown)}; there are {known}")
    return set(trainable)


def _needed(graph: Graph, trainable: set[str]) -> set[Value]:
    """Values whose gradients trainable parameters need: these themselves, and what depends on them."""
    needed = {value for value in graph.parameters if value.name in trainable}
    for node in graph.nodes:
        if not needed.isdisjoint(node.inputs):
            needed.add(node.outputs[0])
    return needed
