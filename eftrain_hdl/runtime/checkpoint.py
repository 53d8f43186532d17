"""What a training is made of between two steps, and its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.data import Position
from eftrain_hdl.files import FileError, read_arrays, write_arrays
from eftrain_hdl.graph import SGD, GraphError, Sequential, initial_parameters

from .arguments import finite_parameters
from .errors import Diverged

__all__ = ["TrainingState", "initial_state", "read_state", "write_state", "zeros"]

Parameters = dict[str, NDArray[np.float32]]

_VELOCITY, _POSITION = "velocity/", "position/"


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next step depends on, besides model, optimizer and data.

    Attributes
    ----------
    parameters : float32 arrays by name
    velocity : float32 arrays by the same names
        The optimizer's momentum buffers; zeros before the first step, and without momentum.
    position : Position
        Where the training is in its data.
    """

    parameters: Parameters
    velocity: Parameters
    position: Position

    @property
    def has_velocity(self) -> bool:
        """Whether any momentum has gathered."""
        return any(array.any() for array in self.velocity.values())


def zeros(model: Sequential) -> Parameters:
    """Momentum buffers before the first step."""
    return {name: np.zeros(shape, np.float32) for name, shape in model.parameter_shapes().items()}


def initial_state(model: Sequential, seed: int) -> TrainingState:
    """A training that has not begun."""
    return TrainingState(initial_parameters(model, seed), zeros(model), Position(seed))


def write_state(path: str | os.PathLike[str], model: Sequential, state: TrainingState) -> None:
    """Write a state to an .npz file; the file that was there stays until the new one is whole.

    Raises Diverged, and leaves the file alone, if a value is not finite: `read_state` would refuse it.
    """
    try:
        arrays: dict[str, NDArray[Any]] = dict(finite_parameters(model, state.parameters))
        if state.has_velocity:
            velocity = finite_parameters(model, state.velocity, _VELOCITY)
            arrays |= {_VELOCITY + name: array for name, array in velocity.items()}
    except ValueError as error:
        raise Diverged(f"{path} is left as it was: the training has diverged, {error}") from None
    arrays |= {_POSITION + name: np.array(value, np.uint64) for name, value in asdict(state.position).items()}
    write_arrays(path, arrays)


def read_state(path: str | os.PathLike[str], model: Sequential, seed: int, optimizer: SGD) -> TrainingState:
    """Read what `write_state` wrote.

    A file of parameters alone is a training at its beginning: no momentum, and the order of ``seed`` from its start.
    Raises OSError if there is no such file, FileError or GraphError, with the file's name, if it does not fit: momentum
    that has gathered does not fit an optimizer without.
    """
    arrays = read_arrays(path)
    velocity, position = _taken(arrays, _VELOCITY), _taken(arrays, _POSITION)
    try:
        state = TrainingState(
            finite_parameters(model, arrays),
            finite_parameters(model, velocity, _VELOCITY) if velocity else zeros(model),
            _position(position) if position else Position(seed),
        )
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: {error}") from None
    if state.has_velocity and not optimizer.momentum:
        raise FileError(
            f"{path}: has momentum buffers, and this optimizer has no momentum: train with SGD(lr, momentum=...), or "
            "give the file's parameters alone to load_parameters"
        )
    return state


def _taken(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Remove the arrays whose names start with ``prefix``; returns them without it."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}


def _position(arrays: Mapping[str, NDArray[Any]]) -> Position:
    expected = [one.name for one in fields(Position)]
    if sorted(arrays) != sorted(expected):
        raise ValueError(f"{_POSITION} has {', '.join(sorted(arrays))}: expected {', '.join(expected)}")
    for name, array in arrays.items():
        if array.shape or array.dtype.kind not in "iu":
            raise ValueError(f"{_POSITION}{name} has dtype {array.dtype} and shape {array.shape}: expected an integer")
    return Position(**{name: int(array) for name, array in arrays.items()})
