"""``eftrain verilog``: the accelerator as one Verilog file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from eftrain_hdl.cli.common import Output, add_config_options, add_json_option, config_from

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "verilog", help="write the accelerator as Verilog",
        description="Elaborate the accelerator and write it as one Verilog file. Its top module `top` has AXI4 managers m_axi_0_* ..., an "
                    "AXI4-Lite subordinate s_axi_ctrl_*, aclk, aresetn (active low) and interrupt.")
    parser.add_argument("--output", "-o", type=Path, default=Path("build/accelerator.v"), help="file to write (default build/accelerator.v)")
    parser.add_argument("--board", help="take the configuration of a board instead of the options below (see `eftrain info`)")
    add_config_options(parser, 16, 16)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file and say what it is."""
    from eftrain_hdl import boards
    from eftrain_hdl.rtl.top import generate_verilog

    output = Output(options)
    config = boards.get(options.board).config if options.board else config_from(options)
    output.line(f"elaborating a {config.rows} x {config.lanes} {config.operand.name} accelerator")
    start = time.monotonic()
    text = generate_verilog(config)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    seconds = time.monotonic() - start
    output.line(f"wrote {options.output}: {len(text) / 1e6:.1f} MB in {seconds:.0f} s")
    output.result({"output": str(options.output), "bytes": len(text), "seconds": seconds, "config": config.as_dict()})
    return 0
