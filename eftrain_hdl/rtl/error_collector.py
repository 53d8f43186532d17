"""Keeps the first error of the machine and stops everything."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.issue_queue import OriginLayout

__all__ = ["ErrorCollector", "ErrorReport"]


class ErrorReport(wiring.Signature):
    """One source of errors, seen from it.

    Members
    -------
    error : Out(1)
        A pulse, or a level until reset.
    code : Out(8), address : Out(64)
        Valid with ``error``.
    """

    def __init__(self) -> None:
        super().__init__({"error": Out(1), "code": Out(8), "address": Out(64)})


class ErrorCollector(wiring.Component):
    """First error wins; of errors in the same cycle, that of the unit with the lowest number and of its first source.

    ``halt`` follows ``error`` of a source after 1 cycle, the registers after 2.

    Parameters
    ----------
    sources : tuple of Unit
        The unit to which each source belongs.

    Members
    -------
    source : In(ErrorReport), one for each entry of ``sources``
    origin : In(OriginLayout), one for each unit
        The instruction to blame.
    error : Out(1)
        Until reset; what follows is then valid.
    unit, code : Out(8)
    address : Out(64)
    instruction : Out(OriginLayout)
    halt : Out(1)
        Until reset.

    Raises
    ------
    ValueError
        If a unit has no source.
    """

    def __init__(self, sources: tuple[Unit, ...]) -> None:
        missing = set(Unit) - set(sources)
        if missing:
            raise ValueError(f"no source belongs to unit {min(missing).name}")
        self.sources = sources
        super().__init__({
            "source": In(ErrorReport()).array(len(sources)),
            "origin": In(OriginLayout()).array(len(Unit)),
            "error": Out(1),
            "unit": Out(8),
            "code": Out(8),
            "address": Out(64),
            "instruction": Out(OriginLayout()),
            "halt": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        caught = Signal(len(Unit))
        codes = [Signal(8, name=f"code_{unit.name}", reset_less=True) for unit in Unit]
        addresses = [Signal(64, name=f"address_{unit.name}", reset_less=True) for unit in Unit]
        for unit in Unit:
            mine = [self.source[k] for k, owner in enumerate(self.sources) if owner is unit]
            for source in reversed(mine):
                with m.If(source.error):
                    m.d.sync += [
                        caught[unit].eq(1),
                        codes[unit].eq(source.code),
                        addresses[unit].eq(source.address),
                    ]
        m.d.comb += self.halt.eq(caught != 0)
        with m.If(~self.error):
            m.d.sync += self.error.eq(self.halt)
            for unit in reversed(Unit):
                with m.If(caught[unit]):
                    m.d.sync += [
                        self.unit.eq(unit),
                        self.code.eq(codes[unit]),
                        self.address.eq(addresses[unit]),
                        self.instruction.eq(self.origin[unit]),
                    ]
        return m
