"""Network descriptions: layers, their chain with every shape known, loss, optimizer and initial parameters."""

from .errors import GraphError
from .layers import Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Shape, window_count
from .loss import CrossEntropyLoss, cross_entropy
from .optimizer import SGD
from .parameters import check_parameters, initial_parameters
from .sequential import Node, Sequential

__all__ = [
    "SGD",
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "GraphError",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Node",
    "ReLU",
    "Sequential",
    "Shape",
    "check_parameters",
    "cross_entropy",
    "initial_parameters",
    "window_count",
]
