"""Puts resets and enables with very many readers on the global network of an ECP5."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["promote_controls"]

_CONTROLS = frozenset({"LSR", "CE"})
_MANY_READERS = 500
# A column of the part takes eight global signals to its resets and enables; the clock may be one of them.
_MOST_SIGNALS = 7


def promote_controls(module: dict[str, Any]) -> list[str]:
    """Drive the resets and enables of flip-flops through a buffer of the global network.

    nextpnr does so for clocks alone, and takes every other signal to each of its readers through the fabric. Other
    readers of the signal stay where they are.

    Parameters
    ----------
    module
        The top module of a netlist as ``synth_ecp5`` maps it and ``write_json`` writes it; changed in place.

    Returns the names of the signals that went, most readers first.
    """
    cells, signals = module["cells"], module["netnames"]
    readers = Counter(
        bit for cell in cells.values() if cell["type"] == "TRELLIS_FF" for pin in _CONTROLS & cell["connections"].keys()
        for bit in cell["connections"][pin] if isinstance(bit, int)
    )  # fmt: skip
    promoted = [bit for bit, count in readers.most_common(_MOST_SIGNALS) if count >= _MANY_READERS]
    free = 1 + max((bit for signal in signals.values() for bit in signal["bits"] if isinstance(bit, int)), default=0)
    buffered = {bit: free + index for index, bit in enumerate(promoted)}
    for cell in cells.values():
        if cell["type"] == "TRELLIS_FF":
            for pin in _CONTROLS & cell["connections"].keys():
                cell["connections"][pin] = [buffered.get(bit, bit) for bit in cell["connections"][pin]]
    names = {bit: _name(signals, bit) for bit in promoted}
    for bit, output in buffered.items():
        name = f"{names[bit]}$global"
        cells[name] = {
            "type": "DCCA",
            "parameters": {},
            "attributes": {},
            "port_directions": {"CLKI": "input", "CLKO": "output"},
            "connections": {"CLKI": [bit], "CLKO": [output]},
        }
        signals[name] = {"hide_name": 0, "bits": [output], "attributes": {}}
    return list(names.values())


def _name(signals: dict[str, Any], bit: int) -> str:
    """The shortest name of a signal, which is the outermost."""
    names = [
        name if len(signal["bits"]) == 1 else f"{name}[{signal['bits'].index(bit)}]"
        for name, signal in signals.items() if bit in signal["bits"]
    ]  # fmt: skip
    return min(names, key=lambda name: (len(name), name))
