"""Layouts of what a DMA is asked to do: an N-dimensional transfer, and one AXI burst of it."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

__all__ = ["BeatLayout", "BurstLayout", "TransferLayout"]


class TransferLayout(data.StructLayout):
    """Up to ``count1 * count2 * count3`` contiguous runs of equal length.

    Run ``(i1, i2, i3)`` starts at byte ``address + i1*stride1 + i2*stride2 + i3*stride3`` (modulo the address space);
    data pass in the order of ``for i3: for i2: for i1: run``.

    Members
    -------
    address : byte address of the first run
    run : length of a run in beats of the bus, 1 to 2**24 - 1
    count1, count2, count3 : repetitions, 1 to 65535; level 1 is the innermost
    stride1, stride2, stride3 : signed, bytes from the start of one run to the start of the next at that level

    Address and strides must be multiples of the beat, run and counts at least 1: anything else is reported as an
    error by the DMA that receives it.
    """

    def __init__(self, address_width: int = 40) -> None:
        super().__init__(
            {
                "address": unsigned(address_width),
                "run": unsigned(24),
                "count1": unsigned(16),
                "count2": unsigned(16),
                "count3": unsigned(16),
                "stride1": signed(32),
                "stride2": signed(32),
                "stride3": signed(32),
            }
        )


class BurstLayout(data.StructLayout):
    """One AXI burst.

    Members
    -------
    address : byte address of the first beat
    beats : number of beats, 1 to 256
    last : set on the last burst of a transfer
    """

    def __init__(self, address_width: int = 40) -> None:
        super().__init__({"address": unsigned(address_width), "beats": unsigned(9), "last": unsigned(1)})


class BeatLayout(data.StructLayout):
    """One beat of read data; ``last`` is set on the last beat of a transfer (not of a burst)."""

    def __init__(self, data_width: int) -> None:
        super().__init__({"data": unsigned(data_width), "last": unsigned(1)})
