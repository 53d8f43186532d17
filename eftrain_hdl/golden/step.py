"""One training step in plain NumPy: what every device is held to."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import check_kind, shown
from ..graph import (
    SGD,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Linear,
    MaxPool2d,
    Node,
    ReLU,
    Sequential,
    check_parameters,
    check_trainable,
    cross_entropy,
)
from .convolution import conv_forward, conv_input_gradient, conv_weight_gradient
from .pooling import pool_forward, pool_input_gradient
from .types import Array


class GoldenStep:
    """Trains ``model`` step by step, every value held in ``dtype`` (float64 or float32).

    After a step, or a `forward` and a `backward`, ``activations[i]`` is the input of layer i and ``activations[-1]``
    the logits; ``activation_gradients`` holds the gradients of the loss by these, at the same indices. ``state`` is the
    optimizer's momentum buffer by parameter name: empty before the first step, and always without momentum.
    The loss is computed in float64; its gradient by the logits is rounded to ``dtype``.

    Raises TypeError for another dtype, and GraphError if the model does not end in a feature vector, if it has layers
    that can be planned but not trained, or if ``parameters`` are not the model's. ``parameters`` are copied.
    """

    activations: list[Array]
    activation_gradients: list[Array]
    state: dict[str, Array]

    def __init__(
        self,
        model: Sequential,
        loss: CrossEntropyLoss,
        optimizer: SGD,
        parameters: Mapping[str, Array],
        dtype: Any = np.float64,
    ) -> None:
        check_kind("loss", loss, CrossEntropyLoss, "an eftrain_hdl.CrossEntropyLoss()")
        check_kind("optimizer", optimizer, SGD, "an eftrain_hdl.SGD(lr=...)")
        if not isinstance(dtype, (type, np.dtype, str)) or dtype not in (np.float64, np.float32):
            raise TypeError(f"dtype={shown(dtype)}: expected numpy.float64 or numpy.float32")
        loss.classes(model)
        check_trainable(model)
        check_parameters(model, parameters)
        self.model = model
        self.optimizer = optimizer
        self.dtype = np.dtype(dtype)
        self.activations = []
        self.activation_gradients = []
        self.state = {}
        self._parameters = {name: np.array(parameters[name], self.dtype) for name in model.parameter_shapes()}
        self._gradients: dict[str, Array] = {}

    def parameters(self) -> dict[str, Array]:
        """Copies of the present parameters by name."""
        return {name: value.copy() for name, value in self._parameters.items()}

    def gradients(self) -> dict[str, Array]:
        """Copies of the latest gradients by parameter name, without weight decay; empty before the first `backward`."""
        return {name: value.copy() for name, value in self._gradients.items()}

    def forward(self, x: Array) -> Array:
        """Logits (batch, classes) of ``x`` (batch, *input_shape). Raises ValueError for another shape."""
        x = np.asarray(x)
        if x.shape[1:] != self.model.input_shape or x.shape[0] == 0:
            raise ValueError(f"x has shape {x.shape}: expected (batch, *{self.model.input_shape}), batch at least 1")
        self.activations = [x.astype(self.dtype)]
        for node in self.model:
            self.activations.append(self._forward(node, self.activations[-1]))
        return self.activations[-1]

    def backward(self, dlogits: Array) -> None:
        """Gradients of everything from those of the latest `forward`'s logits."""
        self._gradients = {}
        gradients = [np.asarray(dlogits, self.dtype)]
        for node in reversed(self.model.nodes):
            gradients.append(self._backward(node, gradients[-1]))
        self.activation_gradients = gradients[::-1]

    def update(self) -> None:
        """One optimizer step with the latest gradients: torch.optim.SGD's order of operations."""
        for name, gradient in self._gradients.items():
            change = gradient + self.optimizer.weight_decay * self._parameters[name]
            if self.optimizer.momentum:
                if name in self.state:
                    change = self.optimizer.momentum * self.state[name] + change
                self.state[name] = change
            self._parameters[name] = self._parameters[name] - self.optimizer.lr * change

    def step(self, x: Array, y: Array) -> float:
        """Train on ``x`` (batch, *input_shape) with labels ``y`` (batch,); returns the loss before the update."""
        loss, dlogits = cross_entropy(self.forward(x), y)
        self.backward(dlogits)
        self.update()
        return loss

    def _forward(self, node: Node, x: Array) -> Array:
        match node.layer:
            case Conv2d() as layer:
                return conv_forward(layer, x, self._weight(node), self._bias(node))
            case Linear():
                bias = self._bias(node)
                y = x @ self._weight(node).T
                return y if bias is None else y + bias
            case ReLU():
                return np.maximum(x, 0)
            case MaxPool2d() as layer:
                return pool_forward(layer, x)
            case Flatten():
                return x.reshape(len(x), -1)
            case _:
                raise NotImplementedError(f"{node}: the golden step does not know this layer")

    def _backward(self, node: Node, dy: Array) -> Array:
        """Gradient by the node's input from that by its output; keeps the gradients of its parameters."""
        x = self.activations[node.index]
        match node.layer:
            case Conv2d() as layer:
                self._keep(node, conv_weight_gradient(layer, x, dy), dy.sum(axis=(0, 2, 3)))
                return conv_input_gradient(layer, x, self._weight(node), dy)
            case Linear():
                self._keep(node, dy.T @ x, dy.sum(axis=0))
                return dy @ self._weight(node)
            case ReLU():
                return np.where(x <= 0, 0, dy)  # a NaN input lets the gradient pass, as in PyTorch
            case MaxPool2d() as layer:
                return pool_input_gradient(layer, x, dy)
            case Flatten():
                return dy.reshape(x.shape)
            case _:
                raise NotImplementedError(f"{node}: the golden step does not know this layer")

    def _weight(self, node: Node) -> Array:
        return self._parameters[f"{node.name}.weight"]

    def _bias(self, node: Node) -> Array | None:
        return self._parameters.get(f"{node.name}.bias")

    def _keep(self, node: Node, weight: Array, bias: Array) -> None:
        self._gradients[f"{node.name}.weight"] = weight
        if f"{node.name}.bias" in self._parameters:
            self._gradients[f"{node.name}.bias"] = bias
