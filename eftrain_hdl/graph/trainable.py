"""Which networks can be trained: layers may be described, and planned, before anything can train them."""

from .errors import GraphError
from .layers import AvgPool2d, BatchNorm2d
from .residual import Residual
from .sequential import Node, Sequential

PLANNED_ONLY = (AvgPool2d, BatchNorm2d, Residual)
"""Layers that can be planned but that neither the golden step nor the accelerator knows yet."""


def planned_only(node: Node) -> bool:
    """Whether a layer can be planned but not trained."""
    return isinstance(node.layer, PLANNED_ONLY)


def check_trainable(model: Sequential) -> None:
    """Raise GraphError, naming the first one, if ``model`` has layers that can be planned but not trained."""
    for node in model:
        if planned_only(node):
            raise GraphError(f"{node}: this layer can be planned but not trained yet")
