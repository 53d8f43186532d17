"""Optimizers as descriptions: hyperparameters, and the operations of a step."""

from dataclasses import dataclass

from eftrain_hdl.ir import GraphBuilder, Role, ScaledAdd, Value

from .checks import single

_RATE, _DECAY, _MOMENTUM = range(3)


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

    @property
    def scalars(self) -> tuple[float, ...]:
        """The table of scalars that the operations of `update` refer to."""
        return self.lr, self.weight_decay, self.momentum

    def update(self, builder: GraphBuilder, parameter: Value, gradient: Value) -> None:
        """Add the operations of one parameter's step to ``builder``, in the order in which the accelerator rounds.

        Weight decay is applied also when it is 0. Momentum takes a state, and without it there is none.
        """
        change = builder.add(ScaledAdd(_DECAY), gradient, parameter, name="decayed")
        if self.momentum:
            velocity = builder.state("velocity", parameter.shape)
            change = builder.add(ScaledAdd(_MOMENTUM), change, velocity, name="velocity.new", role=Role.STATE)
            builder.update(velocity, change)
        new = builder.add(ScaledAdd(_RATE, negative=True), parameter, change, name="new", role=Role.PARAMETER)
        builder.update(parameter, new)
