"""What the emulated machine holds, and how it stops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.numerics import Flags
from eftrain_hdl.registers import ErrorCode

__all__ = ["MOST_WORK", "Endless", "Fault", "State", "check_bank", "wrap"]

MOST_WORK = 1 << 23
"""Items, blocks or elements of one instruction that the emulator executes."""


class Fault(Exception):
    """An error inside a unit; the device adds unit and instruction."""

    def __init__(self, code: ErrorCode, detail: str, address: int = 0):
        self.code = code
        self.detail = detail
        self.address = address
        super().__init__(detail)


class Endless(Exception):
    """An instruction with more work than anyone would wait for, and nothing wrong in the first part of it."""

    def __init__(self, work: int, what: str):
        super().__init__(f"an instruction of {work} {what}, more than the {MOST_WORK} that the emulator executes")


def wrap(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Wrap to signed numbers of ``bits`` bits, as every on-chip quantity does."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def check_bank(config: Config, bank: int) -> None:
    """Refuse an accumulator bank that does not exist."""
    if bank >= config.accumulator_banks:
        raise Fault(ErrorCode.BAD_FIELD, f"bank {bank} does not exist; there are {config.accumulator_banks}")


class State:
    """Memories, queues and registers.

    Attributes
    ----------
    dram : uint8 ``[bytes]``; byte 0 is ``window_base``.
    streaming, stationary : float32, flat: place ``row * lanes + bank``, so planar element e is at e, and lane l of the
        vector at v at ``v * lanes + (l + v) % lanes``. Behind the last place follow one with 0.0 and one with 1.0.
    accumulators : float32 ``[accumulator_banks, accumulator_depth, rows]``
    operands : uint32 ``[3, operand_depth, vector_lanes]``
    queues : for STORE_0 and STORE_1, arrays uint32 ``[beats, vector_lanes]``, oldest first
    latest_words : bank and accumulator words of the latest block, in order
    scalars : float32 ``learning_rate``, ``weight_decay``, ``momentum``
    """

    def __init__(self, config: Config, memory_bytes: int, window_base: int):
        self.config = config
        self.window_base = window_base
        self.dram = np.zeros(memory_bytes, np.uint8)
        self.streaming = np.zeros(config.streaming_depth * config.lanes + 2, np.float32)
        self.stationary = np.zeros(config.stationary_depth * config.lanes + 2, np.float32)
        for memory in (self.streaming, self.stationary):
            memory[-1] = 1.0
        self.accumulators = np.zeros((config.accumulator_banks, config.accumulator_depth, config.rows), np.float32)
        self.operands = np.zeros((3, config.operand_depth, config.vector_lanes), np.uint32)
        self.queues: tuple[list[NDArray[np.uint32]], list[NDArray[np.uint32]]] = ([], [])
        self.scalars = np.zeros(3, np.float32)
        self.forget_words()
        self.flags = Flags()
        self.counters: dict[str, int] = {}

    def forget_words(self) -> None:
        """Every sum is complete."""
        self.latest_words: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def count(self, name: str, amount: int) -> None:
        """Add to a counter."""
        self.counters[name] = self.counters.get(name, 0) + amount
