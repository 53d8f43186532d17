"""AXI4 and AXI4-Lite wiring signatures, seen from the manager.

Members carry the names of the AXI specification (Arm IHI 0022) in lower case, so that a port called ``m_axi`` becomes
``m_axi_awaddr`` and so on when a flat top level joins path and member with an underscore.
"""

from enum import IntEnum

from amaranth.hdl import Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "AXI4LiteSignature",
    "AXI4ReadSignature",
    "AXI4Signature",
    "AXI4WriteSignature",
    "BURST_LIMIT_SHAPE",
    "Burst",
    "DATA_WIDTHS",
    "DEFAULT_PROTECTION",
    "PAGE_BYTES",
    "Response",
    "check_bus_parameters",
    "check_protection",
    "connect_read",
    "connect_write",
    "drive_read_constants",
    "drive_write_constants",
]

DATA_WIDTHS = (32, 64, 128, 256)
"""Bus widths, in bits, that every component of this package accepts."""

PAGE_BYTES = 4096
"""No burst crosses a multiple of this address (AXI rule)."""

DEFAULT_PROTECTION = 0b010
"""AxPROT of a data access, non-secure, unprivileged: what DRAM owned by Linux wants on Zynq."""

BURST_LIMIT_SHAPE = unsigned(9)
"""Shape of every run-time ``burst_beats`` input."""

_CACHE_MODIFIABLE = 0b0011

_ANY_WIDTHS = (32, 32, 1)
"""For those who want names and directions of members only."""


