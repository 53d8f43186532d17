"""All operations, in one list. A new one is a file and its name in this file."""

from ..operation import Operation
from .add import Add
from .add_bias import AddBias
from .convolution import Convolution
from .convolution_input_gradient import ConvolutionInputGradient
from .convolution_weight_gradient import ConvolutionWeightGradient
from .mask import Mask
from .max_pool import MaxPool
from .rectify import Rectify
from .reshape import Reshape
from .scaled_add import ScaledAdd
from .sum_positions import SumPositions
from .unpool import Unpool

OPERATIONS: tuple[type[Operation], ...] = (
    Convolution,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    AddBias,
    SumPositions,
    Rectify,
    Mask,
    MaxPool,
    Unpool,
    Reshape,
    Add,
    ScaledAdd,
)
"""Those with a gradient rule are what layers are made of; the others are made by rules and optimizers."""

__all__ = [
    "OPERATIONS",
    "Add",
    "AddBias",
    "Convolution",
    "ConvolutionInputGradient",
    "ConvolutionWeightGradient",
    "Mask",
    "MaxPool",
    "Rectify",
    "Reshape",
    "ScaledAdd",
    "SumPositions",
    "Unpool",
]
