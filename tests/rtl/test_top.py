# amaranth: UnusedElaboratable=no
"""Port names and determinism of the Verilog that an FPGA tool gets."""

from __future__ import annotations

import re

import pytest

from eftrain_hdl.rtl.accelerator import Accelerator
from eftrain_hdl.rtl.top import Top, generate_verilog
from sim.accelerator.common import CONFIGS
from sim.accelerator.standins import AcceleratorWithStandIns

ADDRESS = "id addr len size burst lock cache prot qos valid ready"
CHANNELS = {"aw": ADDRESS, "ar": ADDRESS, "w": "data strb last valid ready", "b": "id resp valid ready",
            "r": "id data resp last valid ready"}
LITE = {"aw": "addr prot valid ready", "ar": "addr prot valid ready", "w": "data strb valid ready",
        "b": "resp valid ready", "r": "data resp valid ready"}


def names(prefix: str, channels: dict[str, str]) -> set[str]:
    return {f"{prefix}{channel}{member}" for channel, members in channels.items() for member in members.split()}


@pytest.fixture(scope="module")
def verilog() -> str:
    return generate_verilog(CONFIGS[2], accelerator=AcceleratorWithStandIns(CONFIGS[2]))


def declared(text: str) -> dict[str, tuple[str, int]]:
    """Name to (direction, bits) of the ports of the top module."""
    body = text[text.index("module eftrain(") :]
    body = body[: body.index("endmodule")]
    found = re.findall(r"^\s*(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):0\]\s+)?(\w+)\s*;", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def test_exactly_the_ports_that_were_promised(verilog: str) -> None:
    expected = {"aclk", "aresetn", "interrupt"} | names("s_axi_ctrl_", LITE)
    for port in range(2):
        expected |= names(f"m_axi_{port}_", CHANNELS)
    assert set(declared(verilog)) == expected
    assert list(Top(CONFIGS[2], AcceleratorWithStandIns(CONFIGS[2])).ports)[:3] == ["aclk", "aresetn", "interrupt"]


def test_directions_and_widths(verilog: str) -> None:
    ports = declared(verilog)
    assert ports["aclk"] == ports["aresetn"] == ("input", 1)
    assert ports["interrupt"] == ("output", 1)
    assert ports["s_axi_ctrl_awaddr"] == ("input", 12) and ports["s_axi_ctrl_rdata"] == ("output", 32)
    assert ports["m_axi_0_araddr"] == ("output", 40) and ports["m_axi_1_wdata"] == ("output", 64)
    assert ports["m_axi_1_wstrb"] == ("output", 8) and ports["m_axi_0_rdata"] == ("input", 64)
    assert ports["m_axi_0_rready"] == ports["m_axi_1_awvalid"] == ("output", 1)


def test_no_internal_attributes(verilog: str) -> None:
    assert "amaranth" not in verilog and "(* src" not in verilog


def test_config_is_checked() -> None:
    with pytest.raises(TypeError, match="Config"):
        Accelerator(4)  # type: ignore[arg-type]
