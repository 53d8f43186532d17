"""Layouts and signatures that several units share."""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, FORMATS, Opcode

__all__ = ["BufferWrite", "DrainRead", "UnitControl", "instruction_layout", "beat_layout"]


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Struct of the fields of an instruction, in the order and with the names of the isa module, but without those that
    say what it waits for.
    """

    def shape(bits: int, is_signed: bool) -> Shape:
        return signed(bits) if is_signed else unsigned(bits)

    fields = (field for field in FORMATS[opcode].fields if field.name not in AFTER.values())
    return data.StructLayout({field.name: shape(field.bits, field.signed) for field in fields})


def beat_layout(config: Config) -> data.ArrayLayout:
    """The 32-bit words of one beat, lowest address first."""
    return data.ArrayLayout(unsigned(32), config.vector_lanes)


class UnitControl(wiring.Signature):
    """How an execution unit meets the command processor, seen from the unit.

    Parameters
    ----------
    opcode : Opcode
        The instruction that the unit executes.

    Members
    -------
    instruction : In(stream)
        Next instruction; what it waits for is complete when it becomes valid.
    posted : Out(1)
        High for one cycle when an instruction is complete.
    busy : Out(1)
        An instruction is being executed, or its data are still under way.
    error : Out(1)
        High for one cycle when the unit meets an error; it must then stop by itself.
    error_code : Out(8), error_address : Out(64)
        Valid with ``error``: an :class:`~eftrain_hdl.registers.ErrorCode`, and a DRAM or on-chip address.
    halt : In(1)
        Start nothing new and discard what is under way; held until reset.
    """

    def __init__(self, opcode: Opcode):
        super().__init__(
            {
                "instruction": In(stream.Signature(instruction_layout(opcode))),
                "posted": Out(1),
                "busy": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "error_address": Out(64),
                "halt": In(1),
            }
        )


class BufferWrite(wiring.Signature):
    """Write port of the on-chip memories, seen from the writer (the load unit); always taken.

    Members
    -------
    en : Out(1)
        A beat is written.
    target : Out(4)
        :class:`~eftrain_hdl.isa.Target`.
    planar : Out(1)
        ``address`` counts elements.
    address : Out(24)
        Vector, element or beat address, already checked against the depth of the target.
    lane : Out(7)
        Vector addresses only: lane of the beat's first word.
    data : Out(beat)
        FP32 words.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "en": Out(1),
                "target": Out(4),
                "planar": Out(1),
                "address": Out(24),
                "lane": Out(7),
                "data": Out(beat_layout(config)),
            }
        )


class DrainRead(wiring.Signature):
    """Read port of the accumulators, seen from the reader (the vector unit).

    A read is issued in a cycle with ``en`` high; ``data`` follows exactly :attr:`LATENCY` cycles later. The reader must
    not raise ``en`` for a bank whose bit in ``bank_busy`` was set in the cycle before.

    Members
    -------
    en : Out(1)
    bank : Out(log2 of the banks)
    address : Out(16)
        Accumulator word, checked by the reader against ``accumulator_depth``.
    group : Out(8)
        Rows ``group * vector_lanes`` and up.
    data : In(beat)
    bank_busy : In(banks)
        The array is adding into this bank.
    """

    LATENCY = 5

    def __init__(self, config: Config):
        super().__init__(
            {
                "en": Out(1),
                "bank": Out(range(config.accumulator_banks)),
                "address": Out(16),
                "group": Out(8),
                "data": In(beat_layout(config)),
                "bank_busy": In(config.accumulator_banks),
            }
        )
