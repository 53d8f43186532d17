"""Bit-exact NumPy emulator of the accelerator."""

from .device import EmulatorDevice

__all__ = ["EmulatorDevice"]
