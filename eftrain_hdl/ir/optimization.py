"""From gradients to new parameters."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from eftrain_hdl.checks import check_kind

from .builder import GraphBuilder
from .errors import GraphError
from .graph import Graph
from .values import Origin, Role, Value


@runtime_checkable
class Optimizer(Protocol):
    """What describes its own operations."""

    def update(self, builder: GraphBuilder, parameter: Value, gradient: Value) -> None:
        """Add to ``builder`` the nodes that make the new value of ``parameter``, the states they need, and their
        updates (`GraphBuilder.update`). Names are behind that of the parameter.
        """


def add_optimizer(graph: Graph, optimizer: Optimizer) -> Graph:
    """``graph`` with the update of every parameter that has a gradient, in the order of the parameters.

    Nodes have the layer of the parameter, and the direction "WU". Raises GraphError if no parameter has a gradient, or
    if one has an update already.
    """
    check_kind("graph", graph, Graph, "a Graph")
    check_kind("optimizer", optimizer, Optimizer, "an optimizer such as SGD(lr=...)")
    pairs = [pair for pair in graph.gradients if pair[0].role is Role.PARAMETER]
    if not pairs:
        raise GraphError("no parameter of the graph has a gradient: differentiate it first, with parameters to train")
    replaced = {value for value, _ in graph.updates}
    builder = GraphBuilder(graph)
    for parameter, gradient in pairs:
        layer = graph.layer(parameter)
        if parameter in replaced:
            raise GraphError(f"{layer}: {parameter.name} has an update already")
        with builder.at(Origin(layer, "WU"), parameter.name):
            optimizer.update(builder, parameter, gradient)
    return builder.finish(graph.outputs, graph.gradients)
