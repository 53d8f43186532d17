"""A verilated accelerator that records what its units do."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import Unit

from .model import FUNCTIONS, HANDLE, Function, VerilatedModel

__all__ = ["Changes", "RecordingModel"]

_PROBE = (HANDLE, ctypes.c_uint32)


@dataclass(frozen=True)
class Changes:
    """A word over time: from ``cycles[k]`` on (absolute, as :attr:`VerilatedModel.cycles`) it was ``words[k]``."""

    cycles: NDArray[np.uint64]
    words: NDArray[np.uint32]


class RecordingModel(VerilatedModel):
    """A :class:`VerilatedModel` of a design with probes (``rtl/probes.py``); the library was built with ``probed``.

    Only changes are kept, 12 bytes each.
    """

    _functions: ClassVar[tuple[Function, ...]] = (
        *FUNCTIONS,
        Function("eft_record_start", None, (HANDLE,)),
        Function("eft_record_stop", None, (HANDLE,)),
        Function("eft_record_size", ctypes.c_uint64, _PROBE),
        Function("eft_record_cycles", ctypes.POINTER(ctypes.c_uint64), _PROBE),
        Function("eft_record_words", ctypes.POINTER(ctypes.c_uint32), _PROBE),
    )

    def start_recording(self) -> None:
        """Forget what was recorded, and record from the next cycle on."""
        self._library.eft_record_start(self._open)

    def stop_recording(self) -> dict[Unit, Changes]:
        """Record no more; returns the word of each unit since the start, none if no cycle has passed."""
        self._library.eft_record_stop(self._open)
        return {unit: self._changes(unit) for unit in Unit}

    def _changes(self, unit: Unit) -> Changes:
        size = self._library.eft_record_size(self._open, unit)
        if size == 0:
            return Changes(np.empty(0, np.uint64), np.empty(0, np.uint32))
        cycles = self._library.eft_record_cycles(self._open, unit)
        words = self._library.eft_record_words(self._open, unit)
        return Changes(
            np.ctypeslib.as_array(cycles, (size,)).copy(), np.ctypeslib.as_array(words, (size,)).copy()
        )
