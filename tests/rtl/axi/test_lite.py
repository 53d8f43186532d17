# amaranth: UnusedElaboratable=no
"""The register bank on Verilator, tested by ``sim/axi/bench_lite.py``."""

import pytest

from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.rtl.axi.lite import RegisterBank
from eftrain_hdl.rtl.axi.signature import AXI4LiteSignature
from sim.runner import run_bench


def test_bench() -> None:
    assert run_bench(RegisterBank(REGISTER_MAP), "sim.axi.bench_lite") == 1 + 2 + 5 + 6


def test_map_is_checked() -> None:
    with pytest.raises(TypeError, match="^register_map must be a RegisterMap, not 3$"):
        RegisterBank(3)


@pytest.mark.parametrize("width", [2, 65, "32"])
def test_address_width_is_checked(width: object) -> None:
    with pytest.raises(ValueError, match=f"^address_width must be an integer from 3 to 64, not {width!r}$"):
        AXI4LiteSignature(width)
