"""The generated page is that of the present tables, and says where every field is."""

from pathlib import Path

import pytest

from eftrain_hdl.export.markdown import markdown
from eftrain_hdl.isa import FORMATS, Opcode
from eftrain_hdl.registers import REGISTER_MAP, ErrorCode

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_page_is_up_to_date():
    assert (DOCS / "reference.md").read_text() == markdown(), (
        "run: eftrain export --format markdown --output docs/reference.md"
    )


@pytest.mark.parametrize("opcode", Opcode, ids=lambda opcode: opcode.name)
def test_every_field_is_on_the_page(opcode):
    rows = [line for line in markdown().splitlines() if line.startswith("| ")]
    for field in FORMATS[opcode].fields:
        word, bit = FORMATS[opcode].places[field.name]
        bits = f"{bit + field.bits - 1}:{bit}" if field.bits > 1 else f"{bit}"
        assert any(_covers(row, field.name, word, bits) for row in rows), field.name


def _covers(row: str, name: str, word: int, bits: str) -> bool:
    """Whether a row of the table places ``name`` at ``word`` and ``bits``."""
    words, ranges, names = (cell.strip() for cell in row.split("|")[1:4])
    first, _, last = names.partition(" .. ")
    if not last:
        return (words, ranges, first) == (str(word), bits, name)
    prefix, low, rest = first[0], int(first[1]), first[2:]
    if not (name[0] == prefix and name[2:] == rest and name[1].isdigit() and low <= int(name[1]) <= int(last[1])):
        return False
    place = int(name[1]) - low
    all_ranges = ranges.split(", ")
    return words.split(", ")[place] == str(word) and all_ranges[place if len(all_ranges) > 1 else 0] == bits


def test_every_register_and_error_is_on_the_page():
    page = markdown()
    for register in REGISTER_MAP:
        assert f"**{register.name}**" in page
    for code in ErrorCode:
        assert f"| {int(code)} | {code.name} |" in page


def test_every_field_of_a_register_has_one_row():
    lines = markdown().partition("## Registers")[2].splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    fields = sum(len(register.fields) for register in REGISTER_MAP)
    assert len(rows) == 1 + len(REGISTER_MAP.registers) + fields
    assert "| | | 31:0 | value | const | 0x45465448 |" in "\n".join(rows)
