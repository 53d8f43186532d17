"""The Verilog of the packaged accelerator: the accelerator itself, and a shell that tells Vivado what its ports are."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

from eftrain_hdl.config import Config
from eftrain_hdl.vivado.interfaces import Interface, accelerator_interfaces

__all__ = ["CORE", "SHELL", "accelerator_verilog", "shell_verilog"]

CORE = "eftrain"
"""Module of the accelerator."""

SHELL = "eftrain_ip"
"""Module that is packaged."""

_ELABORATE = f"""\
import pickle, sys
from eftrain_hdl.rtl.top import generate_verilog
sys.stdout.write(generate_verilog(pickle.load(sys.stdin.buffer), name={CORE!r}))
"""


def accelerator_verilog(config: Config) -> str:
    """Verilog of module ``eftrain``, the same bytes for the same configuration and sources.

    It is made in a process of its own: netlist order follows Python's hash seed, and a Yosys of the system would print
    Verilog its own way. ``RuntimeError`` with the last lines of that process if it fails.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", "AMARANTH_USE_YOSYS": "builtin"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", _ELABORATE], input=pickle.dumps(config), capture_output=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"elaboration failed: {' '.join(done.stderr.decode().splitlines()[-3:])}")
    return done.stdout.decode()


def shell_verilog(config: Config) -> str:
    """Verilog of module ``eftrain_ip``: module ``eftrain`` with the attributes of its interfaces, and nothing else.

    Attributes on ports of the accelerator's own module would be copied to nets inside it.
    """
    interfaces = accelerator_interfaces(config)
    ports = [port.name for interface in interfaces for port in interface.ports]
    lines = [f"module {SHELL} (", ",\n".join(_declarations(interfaces)), ");", ""]
    lines += [f"  {CORE} accelerator (", ",\n".join(f"    .{name}({name})" for name in ports), "  );", "", "endmodule"]
    return "\n".join(lines) + "\n"


def _declarations(interfaces: tuple[Interface, ...]) -> list[str]:
    declared = []
    for interface in interfaces:
        for port in interface.ports:
            attributes = "".join(f'  (* {name} = "{text}" *)\n' for name, text in interface.attributes(port).items())
            bits = f" [{port.bits - 1}:0]" if port.bits > 1 else ""
            declared.append(f"{attributes}  {'output' if port.output else 'input'} wire{bits} {port.name}")
    return declared
