"""Optimizers as descriptions: hyperparameters only."""

from dataclasses import dataclass

from .checks import single


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent as torch.optim.SGD does it, without dampening and Nesterov.

    g = gradient + weight_decay * w;  buffer = momentum * buffer + g (g itself at the first step);  w -= lr * buffer.
    Raises TypeError unless the three are numbers, GraphError unless they are finite, not negative, and in the range of
    FP32: the accelerator computes in nothing else.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            object.__setattr__(self, name, single("SGD", name, getattr(self, name)))
