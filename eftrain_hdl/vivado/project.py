"""The files of a Vivado project for a board."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from eftrain_hdl import __version__
from eftrain_hdl.boards import Board
from eftrain_hdl.checks import counted
from eftrain_hdl.config import Config
from eftrain_hdl.export.c_header import c_header
from eftrain_hdl.export.device_tree import board_device_tree
from eftrain_hdl.export.python_constants import python_constants
from eftrain_hdl.export.systemrdl import systemrdl
from eftrain_hdl.registers import IP_NAME, IP_VLNV, REGISTER_MAP, REGISTER_MAP_VERSION
from eftrain_hdl.rtl.verilog import lint_waivers
from eftrain_hdl.vivado.interfaces import accelerator_interfaces
from eftrain_hdl.vivado.output import MANIFEST, manifest_text
from eftrain_hdl.vivado.verilog import CORE, SHELL, accelerator_verilog, shell_verilog

__all__ = ["project_files"]

_SCRIPTS = ("build.tcl", "package_ip.tcl", "block_design.tcl", "implement.tcl")


def project_files(board: Board, config: Config, clock_mhz: float) -> dict[str, bytes]:
    """Return the files of a project by their path in it: the same bytes for the same arguments and version.

    Parameters
    ----------
    board : Board
    config : Config
        The accelerator. ``ValueError`` if the board cannot be wired to it.
    clock_mhz : float
        Clock to ask Vivado for. ``ValueError`` if the board's memory ports cannot run at it.
    """
    board.check(config)
    board.check_clock(clock_mhz)
    texts = {
        f"verilog/{CORE}.v": accelerator_verilog(config),
        f"verilog/{SHELL}.v": shell_verilog(config),
        "tcl/settings.tcl": _settings(board, config, clock_mhz),
        "lint.vlt": lint_waivers(),
        "Makefile": _shipped("Makefile"),
        "README.md": _readme(board, config, clock_mhz),
        **_software(board),
        **{f"tcl/{name}": _shipped(name) for name in (*_SCRIPTS, f"{board.ps.name}.tcl")},
    }
    found = {path: texts[path].encode() for path in sorted(texts)}
    return {**found, MANIFEST: manifest_text(_description(board, config, clock_mhz), found)}


def _software(board: Board) -> dict[str, str]:
    """What software for this project is written with."""
    return {
        f"software/{IP_NAME}.h": c_header(),
        f"software/{IP_NAME}.rdl": systemrdl(),
        f"software/{IP_NAME}.dtso": board_device_tree(board),
        f"software/{IP_NAME}_constants.py": python_constants(),
    }


def _shipped(name: str) -> str:
    return (files("eftrain_hdl.vivado") / "files" / name).read_text()


def _readme(board: Board, config: Config, clock_mhz: float) -> str:
    ports = _memory_ports(board, config).items()
    return _shipped("README.md").format(
        title=board.title, board=board.name, summary=_summary(config), part=board.part, clock_mhz=clock_mhz,
        version=__version__, ps=board.ps.name, registers_base=board.ps.registers_base,
        registers_bytes=1 << REGISTER_MAP.address_width, interrupt=board.ps.interrupt_spi,
        ports="\n".join(f"| `{interface}` | memory port HP{port} |" for interface, port in ports),
    )  # fmt: skip


def _memory_ports(board: Board, config: Config) -> dict[str, int]:
    """Number of the memory port that each ``m_axi`` interface is wired to."""
    return {f"m_axi_{number}": board.hp[number] for number in range(config.ports)}


def _summary(config: Config) -> str:
    return f"{config.rows} x {config.lanes} {config.operand.name}, {counted(config.ports, 'memory port')}"


def _settings(board: Board, config: Config, clock_mhz: float) -> str:
    """The data of the scripts, as a Tcl array."""
    ports = _memory_ports(board, config)
    windows = (f"{base:#x} {size:#x}" for base, size in board.dram_windows)
    names = [interface.name for interface in accelerator_interfaces(config)]
    values = {
        "title": board.title,
        "summary": _summary(config),
        "part": board.part,
        "board_part": board.board_part,
        "ps": board.ps.name,
        "supported_family": board.ps.vivado_family,
        "clock_mhz": f"{clock_mhz:g}",
        "vlnv": IP_VLNV,
        "top": SHELL,
        "sources": f"verilog/{SHELL}.v verilog/{CORE}.v",
        "interfaces": " ".join(names),
        "memory_interfaces": " ".join(ports),
        "memory_ports": " ".join(f"{interface} {port}" for interface, port in ports.items()),
        "data_bits": str(config.data_width),
        "address_bits": str(config.address_width),
        "dram_windows": " ".join(windows),
        "registers_base": f"{board.ps.registers_base:#x}",
        "registers_range": f"{1 << REGISTER_MAP.address_width:#x}",
    }
    lines = (f"    {name} {{{value}}}" for name, value in values.items())
    return "\n".join((f"# What the scripts have to know of {board.title}.", "array set settings {", *lines, "}")) + "\n"


def _description(board: Board, config: Config, clock_mhz: float) -> dict[str, object]:
    """What a project is for: all that a driver has to know, and what it was made from."""
    return {
        "board": board.name,
        "part": board.part,
        "eftrain_hdl": __version__,
        "amaranth": version("amaranth"),
        "vlnv": IP_VLNV,
        "register_map_version": REGISTER_MAP_VERSION,
        "configuration": config.as_dict(),
        "configuration_digest": f"{config.digest:#010x}",
        "clock_mhz": clock_mhz,
        "memory_ports": {name: f"HP{port}" for name, port in _memory_ports(board, config).items()},
        "dram_windows": [{"base": base, "bytes": size} for base, size in board.dram_windows],
        "registers": {"base": board.ps.registers_base, "bytes": 1 << REGISTER_MAP.address_width},
        "interrupt_spi": board.ps.interrupt_spi,
    }
