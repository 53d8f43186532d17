"""What an operation is: attributes, a rule for shapes, a meaning in NumPy, a rule for gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from .errors import GraphError, need
from .values import Array, Role, Shape, Value

if TYPE_CHECKING:
    from .builder import GraphBuilder
    from .graph import Node


@dataclass(frozen=True)
class Result:
    """What an operation says about one of its outputs; ``role`` is set where it is always the same."""

    shape: Shape
    batched: bool = True
    role: Role | None = None


class Operation(ABC):
    """Base of all operations, each a frozen dataclass of its attributes in a file of its own.

    ``operands`` names the inputs, ``index_operands`` those of them that are of role INDEX: nobody else reads such
    values. The first output is the result, further ones are by-products such as an INDEX. An operation knows nothing of
    layers, devices, layouts, or of who else reads what it reads.
    """

    operands: ClassVar[tuple[str, ...]]
    index_operands: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        """What the outputs are for ``inputs``, which are as many as ``operands``; GraphError with the broken rule."""

    @abstractmethod
    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        """The outputs' arrays, in the floating type of the inputs. ``scalars`` is the table of scalars."""

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        """Add nodes to ``builder`` for the gradient of input ``position`` of ``node``; returns that gradient.

        ``dy`` is the gradient of the first output; none flows through others. The rule has to care for this one input
        only: who else reads it, and what is frozen, is the business of `differentiate`.
        """
        raise GraphError("has no gradient rule, but something that is trained lies behind it")

    def check(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        """`results` after the rules that all operations share; GraphError with the broken rule."""
        need(len(inputs) == len(self.operands), f"reads {', '.join(self.operands)}, but {len(inputs)} values are given")
        for operand, value in zip(self.operands, inputs, strict=True):
            if operand in self.index_operands:
                need(value.role is Role.INDEX, f"{operand} has to be an INDEX, but {value.name} is {value.role.name}")
            else:
                need(value.role is not Role.INDEX, f"{operand} cannot be an INDEX, which {value.name} is")
        return self.results(inputs)

    def __str__(self) -> str:
        """``Convolution[kernel=(3, 3), stride=(1, 1), padding=(1, 1)]``, ``Rectify``."""
        attributes = ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}[{attributes}]" if attributes else type(self).__name__
