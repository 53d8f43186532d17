"""The register map: lookups, checks, and facts that software relies on."""

import pytest

from eftrain_hdl.registers import (
    ERROR_MEANINGS,
    IDENTIFICATION,
    REGISTER_MAP,
    Access,
    ErrorCode,
    Field,
    Register,
    RegisterMap,
    Unit,
)


def word(name: str, offset: int, *, wide: bool = False) -> Register:
    return Register(name, offset, (Field("value", 0, 32, Access.WRITE, "text"),), "text", wide=wide)


def test_offsets() -> None:
    assert REGISTER_MAP.offset("ID") == 0
    assert REGISTER_MAP.offset("PROGRAM_ADDRESS") == REGISTER_MAP.offset("PROGRAM_ADDRESS_LO")
    assert REGISTER_MAP.offset("PROGRAM_ADDRESS_HI") == REGISTER_MAP.offset("PROGRAM_ADDRESS") + 4
    for name in ("NOWHERE", "BURST_HI", "CONTROL_LO"):
        with pytest.raises(KeyError, match=f"no register is called '{name}'"):
            REGISTER_MAP.offset(name)


def test_identification_spells_the_name() -> None:
    assert IDENTIFICATION.to_bytes(4, "big") == b"EFTH"


def test_every_unit_has_its_counters() -> None:
    for unit in Unit:
        if unit is not Unit.COMMAND:
            assert REGISTER_MAP[f"{unit.name}_BUSY"].snapshot and REGISTER_MAP[f"{unit.name}_WAIT"].snapshot
    for name in ("COMMAND", "LOAD_X", "LOAD_A", "STORE_0", "STORE_1"):
        assert REGISTER_MAP[f"{name}_BEATS"].wide


def test_codes_fit_their_fields() -> None:
    register = REGISTER_MAP["ERROR_CODE"]
    for code in ErrorCode:
        for unit in Unit:
            value = register.pack(code=code, unit=unit)
            assert (register.field("code").get(value), register.field("unit").get(value)) == (code, unit)


def test_every_error_has_a_meaning() -> None:
    assert list(ERROR_MEANINGS) == list(ErrorCode)


def test_pack_refuses() -> None:
    with pytest.raises(ValueError, match="^CONTROL.start is 1 bits wide, 2 does not fit$"):
        REGISTER_MAP["CONTROL"].pack(start=2)
    with pytest.raises(KeyError, match="register CONTROL has no field 'stop'"):
        REGISTER_MAP["CONTROL"].pack(stop=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field("f", 60, 5, Access.READ, ""), "field 'f': bits 60 \\+ 5 do not fit a register"),
        (lambda: Field("f", 0, 2, Access.WRITE, "", 4), "field 'f': reset value 4 does not fit 2 bits"),
        (lambda: word("R", 2), "register 'R': offset 0x2 is not aligned"),
        (lambda: word("R", 4, wide=True), "register 'R': offset 0x4 is not aligned"),
        (lambda: Register("R", 0, (), ""), "register 'R' has no fields"),
        (
            lambda: Register("R", 0, (Field("f", 20, 16, Access.READ, ""),), ""),
            "register 'R': field 'f' does not fit",
        ),
        (
            lambda: Register("R", 0, (Field("f", 0, 4, Access.READ, ""), Field("g", 3, 1, Access.READ, "")), ""),
            "register 'R': field 'g' overlaps another",
        ),
        (
            lambda: Register("R", 0, (Field("f", 0, 4, Access.READ, ""),), "", snapshot=True),
            "register 'R': only a wide read-only register can have a snapshot",
        ),
        (lambda: RegisterMap((word("R", 0), word("R", 4)), 4), "register 'R' is in the map twice"),
        (lambda: RegisterMap((word("R", 4), word("S", 4)), 4), "register 'S' overlaps or precedes the one before it"),
        (lambda: RegisterMap((word("R", 16),), 4), "registers end at 0x14, beyond 4 address bits"),
        (lambda: RegisterMap((word("R", 0), word("r", 4)), 4), "two fields have the same port name"),
    ],
)
def test_mistakes_in_a_table_are_found(make, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
