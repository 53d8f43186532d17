"""Radiona ULX3S-85F: a timing harness that places and routes a small accelerator on its ECP5.

It is no usable system. There is no controller for the board's SDRAM and no link to a host: the accelerator's AXI ports
end in registers, so that all of its logic is kept and every path lies between two registers. Needs the extra ``pnr``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In

if TYPE_CHECKING:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

__all__ = ["CLOCK_MHZ", "TimingHarness", "timing_design"]

CLOCK_MHZ = 100
"""Clock that the harness makes of the board's 25 MHz, and that place and route aims at."""


class TimingHarness(Elaboratable):
    """A component between two chains of registers, with three pins and a PLL.

    All inputs of the component are a shift register behind a button. Its outputs are registered, and the registers
    folded into a signature of as many bits, the last of which is an LED.

    Parameters
    ----------
    component
        What to place and route; its members are plain signals.
    """

    def __init__(self, component: wiring.Component) -> None:
        self.component = component

    def elaborate(self, platform: ULX3S_85F_Platform) -> Module:
        m = Module()
        self._elaborate_clock(m, platform)
        m.submodules.component = component = self.component
        inputs, outputs = [], []
        for _, member, value in component.signature.flatten(component):
            (inputs if member.flow is In else outputs).append(Value.cast(value))
        stimulus = Signal(sum(map(len, inputs)), reset_less=True)
        response = Signal(sum(map(len, outputs)), reset_less=True)
        signature = Signal(len(response))
        last = Signal()
        m.d.sync += [
            stimulus.eq(Cat(platform.request("button_fire", 0).i, stimulus)),
            response.eq(Cat(*outputs)),
            signature.eq(signature.rotate_left(1) ^ response),
            last.eq(signature[-1]),
        ]
        m.d.comb += [Cat(*inputs).eq(stimulus), platform.request("led", 0).o.eq(last)]
        return m

    @staticmethod
    def _elaborate_clock(m: Module, platform: ULX3S_85F_Platform) -> None:
        m.domains.sync = ClockDomain()
        locked = Signal()
        # The oscillator of the PLL has to run at 400 to 800 MHz: 600 MHz.
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=str(round(platform.default_clk_frequency / 1e6)),
            a_FREQUENCY_PIN_CLKOP=str(CLOCK_MHZ),
            p_CLKI_DIV=1, p_CLKFB_DIV=round(CLOCK_MHZ * 1e6 / platform.default_clk_frequency),
            p_CLKOP_DIV=600 // CLOCK_MHZ, p_CLKOP_CPHASE=600 // CLOCK_MHZ // 2 - 1,
            p_CLKOP_ENABLE="ENABLED", p_FEEDBK_PATH="CLKOP",
            i_CLKI=platform.request(platform.default_clk).i, i_CLKFB=ClockSignal(), o_CLKOP=ClockSignal(),
            o_LOCK=locked,
            i_RST=0, i_STDBY=0, i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1,
            i_PLLWAKESYNC=0, i_ENCLKOP=0,
        )  # fmt: skip
        m.submodules.reset = ResetSynchronizer(~locked)


def timing_design(component: wiring.Component) -> tuple[str, str]:
    """RTLIL of a component in its :class:`TimingHarness`, module ``top``, and the pins and clock in Lattice's LPF.

    As in :func:`eftrain_hdl.rtl.top.generate_rtlil`, memories have no initial contents. ``ImportError`` if
    amaranth-boards is not installed.
    """
    try:
        from amaranth_boards.ulx3s import ULX3S_85F_Platform
    except ImportError as error:
        raise ImportError("amaranth-boards is not installed: pip install 'eftrain-hdl[pnr]'") from error
    with patch.object(rtlil.ModuleEmitter, "emit_memory"):
        plan = ULX3S_85F_Platform().build(
            TimingHarness(component), do_build=False, debug_verilog=False, emit_src=False
        )
    text = {name: content if isinstance(content, str) else content.decode() for name, content in plan.files.items()}
    return text["top.il"], text["top.lpf"]
