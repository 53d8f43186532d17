"""How Verilog is written: one form that means the same in every simulator and in both standards."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil as rtlil_backend
from amaranth.hdl import Elaboratable, Value
from amaranth.lib.io import Direction

__all__ = ["component_verilog", "lint_waivers", "rtlil_to_verilog"]

# What only Amaranth reads, and the marks of switches that `proc` has turned into multiplexers.
_DROPPED = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding", "full_case")


def rtlil_to_verilog(rtlil: str) -> str:
    """Verilog of RTLIL as Amaranth writes it. Combinational logic becomes ``assign``, never ``always @*``.

    An ``always @*`` that reads registers with initial values only has no event to start it where registers are
    initialised before it waits (IEEE 1800): its outputs stay X. ``assign`` has a value from the start under Verilog
    (IEEE 1364) and SystemVerilog alike. Signals keep their names, or get the
    name of one that is the same; nets without a name are numbered, those that nothing reads are left out.

    Raises ``YosysError`` if no Yosys of 0.40 or newer is found, or if it fails.
    """
    attributes = " ".join(f"-remove {name}" for name in _DROPPED)
    script = [
        f"read_rtlil <<rtlil\n{rtlil}\nrtlil",
        "proc -norom",
        # Simulators take long over what is there twice; registers are, where their loads lie apart.
        "opt_merge t:$dff %n",
        # Cells that nothing reads cost simulators time. Names of nets that lost their driver would show X in waves.
        "opt_clean -purge",
        "memory_collect",
        f"attrmap {attributes}",
        f"attrmap -modattr {attributes}",
        # Numbered names: functions, which wide multiplexers become, cannot have names that begin with a dollar.
        "write_verilog",
    ]
    return find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], "\n".join(script))


def component_verilog(
    component: Elaboratable,
    name: str = "top",
    *,
    ports: Mapping[str, tuple[Value, Direction | None]] | None = None,
    platform: object = None,
) -> str:
    """Verilog of one component as module ``name``, with ports ``clk``, ``rst`` and its own.

    Parameters
    ----------
    component : Elaboratable
    name : str
        Of the module.
    ports : dict of str to (Value, Direction or None), or None
        ``None`` takes the component's signature; members of interfaces are then joined by two underscores. A direction
        of ``None`` is left to Amaranth, which takes what the design does not drive for an input.
    platform : Platform or None
        As for Amaranth's own converters.
    """
    return rtlil_to_verilog(
        rtlil_backend.convert(component, name=name, platform=platform, ports=ports, emit_src=False)
    )


def lint_waivers() -> str:
    """Waivers for ``verilator -Wall`` of the Verilog that :func:`rtlil_to_verilog` writes, a Verilator file."""
    return files(__package__).joinpath("lint.vlt").read_text()
