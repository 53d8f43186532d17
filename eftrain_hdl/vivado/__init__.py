"""Projects for Vivado: the accelerator packaged as an IP, in a block design for a board, built by scripts."""

from eftrain_hdl.vivado.output import OutputError, check_output, write_output
from eftrain_hdl.vivado.project import project_files
from eftrain_hdl.vivado.run import VivadoError, find_vivado, run_vivado

__all__ = [
    "OutputError",
    "VivadoError",
    "check_output",
    "find_vivado",
    "project_files",
    "run_vivado",
    "write_output",
]