class Response(IntEnum):
    """RRESP and BRESP. Bit 1 set means error."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Burst(IntEnum):
    """AxBURST. The library issues INCR only, also for one beat (some interconnects reject FIXED)."""

    FIXED = 0
    INCR = 1
    WRAP = 2


def check_bus_parameters(data_width: int, address_width: int) -> None:
    """Raise ``ValueError`` unless a bus of these widths (in bits) is supported."""
    if data_width not in DATA_WIDTHS:
        raise ValueError(f"data_width must be one of {', '.join(map(str, DATA_WIDTHS))}, not {data_width!r}")
    if not isinstance(address_width, int) or not 13 <= address_width <= 64:
        raise ValueError(f"address_width must be an integer from 13 to 64, not {address_width!r}")


def _address_members(prefix: str, address_width: int, id_width: int) -> dict[str, wiring.Member]:
    return {
        f"{prefix}id": Out(id_width),
        f"{prefix}addr": Out(address_width),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}qos": Out(4),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


class _BusSignature(wiring.Signature):
    """Common part of the full AXI4 signatures: keeps the widths for whoever connects to it."""

    def __init__(self, members: dict[str, wiring.Member], data_width: int, address_width: int, id_width: int) -> None:
        super().__init__(members)
        self.data_width = data_width
        self.address_width = address_width
        self.id_width = id_width

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.members == other.members

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data_width}, {self.address_width}, {self.id_width})"


def _read_members(data_width: int, address_width: int, id_width: int) -> dict[str, wiring.Member]:
    return {
        **_address_members("ar", address_width, id_width),
        "rid": In(id_width),
        "rdata": In(data_width),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_members(data_width: int, address_width: int, id_width: int) -> dict[str, wiring.Member]:
    return {
        **_address_members("aw", address_width, id_width),
        "wdata": Out(data_width),
        "wstrb": Out(data_width // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(id_width),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AXI4ReadSignature(_BusSignature):
    """AR and R channels of an AXI4 manager; widths in bits."""

    def __init__(self, data_width: int, address_width: int = 40, id_width: int = 1) -> None:
        check_bus_parameters(data_width, address_width)
        super().__init__(_read_members(data_width, address_width, id_width), data_width, address_width, id_width)


class AXI4WriteSignature(_BusSignature):
    """AW, W and B channels of an AXI4 manager; widths in bits."""

    def __init__(self, data_width: int, address_width: int = 40, id_width: int = 1) -> None:
        check_bus_parameters(data_width, address_width)
        super().__init__(_write_members(data_width, address_width, id_width), data_width, address_width, id_width)


class AXI4Signature(_BusSignature):
    """All five channels of an AXI4 manager; widths in bits."""

    def __init__(self, data_width: int, address_width: int = 40, id_width: int = 1) -> None:
        check_bus_parameters(data_width, address_width)
        members = _write_members(data_width, address_width, id_width)
        members |= _read_members(data_width, address_width, id_width)
        super().__init__(members, data_width, address_width, id_width)


class AXI4LiteSignature(wiring.Signature):
    """All five channels of a 32-bit AXI4-Lite manager; ``address_width`` in bits."""

    def __init__(self, address_width: int) -> None:
        if not isinstance(address_width, int) or not 3 <= address_width <= 64:
            raise ValueError(f"address_width must be an integer from 3 to 64, not {address_width!r}")
        self.address_width = address_width
        super().__init__(
            {
                "awaddr": Out(address_width),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_width),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.address_width == other.address_width

    def __repr__(self) -> str:
        return f"AXI4LiteSignature({self.address_width})"


def _drive_constants(m: Module, axi: wiring.PureInterface, prefix: str, data_width: int, protection: int) -> None:
    values = {
        "id": 0,
        "size": (data_width // 8).bit_length() - 1,
        "burst": int(Burst.INCR),
        "lock": 0,
        "cache": _CACHE_MODIFIABLE,
        "prot": protection,
        "qos": 0,
    }
    for name, value in values.items():
        m.d.comb += getattr(axi, prefix + name).eq(value)


def check_protection(protection: int) -> None:
    """Raise ``ValueError`` unless ``protection`` is a legal AxPROT."""
    if protection not in range(8):
        raise ValueError(f"protection must be an integer from 0 to 7, not {protection!r}")


def drive_read_constants(m: Module, axi: wiring.PureInterface, data_width: int, protection: int) -> None:
    """Drive those AR members that never change: full-width INCR, ID 0, bufferable and modifiable."""
    _drive_constants(m, axi, "ar", data_width, protection)


def drive_write_constants(m: Module, axi: wiring.PureInterface, data_width: int, protection: int) -> None:
    """Drive those AW members that never change: full-width INCR, ID 0, bufferable and modifiable."""
    _drive_constants(m, axi, "aw", data_width, protection)


def _connect(m: Module, manager: object, port: object, members: dict[str, wiring.Member]) -> None:
    pairs = {name: (Value.cast(getattr(manager, name)), Value.cast(getattr(port, name))) for name in members}
    for name, (near, far) in pairs.items():
        if len(near) != len(far):
            raise ValueError(f"{name} has {len(near)} bits at the manager and {len(far)} at the port")
    for name, (near, far) in pairs.items():
        m.d.comb += far.eq(near) if members[name].flow is Out else near.eq(far)


def connect_read(m: Module, manager: wiring.PureInterface, port: wiring.PureInterface) -> None:
    """Connect AR and R of a manager to those of a port, combinationally.

    Either may have the write channels too, which ``wiring.connect`` would insist on: so a ``ReadDma`` gets to a port of
    all five channels, and such a port to a ``ReadArbiter``.

    Parameters
    ----------
    manager : what drives AR, such as ``ReadDma.axi`` or ``ReadArbiter.axi``
    port : what takes it, such as ``ReadArbiter.managers[0]``, or a port of the component that connects

    Raises
    ------
    ValueError
        If a member is not as wide on both sides; the message names it. Nothing has been connected then.
    """
    _connect(m, manager, port, _read_members(*_ANY_WIDTHS))


def connect_write(m: Module, manager: wiring.PureInterface, port: wiring.PureInterface) -> None:
    """Connect AW, W and B of a manager to those of a port; otherwise as :func:`connect_read`."""
    _connect(m, manager, port, _write_members(*_ANY_WIDTHS))
