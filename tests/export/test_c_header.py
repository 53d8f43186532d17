"""The C header: it compiles without a warning, and every value in it is that of the tables."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eftrain_hdl.export.c_header import c_header
from eftrain_hdl.registers import ERROR_MEANINGS, IP_VLNV, ErrorCode, Unit
from tests.export.expected import constants

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the header."""
    (tmp_path / "eftrain.h").write_text(c_header())
    return tmp_path


def built(folder: Path, compiler: str, *arguments: str) -> Path:
    """Compile and link; the program."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    done = subprocess.run(
        [compiler, *WARNINGS, *arguments, "-o", "program"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "program"


def output(program: Path) -> list[str]:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def test_every_constant_has_its_value_in_c(folder: Path) -> None:
    """The program prints what the compiler makes of each macro that the header defines."""
    names = re.findall(r"^#define EFTRAIN_(\w+) ", c_header(), re.MULTILINE)
    numbers = [name for name in names if name != "VLNV"]
    assert len(set(names)) == len(names)
    prints = (f'    printf("{name} %" PRIu64 "\\n", (uint64_t)EFTRAIN_{name});\n' for name in numbers)
    (folder / "print.c").write_text(
        '#include "eftrain.h"\n#include <inttypes.h>\n#include <stdio.h>\n'
        f"int main(void)\n{{\n    puts(EFTRAIN_VLNV);\n{''.join(prints)}    return 0;\n}}\n"
    )
    vlnv, *lines = output(built(folder, "cc", "-std=c99", "print.c"))
    assert vlnv == IP_VLNV
    printed = {name: int(value) for name, value in (line.split() for line in lines)}
    assert printed == constants()


def test_masks_of_32_and_64_bits_have_types_of_that_size(folder: Path) -> None:
    (folder / "sizes.c").write_text(
        '#include "eftrain.h"\n#include <stdio.h>\n'
        'int main(void)\n{\n    printf("%d %d\\n", (int)sizeof EFTRAIN_CONTROL_START_MASK, '
        "(int)sizeof EFTRAIN_CYCLES_VALUE_MASK);\n    return 0;\n}\n"
    )
    assert output(built(folder, "cc", "-std=c99", "sizes.c")) == ["4 8"]


def test_texts(folder: Path) -> None:
    (folder / "texts.c").write_text(
        '#include "eftrain.h"\n#include <stdio.h>\nint main(void)\n{\n    uint32_t number;\n'
        f"    for (number = 0; number <= {len(ErrorCode)}; number++) puts(eftrain_error_text(number));\n"
        f"    for (number = 0; number <= {len(Unit)}; number++) puts(eftrain_unit_text(number));\n"
        "    return 0;\n}\n"
    )
    errors = [ERROR_MEANINGS[code] for code in ErrorCode]
    units = [unit.name for unit in Unit]
    assert output(built(folder, "cc", "-std=c99", "texts.c")) == [*errors, "unknown", *units, "unknown"]


@pytest.mark.parametrize("compiler, standard, ending", [("cc", "c99", "c"), ("g++", "c++11", "cpp")])
def test_two_files_of_one_program_include_it(folder: Path, compiler: str, standard: str, ending: str) -> None:
    """Twice each, and one of them calls nothing."""
    include = '#include "eftrain.h"\n#include "eftrain.h"\n'
    (folder / f"other.{ending}").write_text(
        f"{include}uint32_t other(void);\nuint32_t other(void) {{ return {int(ErrorCode.WATCHDOG)}; }}\n"
    )
    (folder / f"main.{ending}").write_text(
        f"{include}#include <stdio.h>\nuint32_t other(void);\n"
        "int main(void) { puts(eftrain_error_text(other())); return 0; }\n"
    )
    program = built(folder, compiler, f"-std={standard}", f"main.{ending}", f"other.{ending}")
    assert output(program) == [ERROR_MEANINGS[ErrorCode.WATCHDOG]]
