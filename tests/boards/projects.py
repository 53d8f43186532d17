"""Projects without their long part, the Verilog of the accelerator."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import eftrain_hdl.vivado.project as project
from eftrain_hdl import boards
from eftrain_hdl.config import Config
from eftrain_hdl.vivado import project_files, write_output

BOARDS = tuple(boards.get(name) for name in boards.names())
CASES = [(board.name, operand) for board in BOARDS for operand in board.configs]


def quick_files(board: boards.Board, config: Config) -> dict[str, bytes]:
    """The files of a project, with an empty accelerator."""
    with patch.object(project, "accelerator_verilog", lambda config: "module eftrain;\nendmodule\n"):
        return project_files(board, config, board.clock_mhz)


def quick_project(directory: Path, board: boards.Board, config: Config) -> Path:
    """The same in a folder."""
    write_output(directory, quick_files(board, config))
    return directory
