"""The compute unit and its parts."""

from .banked_buffer import BankedBuffer
from .mac_array import MacArray
from .unit import ComputeUnit

__all__ = ["BankedBuffer", "ComputeUnit", "MacArray"]
