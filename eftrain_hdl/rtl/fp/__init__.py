"""Floating-point units, fully pipelined, without handshake."""

from .dot import DecodedDot, FusedDot
from .multiply import FloatMul
from .operand import OperandDecoder, decoded_layout

__all__ = ["DecodedDot", "FloatMul", "FusedDot", "OperandDecoder", "decoded_layout"]
