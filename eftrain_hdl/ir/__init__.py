"""Graphs of operations: what a training step computes, without layers above it or devices below.

A graph goes through ``trace`` (`eftrain_hdl.graph`), `differentiate` and `add_optimizer`; `verify` holds between them,
and `evaluate` says in NumPy what each of them means.
"""

from .builder import GraphBuilder
from .differentiation import differentiate
from .errors import GraphError
from .evaluation import evaluate
from .graph import Graph, Node
from .operation import Operation, Result
from .operations import (
    OPERATIONS,
    Add,
    AddBias,
    Convolution,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    Mask,
    MaxPool,
    Rectify,
    Reshape,
    ScaledAdd,
    SumPositions,
    Unpool,
)
from .optimization import Optimizer, add_optimizer
from .values import Array, Direction, Origin, Role, Shape, Value
from .verify import verify

__all__ = [
    "OPERATIONS",
    "Add",
    "AddBias",
    "Array",
    "Convolution",
    "ConvolutionInputGradient",
    "ConvolutionWeightGradient",
    "Direction",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "Mask",
    "MaxPool",
    "Node",
    "Operation",
    "Optimizer",
    "Origin",
    "Rectify",
    "Reshape",
    "Result",
    "Role",
    "ScaledAdd",
    "Shape",
    "SumPositions",
    "Unpool",
    "Value",
    "add_optimizer",
    "differentiate",
    "evaluate",
    "verify",
]
