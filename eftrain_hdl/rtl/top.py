"""Flat top level: the ports that an FPGA tool finds its AXI interfaces by."""

from __future__ import annotations

from unittest.mock import patch

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring

from eftrain_hdl.checks import check_kind
from eftrain_hdl.config import Config
from eftrain_hdl.rtl.accelerator import Accelerator
from eftrain_hdl.rtl.names import check_module_name
from eftrain_hdl.rtl.verilog import rtlil_to_verilog
from eftrain_hdl.synthesis.merge import merge_modules

__all__ = ["Top", "generate_rtlil", "generate_verilog", "top_rtlil", "top_verilog"]


class Top(Elaboratable):
    """One accelerator with ports ``aclk``, ``aresetn``, ``interrupt``, ``s_axi_ctrl_*`` and ``m_axi_{i}_*``.

    ``aresetn`` is sampled with ``aclk``: low for at least two cycles resets.

    Parameters
    ----------
    config : Config
    accelerator : Accelerator or None
        The accelerator to wrap; ``None`` makes one.

    Attributes
    ----------
    ports : dict of str to Signal
        In the order in which they appear in the Verilog.
    """

    def __init__(self, config: Config, accelerator: Accelerator | None = None) -> None:
        check_kind("config", config, Config, "a Config(rows=..., lanes=...)")
        self.config = config
        self.accelerator = Accelerator(config) if accelerator is None else accelerator
        self.aclk = Signal()
        self.aresetn = Signal()
        self.ports: dict[str, Signal] = {"aclk": self.aclk, "aresetn": self.aresetn}
        self._wires: list[tuple[Signal, Value, wiring.Flow]] = []
        self._add("interrupt", self.accelerator.interrupt, wiring.Out)
        for name, member in self.accelerator.ctrl.signature.members.items():
            self._add(f"s_axi_ctrl_{name}", getattr(self.accelerator.ctrl, name), member.flow)
        for number in range(config.ports):
            axi = self.accelerator.axi[number]
            for name, member in axi.signature.members.items():
                self._add(f"m_axi_{number}_{name}", getattr(axi, name), member.flow)

    def _add(self, name: str, inner: Value, flow: wiring.Flow) -> None:
        port = Signal(len(inner), name=name)
        self.ports[name] = port
        self._wires.append((port, inner, flow))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.accelerator = self.accelerator
        reset = Signal(init=1)
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(reset)]
        m.domains.resetless = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal("resetless").eq(self.aclk)
        m.d.resetless += reset.eq(~self.aresetn)
        for port, inner, flow in self._wires:
            # The register bank is in reset for one cycle more than the pin says: what it accepted then would be lost.
            answer = inner & ~reset if port.name.startswith("s_axi_ctrl_") and port.name.endswith("ready") else inner
            m.d.comb += port.eq(answer) if flow is wiring.Out else inner.eq(port)
        return m


def generate_rtlil(config: Config, *, name: str = "eftrain", accelerator: Accelerator | None = None) -> str:
    """RTLIL of :class:`Top`, module ``name``, with identical modules merged and memories without initial contents.

    Amaranth writes one module per instance and one line per word of memory; without both, tools take a fraction of the
    time.
    No memory of the accelerator is read before it is written. Parameters as for :func:`generate_verilog`.
    """
    check_module_name(name)
    return top_rtlil(Top(config, accelerator), name)


def top_rtlil(top: Top, name: str = "eftrain") -> str:
    """As :func:`generate_rtlil`, of a top level that exists already; it cannot be used again."""
    with patch.object(rtlil.ModuleEmitter, "emit_memory"):
        text = rtlil.convert(top, name=name, ports=list(top.ports.values()), emit_src=False)
    return merge_modules(text)


def generate_verilog(config: Config, *, name: str = "eftrain", accelerator: Accelerator | None = None) -> str:
    """Verilog of :class:`Top` as one text, module ``name``. Identical for identical ``PYTHONHASHSEED``.

    Parameters
    ----------
    config : Config
    name : str
        Of the top module.
    accelerator : Accelerator or None
        As for :class:`Top`.

    Raises ValueError for a name that Verilog tools do not take.
    """
    check_module_name(name)
    return top_verilog(Top(config, accelerator), name)


def top_verilog(top: Top, name: str = "eftrain") -> str:
    """As :func:`generate_verilog`, of a top level that exists already; it cannot be used again."""
    return rtlil_to_verilog(top_rtlil(top, name))
