"""Golden training steps in plain NumPy, written for reading, independent of the compiler and of every device."""

from .step import GoldenStep

__all__ = ["GoldenStep"]
