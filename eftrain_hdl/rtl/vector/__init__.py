"""The vector unit and its parts."""

from .unit import VectorUnit

__all__ = ["VectorUnit"]
