"""The interfaces of the packaged accelerator: what Vivado is told of every port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.lib.wiring import Out, Signature

from eftrain_hdl.config import Config
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.rtl.axi.signature import AXI4LiteSignature, AXI4Signature
from eftrain_hdl.rtl.axi_ports import READERS, WRITERS, port_users

__all__ = ["Interface", "Port", "accelerator_interfaces"]

_AXI = "xilinx.com:interface:aximm:1.0"
_SIGNAL = "xilinx.com:signal:{}:1.0"
_ARBITER_OUTSTANDING = 64


@dataclass(frozen=True)
class Port:
    """One port: ``logical`` is its name in the definition of the interface, ``output`` says that we drive it."""

    name: str
    logical: str
    bits: int
    output: bool


@dataclass(frozen=True)
class Interface:
    """One bus interface: its Vivado type, its parameters and its ports, the parameters being told at the first."""

    name: str
    vlnv: str
    parameters: Mapping[str, str | int]
    ports: tuple[Port, ...]

    def attributes(self, port: Port) -> dict[str, str]:
        """Verilog attributes of one of the ports (UG994, inferring interfaces)."""
        found = {"X_INTERFACE_INFO": f"{self.vlnv} {self.name} {port.logical}"}
        if port is self.ports[0]:
            parameters = (f"{name} {value}" for name, value in self.parameters.items())
            found["X_INTERFACE_PARAMETER"] = ", ".join((f"XIL_INTERFACENAME {self.name}", *parameters))
        return found


def accelerator_interfaces(config: Config) -> tuple[Interface, ...]:
    """All interfaces of an accelerator: clock, reset, interrupt, registers and memory ports.

    No FREQ_HZ is among the parameters: Vivado would hold the block design to it.
    """
    memory = [_memory(config, number) for number in range(config.ports)]
    lite = AXI4LiteSignature(REGISTER_MAP.address_width)
    control = Interface("s_axi_ctrl", _AXI, {
        "PROTOCOL": "AXI4LITE", "DATA_WIDTH": 32, "ADDR_WIDTH": REGISTER_MAP.address_width,
    }, _ports("s_axi_ctrl", lite, manager=False))  # fmt: skip
    busses = ":".join(interface.name for interface in (control, *memory))
    return (
        _single("aclk", "clock", "CLK", {"ASSOCIATED_BUSIF": busses, "ASSOCIATED_RESET": "aresetn"}),
        _single("aresetn", "reset", "RST", {"POLARITY": "ACTIVE_LOW"}),
        _single("interrupt", "interrupt", "INTERRUPT", {"SENSITIVITY": "LEVEL_HIGH"}, output=True),
        control,
        *memory,
    )


def _single(name: str, kind: str, logical: str, parameters: dict[str, str | int], *, output: bool = False) -> Interface:
    return Interface(name, _SIGNAL.format(kind), parameters, (Port(name, logical, 1, output),))


def _memory(config: Config, number: int) -> Interface:
    """A memory port. SmartConnect sizes its queues by what it is told here."""
    assert config.data_width is not None
    signature = AXI4Signature(config.data_width, config.address_width)
    users = port_users(config.ports)[number]
    reads, writes = (
        min(_ARBITER_OUTSTANDING, max(1, config.outstanding * sum(unit in users for unit in side)))
        for side in (READERS, WRITERS)
    )
    name = f"m_axi_{number}"
    return Interface(name, _AXI, {
        "PROTOCOL": "AXI4", "DATA_WIDTH": config.data_width, "ADDR_WIDTH": config.address_width,
        "ID_WIDTH": signature.id_width, "SUPPORTS_NARROW_BURST": 0, "MAX_BURST_LENGTH": 16 if config.axi3 else 256,
        "NUM_READ_OUTSTANDING": reads, "NUM_WRITE_OUTSTANDING": writes,
    }, _ports(name, signature, manager=True))  # fmt: skip


def _ports(name: str, signature: Signature, *, manager: bool) -> tuple[Port, ...]:
    return tuple(
        Port(f"{name}_{member}", member.upper(), item.shape, (item.flow is Out) == manager)
        for member, item in signature.members.items()
    )
