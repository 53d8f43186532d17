"""What flows through a graph, and where a node comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Direction = Literal["FP", "BP", "WU"]
"""Forward, gradients of activations, and gradients of parameters with their update."""


class Role(Enum):
    """What a value is to those who run a graph."""

    INPUT = "what the host writes for each step: a batch, or the gradient of an output"
    PARAMETER = "what is trained, or frozen; also its new value, which an update puts in its place"
    STATE = "what an optimizer or a layer keeps from step to step, such as momentum; also its new value"
    ACTIVATION = "what a forward node makes"
    GRADIENT = "the gradient of another value, or a step on the way to it"
    INDEX = "integers that say where something came from; only operations that declare it read them"


@dataclass(frozen=True)
class Value:
    """An array with a name, unique in its graph.

    ``shape`` leaves the batch out: the arrays of a ``batched`` value have it as one more axis in front. Parameters and
    states, and what belongs to them, have one array for all samples and are not batched.
    """

    name: str
    shape: Shape
    role: Role
    batched: bool = True

    @property
    def size(self) -> str:
        """The shape with the batch in its place, as text."""
        sizes = [*(["batch"] if self.batched else []), *map(str, self.shape)]
        return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"

    def __str__(self) -> str:
        return f"{self.name} {self.role.name} {self.size}"


@dataclass(frozen=True)
class Origin:
    """Whose work a node is: what tables and errors call it.

    ``layer`` is such as ``layer 2 (MaxPool2d)``; a node made by differentiation or for the optimizer has that of the
    forward node that it belongs to.
    """

    layer: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.layer}, {self.direction}"
