"""The error of every network description that cannot be built: the same as that of the graph below it."""

from eftrain_hdl.ir import GraphError

__all__ = ["GraphError"]
