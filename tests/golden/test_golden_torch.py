"""The golden step against PyTorch's autograd and optimizer in float64, to 1e-12 relative."""

from typing import Any

import numpy as np
import pytest

from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import (
    SGD,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Shape,
    initial_parameters,
)
from eftrain_hdl.zoo import models

torch = pytest.importorskip("torch")
TOLERANCE = 1e-12


def torch_layer(layer: Layer) -> Any:
    match layer:
        case Conv2d():
            return torch.nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=layer.bias
            )
        case Linear():
            return torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias)
        case MaxPool2d():
            return torch.nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
        case ReLU():
            return torch.nn.ReLU()
        case Flatten():
            return torch.nn.Flatten()
        case _:
            raise TypeError(layer)


def difference(ours: Any, theirs: Any) -> float:
    """Largest difference relative to the largest value."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-300))


def pair_up(layers: tuple[Layer, ...], input_shape: Shape, optimizer: SGD) -> tuple[GoldenStep, Any]:
    """The same network with the same parameters here and there."""
    model = Sequential(*layers, input_shape=input_shape)
    parameters = initial_parameters(model, seed=7)
    reference = torch.nn.Sequential(*(torch_layer(layer) for layer in layers)).double()
    reference.load_state_dict({name: torch.tensor(value).double() for name, value in parameters.items()})
    assert list(dict(reference.named_parameters())) == list(model.parameter_shapes())
    return GoldenStep(model, CrossEntropyLoss(), optimizer, parameters), reference


def within_tolerance(differences: dict[str, float]) -> float:
    worst = max(differences, key=lambda name: differences[name])
    assert differences[worst] <= TOLERANCE, (worst, differences[worst])
    return differences[worst]


def check_layers(layers: tuple[Layer, ...], input_shape: Shape, batch: int) -> float:
    """Forward and backward from a random output gradient; returns the largest relative difference.

    The gradient is not that of the loss because that one sums to zero: the bias gradient of a single output channel
    would be nothing but rounding errors.
    """
    golden, reference = pair_up(layers, input_shape, SGD(0.1))
    generator = np.random.default_rng(8)
    x = generator.normal(size=(batch, *input_shape))
    x_torch = torch.tensor(x, requires_grad=True)
    logits, logits_torch = golden.forward(x), reference(x_torch)
    dlogits = generator.uniform(0.5, 1.5, size=logits.shape) * generator.choice([-1.0, 1.0, 1.0], logits.shape)
    golden.backward(dlogits)
    logits_torch.backward(torch.tensor(dlogits))
    gradients = golden.gradients()
    return within_tolerance(
        {
            "output": difference(logits, logits_torch),
            "input gradient": difference(golden.activation_gradients[0], x_torch.grad),
            **{name: difference(gradients[name], value.grad) for name, value in reference.named_parameters()},
        }
    )


def check_training(layers: tuple[Layer, ...], input_shape: Shape, batch: int, steps: int, optimizer: SGD) -> float:
    """Train both side by side; returns the largest relative difference of any step."""
    golden, reference = pair_up(layers, input_shape, optimizer)
    sgd = torch.optim.SGD(reference.parameters(), optimizer.lr, optimizer.momentum, weight_decay=optimizer.weight_decay)
    generator = np.random.default_rng(9)
    differences: dict[str, float] = {}
    for index in range(steps):
        x = generator.normal(size=(batch, *input_shape))
        y = generator.integers(0, golden.model.output_shape[0], batch)
        loss = golden.step(x, y)

        x_torch = torch.tensor(x, requires_grad=True)
        reference.zero_grad()
        logits = reference(x_torch)
        loss_torch = torch.nn.functional.cross_entropy(logits, torch.tensor(y))
        loss_torch.backward()
        sgd.step()

        differences[f"step {index}: loss"] = difference(np.array(loss), loss_torch)
        differences[f"step {index}: logits"] = difference(golden.activations[-1], logits)
        differences[f"step {index}: input gradient"] = difference(golden.activation_gradients[0], x_torch.grad)
        gradients, values = golden.gradients(), golden.parameters()
        for name, parameter in reference.named_parameters():
            differences[f"step {index}: gradient of {name}"] = difference(gradients[name], parameter.grad)
            differences[f"step {index}: {name}"] = difference(values[name], parameter)
            if optimizer.momentum:
                buffer = sgd.state[parameter]["momentum_buffer"]
                differences[f"step {index}: momentum of {name}"] = difference(golden.state[name], buffer)
    return within_tolerance(differences)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7, 11])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_convolutions(kernel: int, stride: int) -> None:
    generator = np.random.default_rng([kernel, stride])
    for padding in range(kernel):
        smallest = max(1, kernel - 2 * padding)
        height, width = (int(size) for size in generator.integers(smallest, smallest + 8, 2))
        channels, filters, batch = (int(size) for size in generator.integers(1, 5, 3))
        layers = (Conv2d(channels, filters, kernel, stride, padding, bias=padding % 2 == 0), Flatten())
        check_layers(layers, (channels, height, width), batch)


@pytest.mark.parametrize(
    ("layer", "input_shape"),
    [
        (Conv2d(3, 5, (3, 1), stride=(2, 1), padding=(2, 0)), (3, 9, 7)),
        (Conv2d(1, 2, (1, 7), stride=(3, 4), padding=(0, 6)), (1, 5, 2)),
        (Conv2d(2, 3, (5, 2), stride=(1, 3), padding=(1, 1), bias=False), (2, 4, 11)),
    ],
)
def test_kernels_that_are_not_square(layer: Conv2d, input_shape: Shape) -> None:
    check_layers((layer, Flatten()), input_shape, 1)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_pools(kernel: int, stride: int, ties: bool) -> None:
    """``ties``: a ReLU in front makes whole windows of zeros."""
    for padding in range(kernel // 2 + 1):
        input_shape = (3, kernel + 4, kernel + 7)
        layers = (MaxPool2d(kernel, stride, padding), Flatten())
        check_layers((ReLU(), *layers) if ties else layers, input_shape, 2)


def test_ties_without_a_relu_behind_them() -> None:
    """Equal inputs everywhere: the gradient itself shows which of them was chosen."""
    for layer in (MaxPool2d(2), MaxPool2d(3, 2, 1), MaxPool2d(3, 1), MaxPool2d((4, 2), (1, 2), (2, 0))):
        for value in (0.0, 1.0, -np.inf):
            model = Sequential(layer, Flatten(), input_shape=(1, 6, 8))
            golden = GoldenStep(model, CrossEntropyLoss(), SGD(0.1), {})
            x = np.full((1, 1, 6, 8), value)
            logits = golden.forward(x)
            dlogits = np.arange(1.0, logits.size + 1)[None]
            golden.backward(dlogits)
            x_torch = torch.tensor(x, requires_grad=True)
            torch_layer(layer)(x_torch).flatten(1).backward(torch.tensor(dlogits))
            np.testing.assert_array_equal(golden.activation_gradients[0], x_torch.grad.numpy())


NETWORK = (
    Conv2d(2, 6, 5, stride=2, padding=4),
    ReLU(),
    MaxPool2d(3, stride=2, padding=1),
    Conv2d(6, 8, 3, padding=1, bias=False),
    ReLU(),
    Conv2d(8, 4, 2, stride=3, padding=1),
    MaxPool2d(2, stride=1),
    ReLU(),
    Flatten(),
    Linear(4, 9),
    ReLU(),
    Linear(9, 5),
)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1), SGD(0.1, weight_decay=0.05), SGD(0.1, momentum=0.9), SGD(0.05, momentum=0.9, weight_decay=0.01)],
)
def test_five_steps(batch: int, optimizer: SGD) -> None:
    check_training(NETWORK, (2, 13, 15), batch, 5, optimizer)


@pytest.mark.parametrize("name", ["shallow", "lenet"])
def test_five_steps_of_the_zoo(name: str) -> None:
    model = models[name]((1, 8, 8), 10)
    check_training(model.layers, model.input_shape, 16, 5, SGD(0.05, momentum=0.9, weight_decay=5e-4))


@pytest.mark.full
def test_five_steps_of_1x() -> None:
    model = models["1x"]((3, 32, 32), 10)
    check_training(model.layers, model.input_shape, 16, 5, SGD(0.05, momentum=0.9, weight_decay=5e-4))
