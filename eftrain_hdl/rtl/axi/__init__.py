"""AXI4 managers, arbiters and the AXI4-Lite register bank."""

from .arbiter import ReadArbiter, WriteArbiter
from .burst_generator import BurstGenerator
from .descriptor import BeatLayout, BurstLayout, TransferLayout
from .lite import RegisterBank
from .read_dma import ReadDma
from .signature import (
    AXI4LiteSignature,
    AXI4ReadSignature,
    AXI4Signature,
    AXI4WriteSignature,
    Response,
    connect_read,
    connect_write,
)
from .write_dma import WriteDma

__all__ = [
    "AXI4LiteSignature",
    "AXI4ReadSignature",
    "AXI4Signature",
    "AXI4WriteSignature",
    "BeatLayout",
    "BurstGenerator",
    "BurstLayout",
    "ReadArbiter",
    "ReadDma",
    "RegisterBank",
    "Response",
    "TransferLayout",
    "WriteArbiter",
    "WriteDma",
    "connect_read",
    "connect_write",
]
