"""Network descriptions: layers, their chain with every shape known, loss, optimizer and initial parameters."""

from .errors import GraphError
from .layers import AvgPool2d, BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Shape, window_count
from .loss import CrossEntropyLoss, cross_entropy
from .optimizer import SGD
from .parameters import check_parameters, initial_parameters
from .residual import Residual
from .sequential import Node, Sequential
from .trace import trace
from .trainable import check_trainable, planned_only

__all__ = [
    "SGD",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "GraphError",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Node",
    "ReLU",
    "Residual",
    "Sequential",
    "Shape",
    "check_parameters",
    "check_trainable",
    "cross_entropy",
    "initial_parameters",
    "planned_only",
    "trace",
    "window_count",
]
