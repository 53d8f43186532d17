# amaranth: UnusedElaboratable=no
"""Channels of a port apart from the others."""

from collections.abc import Callable

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator, SimulatorContext

from eftrain_hdl.rtl.axi import AXI4ReadSignature, AXI4Signature, AXI4WriteSignature, connect_read, connect_write

CONNECT = [(connect_read, AXI4ReadSignature), (connect_write, AXI4WriteSignature)]


@pytest.mark.parametrize(("connect", "kind"), CONNECT)
def test_every_member_arrives_and_no_other(connect: Callable, kind: type) -> None:
    manager, port = AXI4Signature(64).create(path=("manager",)), AXI4Signature(64).create(path=("port",))
    m = Module()
    connect(m, manager, port)
    members = kind(64).members

    async def check(ctx: SimulatorContext) -> None:
        for name, member in AXI4Signature(64).members.items():
            source, sink = (manager, port) if member.flow.name == "Out" else (port, manager)
            ctx.set(getattr(source, name), -1)
            full = (1 << len(getattr(source, name))) - 1
            assert ctx.get(getattr(sink, name)) == (full if name in members else 0), name

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize(("connect", "kind"), CONNECT)
def test_unequal_widths_are_refused(connect: Callable, kind: type) -> None:
    with pytest.raises(ValueError, match=r"^\w+data has 32 bits at the manager and 64 at the port$"):
        connect(Module(), kind(32).create(), AXI4Signature(64).create())
    with pytest.raises(ValueError, match=r"^\w+addr has 40 bits at the manager and 32 at the port$"):
        connect(Module(), kind(64).create(), kind(64, 32).create())
