"""Accelerators on boards: one driver, with PYNQ or with UIO and u-dma-buf below it."""

from .device import BoardDevice, Buffer, Registers
from .pynq import PynqDevice
from .uio import UioDevice

__all__ = ["BoardDevice", "Buffer", "PynqDevice", "Registers", "UioDevice"]
