"""From a network description to its graph of operations."""

from eftrain_hdl.checks import check_kind
from eftrain_hdl.ir import Graph, GraphBuilder

from .sequential import Sequential


def trace(model: Sequential) -> Graph:
    """The forward graph of ``model``: its input is called "input", parameters have their names, the one output is what
    the last layer delivers.

    Raises GraphError, naming the first one, if it has layers that can be planned but not trained yet.
    """
    check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
    builder = GraphBuilder()
    value = builder.input("input", model.input_shape)
    for node in model:
        with builder.layer(node.name, type(node.layer).__name__):
            value = node.layer.trace(builder, value)
    return builder.finish([value])
