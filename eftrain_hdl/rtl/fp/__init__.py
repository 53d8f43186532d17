"""Floating-point units, fully pipelined, without handshake."""

from .add import FloatAdd
from .dot import DecodedDot, FusedDot
from .multiply import FloatMul
from .operand import OperandDecoder, decoded_layout

__all__ = ["DecodedDot", "FloatAdd", "FloatMul", "FusedDot", "OperandDecoder", "decoded_layout"]
