"""Values for a network's parameters: PyTorch's default initialisation, and the check of values from elsewhere."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer

from .errors import GraphError
from .layers import BatchNorm2d
from .sequential import Sequential

_NAMES_SHOWN = 4


def initial_parameters(model: Sequential, seed: int) -> dict[str, NDArray[np.float32]]:
    """Fresh float32 parameters by name, the same for the same ``model`` and ``seed``.

    Weights and biases are uniform in +-1/sqrt(fan_in): what PyTorch's Kaiming initialisation with a = sqrt(5) comes to
    for Conv2d and Linear. A BatchNorm2d starts with weights 1 and biases 0.
    """
    check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
    generator = np.random.default_rng(integer("seed", seed, 0))
    values: dict[str, NDArray[np.float32]] = {}
    for node in model.flat:
        shapes = node.parameter_shapes()
        if not shapes or node.body:
            continue  # a block's parameters are those of its layers
        if isinstance(node.layer, BatchNorm2d):
            values[f"{node.name}.weight"] = np.ones(shapes[f"{node.name}.weight"], np.float32)
            values[f"{node.name}.bias"] = np.zeros(shapes[f"{node.name}.bias"], np.float32)
            continue
        bound = 1 / math.sqrt(math.prod(shapes[f"{node.name}.weight"][1:]))
        for name, shape in shapes.items():
            values[name] = generator.uniform(-bound, bound, shape).astype(np.float32)
    return values


def check_parameters(model: Sequential, parameters: Mapping[str, NDArray[Any]]) -> None:
    """Raise GraphError unless ``parameters`` has exactly the names and shapes that ``model`` needs."""
    check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
    check_kind("parameters", parameters, Mapping, "a dict of arrays by name")
    expected = model.parameter_shapes()
    missing = [name for name in expected if name not in parameters]
    unknown = [str(name) for name in parameters if name not in expected]
    if missing:
        # Names that nobody asked for tell what was given instead: a plan, or another network's parameters.
        shown = unknown if len(unknown) <= _NAMES_SHOWN else [*unknown[:_NAMES_SHOWN], "..."]
        instead = f"; there are {', '.join(shown)} instead" if shown else ""
        raise GraphError(f"parameters: missing {', '.join(missing)}{instead}")
    if unknown:
        raise GraphError(f"parameters: the network has no {', '.join(unknown)}")
    for name, shape in expected.items():
        if np.shape(parameters[name]) != shape:
            raise GraphError(f"parameters: {name} has shape {np.shape(parameters[name])}: expected {shape}")
