"""The accelerator with its activity on outputs, for simulation: the same logic, and a word to watch for each unit.

A probe only looks: it reads signals that the hardware has anyway, so that the accelerator itself needs no port for it.
What a word means is decided by who reads it (``runtime/activity.py``).
"""

from __future__ import annotations

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import data, wiring

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.accelerator import Accelerator
from eftrain_hdl.rtl.command import QUEUES
from eftrain_hdl.rtl.core import Core
from eftrain_hdl.rtl.top import Top, top_verilog
from eftrain_hdl.rtl.vector.unit import VectorUnit

__all__ = ["PROBES", "ProbedAccelerator", "ProbedTop", "generate_probed_verilog"]

_UNIT = {"missing": len(QUEUES), "waiting": 1, "queued": 1, "busy": 1}
_LOAD = data.StructLayout({**_UNIT, "receiving": 1, "beat": 1, "flight": 1})
_STORE = data.StructLayout({**_UNIT, "flight": 1, "offered": 1, "sent": 1})

PROBES: dict[Unit, data.StructLayout] = {
    Unit.COMMAND: data.StructLayout({"running": 1, "barrier": 1, "word": 1, "full": len(QUEUES)}),
    Unit.LOAD_X: _LOAD,
    Unit.LOAD_A: _LOAD,
    Unit.COMPUTE: data.StructLayout({**_UNIT, "active": 1, "preparing": 1}),
    Unit.VECTOR: data.StructLayout({**_UNIT, "issuing": 1, "held": 1, "full": 1, "entering": 1, "unsent": 1}),
    Unit.STORE_0: _STORE,
    Unit.STORE_1: _STORE,
}
"""What the word of each unit holds in a cycle; at most 32 bits.

COMMAND
    ``running``: a program runs; ``barrier``: it stands at a BARRIER or END; ``word``: a word of the program is there;
    ``full``: queues (by unit, from LOAD_X) that refuse the word that they are offered.
all other units
    ``busy``: the unit executes an instruction, as the BUSY counter has it; ``waiting``: its next one waits for
    other units; ``missing``: for these, from LOAD_X; ``queued``: its issue queue holds anything.
LOAD_X, LOAD_A
    ``receiving``: the unit takes beats; ``beat``: there is one; ``flight``: the DMA has asked memory for a burst.
COMPUTE
    ``active``: a vector is issued to the array; ``preparing``: an instruction or a block is not wholly issued.
VECTOR
    ``issuing``: an element is issued; ``held``: it stands, for the array adds into its bank; ``full``: it stands, for
    an output queue has no room; ``entering``: an instruction is on its way to its first element; ``unsent``: a result
    is refused by the DMA of a store.
STORE_0, STORE_1
    ``offered``: a beat is offered to the port; ``sent``: it is taken; ``flight``: memory has not acknowledged a burst.
"""


class _ProbedVectorUnit(VectorUnit):
    """A :class:`VectorUnit`; ``probe`` holds its own part of the word by name."""

    def elaborate(self, platform: object) -> Elaboratable:
        m = super().elaborate(platform)
        check, issuing = m.submodules.check.o, m.submodules.datapath.valid
        element = check.payload
        stands = check.valid & ~issuing & ~element.error & ~self.control.halt
        bank_busy = Signal.like(self.drain.bank_busy)
        m.d.sync += bank_busy.eq(self.drain.bank_busy)
        held = element.drain & bank_busy.bit_select(element.bank, 1)
        self.probe = {
            "issuing": issuing,
            "held": stands & held,
            "full": stands & ~held,
            "entering": self.control.instruction.valid | m.submodules.nest.o.valid,
            "unsent": (self.o_0.valid & ~self.o_0.ready) | (self.o_1.valid & ~self.o_1.ready),
        }
        return m


class _ProbedCore(Core):
    """A :class:`Core` that drives ``probes``."""

    def __init__(
        self, config: Config, compute: wiring.Component, vector: wiring.Component, probes: dict[Unit, data.View]
    ) -> None:
        super().__init__(config, compute, vector)
        self._probes = probes

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.submodules.probes = _Probes(self, self._probes)
        return m


class _Probes(Elaboratable):
    """Comes last among the submodules of a core, so that everything that it looks at has been elaborated."""

    def __init__(self, core: Core, probes: dict[Unit, data.View]) -> None:
        self._core = core
        self._probes = probes

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for unit, probe in self._probes.items():
            own = {
                Unit.COMMAND: self._command, Unit.LOAD_X: self._load, Unit.LOAD_A: self._load,
                Unit.COMPUTE: self._compute, Unit.VECTOR: self._vector, Unit.STORE_0: self._store,
                Unit.STORE_1: self._store,
            }[unit](unit)  # fmt: skip
            values = own if unit is Unit.COMMAND else own | self._issue(unit)
            m.d.comb += [probe[name].eq(value) for name, value in values.items()]
        return m

    def _issue(self, unit: Unit) -> dict[str, object]:
        queue, control = self._core._queues[unit], self._core._units[unit].control
        return {
            "busy": control.busy, "waiting": queue.waiting, "missing": queue.missing, "queued": ~queue.empty,
        }

    def _command(self, unit: Unit) -> dict[str, object]:
        command = self._core._command
        sequence = command._sequence
        return {
            "running": command.running,
            "barrier": sequence.state == sequence.encoding["WAIT"],
            "word": command._words.o.valid,
            "full": Cat(command.queue[k].valid & ~command.queue[k].ready for k in range(len(QUEUES))),
        }

    def _load(self, unit: Unit) -> dict[str, object]:
        dma = self._core._readers[unit]
        return {"receiving": dma.o.ready, "beat": dma.o.valid, "flight": ~dma.idle}

    def _compute(self, unit: Unit) -> dict[str, object]:
        compute = self._core.compute
        return {"active": compute.mac_active, "preparing": ~compute._sequencer.idle}

    def _vector(self, unit: Unit) -> dict[str, object]:
        return self._core.vector.probe

    def _store(self, unit: Unit) -> dict[str, object]:
        dma = self._core._writers[unit]
        return {"flight": ~dma.idle, "offered": dma.axi.wvalid, "sent": dma.axi.wvalid & dma.axi.wready}


class ProbedAccelerator(Accelerator):
    """An :class:`Accelerator` (``config``, ``ctrl``, ``axi`` and ``interrupt`` as there) with ``probes``: a view of
    ``PROBES`` for each unit.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.probes = {unit: Signal(layout, name=f"probe_{unit.name.lower()}") for unit, layout in PROBES.items()}

    def vector_unit(self) -> wiring.Component:
        return _ProbedVectorUnit(self.config)

    def core(self) -> Core:
        return _ProbedCore(self.config, self.compute_unit(), self.vector_unit(), self.probes)


class ProbedTop(Top):
    """A :class:`Top` with an output ``probe_<unit>`` for each unit."""

    def __init__(self, config: Config) -> None:
        accelerator = ProbedAccelerator(config)
        super().__init__(config, accelerator)
        for unit, probe in accelerator.probes.items():
            self._add(f"probe_{unit.name.lower()}", probe.as_value(), wiring.Out)


def generate_probed_verilog(config: Config) -> str:
    """Verilog of :class:`ProbedTop`, as :func:`~eftrain_hdl.rtl.top.generate_verilog` writes that of ``Top``."""
    return top_verilog(ProbedTop(config))
