"""One operand memory of the vector unit."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Target
from eftrain_hdl.rtl.layouts import BufferWrite, beat_layout

__all__ = ["OperandMemory"]


class OperandMemory(wiring.Component):
    """``operand_depth`` beats; a write port on the load unit's bus and a read port.

    A beat read in the cycle in which it is written, or earlier, may be old or new.

    Parameters
    ----------
    config : Config
        Depth and width.
    target : Target
        Which writes are for this memory: OPERAND_A, OPERAND_B or OPERAND_C.

    Members
    -------
    write : In(BufferWrite)
        Only ``en``, ``target``, ``address`` (beats, already checked) and ``data`` are looked at.
    address : In(16)
        Beat to read, modulo the depth.
    o : Out(beat)
        Its words, :attr:`LATENCY` cycles later.
    """

    LATENCY = 2

    def __init__(self, config: Config, target: Target):
        if target not in (Target.OPERAND_A, Target.OPERAND_B, Target.OPERAND_C):
            raise ValueError(f"target must be an operand memory, not {target!r}")
        self._config = config
        self._target = target
        super().__init__({"write": In(BufferWrite(config)), "address": In(16), "o": Out(beat_layout(config))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        depth = self._config.operand_depth
        m.submodules.words = words = memory.Memory(shape=beat_layout(self._config), depth=depth, init=[])
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.en.eq(self.write.en & (self.write.target == self._target)),
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data),
            read.en.eq(1),
            read.addr.eq(self.address),
        ]
        held = Signal(beat_layout(self._config), reset_less=True)
        m.d.sync += held.eq(read.data)
        m.d.comb += self.o.eq(held)
        return m
