"""Floating-point units, fully pipelined, without handshake."""

from .add import FloatAdd
from .dot import DecodedDot, FusedDot
from .multiply import FloatMul
from .operand import OperandDecoder, decoded_layout
from .round_to_format import RoundToFormat

__all__ = ["DecodedDot", "FloatAdd", "FloatMul", "FusedDot", "OperandDecoder", "RoundToFormat", "decoded_layout"]
