"""Which memory traffic uses which AXI port."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.axi.arbiter import ReadArbiter, WriteArbiter
from eftrain_hdl.rtl.axi.signature import (
    DEFAULT_PROTECTION,
    AXI4ReadSignature,
    AXI4Signature,
    AXI4WriteSignature,
    connect_read,
    connect_write,
    drive_read_constants,
    drive_write_constants,
)

__all__ = ["AxiPorts", "READERS", "WRITERS", "port_users"]

READERS = (Unit.COMMAND, Unit.LOAD_X, Unit.LOAD_A)
WRITERS = (Unit.STORE_0, Unit.STORE_1)

_ARBITER_OUTSTANDING = 64


def port_users(ports: int) -> tuple[tuple[Unit, ...], ...]:
    """Units on each port. Loads and stores are kept apart where there are ports enough, since each starves the other.

    Raises
    ------
    ValueError
        If ``ports`` is not 1 to 4.
    """
    shared: dict[int, tuple[tuple[Unit, ...], ...]] = {
        1: ((*READERS, *WRITERS),),
        2: (READERS, WRITERS),
        3: ((Unit.LOAD_X,), (Unit.COMMAND, Unit.LOAD_A), WRITERS),
        4: ((Unit.LOAD_X,), (Unit.LOAD_A,), WRITERS, (Unit.COMMAND,)),
    }
    if ports not in shared:
        raise ValueError(f"ports must be 1 to 4, not {ports!r}")
    return shared[ports]


class AxiPorts(wiring.Component):
    """Joins the units' AXI channels into ``config.ports`` ports; what a port does not use is driven quiet.

    A user alone on a port is connected combinationally; several are behind a ``ReadArbiter`` or ``WriteArbiter``, with
    its latency.

    Parameters
    ----------
    config : Config
        Number and widths of the ports.

    Members
    -------
    read : In(AXI4ReadSignature), one for each of ``READERS``
    write : In(AXI4WriteSignature), one for each of ``WRITERS``
    axi : Out(AXI4Signature), one for each port
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        widths = (config.data_width, config.address_width)
        super().__init__({
            "read": In(AXI4ReadSignature(*widths)).array(len(READERS)),
            "write": In(AXI4WriteSignature(*widths)).array(len(WRITERS)),
            "axi": Out(AXI4Signature(*widths)).array(config.ports),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for number, users in enumerate(port_users(self.config.ports)):
            axi = self.axi[number]
            readers = [self.read[READERS.index(unit)] for unit in users if unit in READERS]
            writers = [self.write[WRITERS.index(unit)] for unit in users if unit in WRITERS]
            if readers:
                source = self._merge(m, f"read_{number}", readers, ReadArbiter)
                connect_read(m, source, axi)
            else:
                drive_read_constants(m, axi, self.config.data_width, DEFAULT_PROTECTION)
                m.d.comb += axi.rready.eq(1)
            if writers:
                source = self._merge(m, f"write_{number}", writers, WriteArbiter)
                connect_write(m, source, axi)
            else:
                drive_write_constants(m, axi, self.config.data_width, DEFAULT_PROTECTION)
                m.d.comb += axi.bready.eq(1)
        return m

    def _merge(
        self, m: Module, name: str, users: list[wiring.PureInterface], kind: type[ReadArbiter] | type[WriteArbiter]
    ) -> wiring.PureInterface:
        """The channels of one user as they are, of several behind an arbiter."""
        if len(users) == 1:
            return users[0]
        arbiter = kind(
            len(users), self.config.data_width, self.config.address_width, outstanding=_ARBITER_OUTSTANDING
        )
        m.submodules[name] = arbiter
        for k, user in enumerate(users):
            wiring.connect(m, arbiter.managers[k], wiring.flipped(user))
        return arbiter.axi
