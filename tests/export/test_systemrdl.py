"""The SystemRDL text, as SystemRDL's own compiler reads it: every register and field is that of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from eftrain_hdl.export.systemrdl import systemrdl
from eftrain_hdl.registers import ERROR_MEANINGS, IP_VLNV, REGISTER_MAP, Access, Register, Unit

pytest.importorskip("systemrdl", reason="systemrdl-compiler is not installed")

from systemrdl import RDLCompiler  # noqa: E402
from systemrdl.messages import MessagePrinter  # noqa: E402
from systemrdl.node import AddrmapNode, FieldNode, RegNode  # noqa: E402
from systemrdl.rdltypes import AccessType, OnWriteType  # noqa: E402

SOFTWARE = {
    Access.CONSTANT: AccessType.r, Access.READ: AccessType.r, Access.WRITE: AccessType.rw,
    Access.CLEAR: AccessType.rw, Access.PULSE: AccessType.w,
}  # fmt: skip
HARDWARE_WRITES = {Access.READ, Access.CLEAR}


class Strict(MessagePrinter):
    """Takes a warning as a failure."""

    def print_message(self, severity, text, src_ref):
        raise AssertionError(f"{severity}: {text}")


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> AddrmapNode:
    path = Path(tmp_path_factory.mktemp("rdl")) / "eftrain.rdl"
    path.write_text(systemrdl())
    compiler = RDLCompiler(message_printer=Strict(), warning_flags=~0)
    compiler.compile_file(str(path))
    return compiler.elaborate().top


def node(top: AddrmapNode, register: Register) -> RegNode:
    found = top.find_by_path(register.name)
    assert isinstance(found, RegNode)
    return found


def field(top: AddrmapNode, register: str, name: str) -> FieldNode:
    found = top.find_by_path(f"{register}.{name}")
    assert isinstance(found, FieldNode)
    return found


def test_the_map(top: AddrmapNode) -> None:
    assert top.inst_name == "eftrain" and top.get_property("name") == IP_VLNV
    assert [register.inst_name for register in top.registers()] == [register.name for register in REGISTER_MAP]
    assert top.size <= 1 << REGISTER_MAP.address_width


@pytest.mark.parametrize("register", REGISTER_MAP.registers, ids=lambda register: register.name)
def test_a_register_and_its_fields(top: AddrmapNode, register: Register) -> None:
    found = node(top, register)
    assert (found.absolute_address, found.size) == (register.offset, register.size)
    assert (found.get_property("regwidth"), found.get_property("accesswidth")) == (8 * register.size, 32)
    assert found.get_property("desc").startswith(register.doc)
    assert ("captures the high word" in found.get_property("desc")) == register.snapshot
    fields = {item.inst_name: item for item in found.fields()}
    assert set(fields) == {item.name for item in register.fields}
    for item in register.fields:
        has = fields[item.name]
        assert (has.lsb, has.width) == (item.lsb, item.width), item.name
        assert has.get_property("sw") == SOFTWARE[item.access], item.name
        assert has.get_property("onwrite") == (OnWriteType.woclr if item.access is Access.CLEAR else None), item.name
        assert has.get_property("singlepulse") == (item.access is Access.PULSE), item.name
        assert (has.is_hw_writable or has.get_property("hwset")) == (item.access in HARDWARE_WRITES), item.name
        assert has.get_property("reset") == (None if item.access is Access.READ else item.reset), item.name
        assert has.get_property("desc") == item.doc, item.name


@pytest.mark.parametrize("name, numbers", [("code", ERROR_MEANINGS), ("unit", {unit: unit.name for unit in Unit})])
def test_codes_have_their_names(top: AddrmapNode, name: str, numbers: dict) -> None:
    members = field(top, "ERROR_CODE", name).get_property("encode").members.values()
    assert {(item.name, item.value, item.rdl_desc) for item in members} == {
        (number.name, int(number), text) for number, text in numbers.items()
    }
