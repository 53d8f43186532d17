"""The shell that Vivado packages: every AXI signal with its width and direction, every attribute."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from eftrain_hdl import boards
from eftrain_hdl.config import Config
from eftrain_hdl.vivado.verilog import SHELL, shell_verilog
from tests.boards.projects import CASES

# Arm IHI 0022, table of signals: name and bits, of the manager's outputs and of its inputs.
ADDRESS = {"ID": 1, "ADDR": "address", "LEN": 8, "SIZE": 3, "BURST": 2, "LOCK": 1, "CACHE": 4, "PROT": 3, "QOS": 4,
           "VALID": 1}  # fmt: skip
AXI4_OUT = {
    **{f"AW{name}": bits for name, bits in ADDRESS.items()}, **{f"AR{name}": bits for name, bits in ADDRESS.items()},
    "WDATA": "data", "WSTRB": "bytes", "WLAST": 1, "WVALID": 1, "BREADY": 1, "RREADY": 1,
}  # fmt: skip
AXI4_IN = {"AWREADY": 1, "ARREADY": 1, "WREADY": 1, "BID": 1, "BRESP": 2, "BVALID": 1, "RID": 1, "RDATA": "data",
           "RRESP": 2, "RLAST": 1, "RVALID": 1}  # fmt: skip
LITE_OUT = {"AWADDR": "address", "AWPROT": 3, "AWVALID": 1, "WDATA": "data", "WSTRB": "bytes", "WVALID": 1, "BREADY": 1,
            "ARADDR": "address", "ARPROT": 3, "ARVALID": 1, "RREADY": 1}  # fmt: skip
LITE_IN = {"AWREADY": 1, "WREADY": 1, "BRESP": 2, "BVALID": 1, "ARREADY": 1, "RDATA": "data", "RRESP": 2, "RVALID": 1}

Ports = dict[str, tuple[str, int]]


def axi(name: str, sides: dict[str, dict[str, int | str]], address: int, data: int) -> Ports:
    """Ports of one interface: name to direction and bits."""
    bits = {"address": address, "data": data, "bytes": data // 8}
    return {f"{name}_{signal.lower()}": (direction, bits[size] if isinstance(size, str) else size)
            for direction, signals in sides.items() for signal, size in signals.items()}  # fmt: skip


def expected_ports(config: Config) -> Ports:
    """What a configuration must have, from the standards alone."""
    assert config.data_width is not None
    found: Ports = {"aclk": ("input", 1), "aresetn": ("input", 1), "interrupt": ("output", 1)}
    found |= axi("s_axi_ctrl", {"input": LITE_OUT, "output": LITE_IN}, 12, 32)
    for k in range(config.ports):
        found |= axi(f"m_axi_{k}", {"output": AXI4_OUT, "input": AXI4_IN}, config.address_width, config.data_width)
    return found


def shell_ports(text: str) -> tuple[Ports, dict[str, dict[str, str]]]:
    """Direction and bits, and attributes, of the ports of the shell."""
    header = text[text.index(f"module {SHELL} (") : text.index(");")]
    pattern = r'((?:\s*\(\* \w+ = "[^"]*" \*\))*)\s*(input|output) wire(?: \[(\d+):0\])? (\w+)'
    ports, attributes = {}, {}
    for texts, direction, high, name in re.findall(pattern, header):
        ports[name] = (direction, int(high or 0) + 1)
        attributes[name] = dict(re.findall(r'\(\* (\w+) = "([^"]*)" \*\)', texts))
    return ports, attributes


@pytest.mark.parametrize("name, operand", CASES)
def test_every_signal_of_a_board(name: str, operand: str) -> None:
    config = boards.get(name).configs[operand]
    ports, _ = shell_ports(shell_verilog(config))
    assert ports == expected_ports(config)


@pytest.mark.parametrize("name, operand", CASES)
def test_every_attribute_of_a_board(name: str, operand: str) -> None:
    config = boards.get(name).configs[operand]
    ports, attributes = shell_ports(shell_verilog(config))
    told: dict[str, list[dict[str, str]]] = {}
    for port, found in attributes.items():
        vlnv, interface, logical = found["X_INTERFACE_INFO"].split(" ")
        single = {"aclk": ("clock", "CLK"), "aresetn": ("reset", "RST"), "interrupt": ("interrupt", "INTERRUPT")}
        if port in single:
            kind, expected = single[port]
            assert (vlnv, interface, logical) == (f"xilinx.com:signal:{kind}:1.0", port, expected)
        else:
            assert vlnv == "xilinx.com:interface:aximm:1.0" and port == f"{interface}_{logical.lower()}"
        if "X_INTERFACE_PARAMETER" in found:
            first, *parameters = found["X_INTERFACE_PARAMETER"].split(", ")
            assert first == f"XIL_INTERFACENAME {interface}"
            told.setdefault(interface, []).append(dict(item.split(" ") for item in parameters))
    memories = [f"m_axi_{k}" for k in range(config.ports)]
    assert set(told) == {"aclk", "aresetn", "interrupt", "s_axi_ctrl", *memories}
    assert all(len(parameters) == 1 for parameters in told.values())
    assert told["aclk"] == [{"ASSOCIATED_BUSIF": ":".join(["s_axi_ctrl", *memories]), "ASSOCIATED_RESET": "aresetn"}]
    assert told["aresetn"] == [{"POLARITY": "ACTIVE_LOW"}]
    assert told["interrupt"] == [{"SENSITIVITY": "LEVEL_HIGH"}]
    assert told["s_axi_ctrl"][0]["PROTOCOL"] == "AXI4LITE"
    for memory in memories:
        (parameters,) = told[memory]
        assert parameters["PROTOCOL"] == "AXI4" and parameters["SUPPORTS_NARROW_BURST"] == "0"
        assert int(parameters["MAX_BURST_LENGTH"]) == (16 if boards.get(name).ps.axi3 else 256)
        assert int(parameters["DATA_WIDTH"]) == ports[f"{memory}_wdata"][1]
        assert int(parameters["ADDR_WIDTH"]) == ports[f"{memory}_araddr"][1]


def test_outstanding_bursts_follow_the_users_of_a_port() -> None:
    """SmartConnect would let one burst through at a time if it were not told of more."""

    def outstanding(config: Config) -> list[tuple[int, int]]:
        found = re.findall(r"NUM_READ_OUTSTANDING (\d+), NUM_WRITE_OUTSTANDING (\d+)", shell_verilog(config))
        return [(int(reads), int(writes)) for reads, writes in found]

    config = boards.get("zcu102").config
    assert config.outstanding == 8
    assert outstanding(replace(config, ports=1)) == [(24, 16)]
    assert outstanding(replace(config, ports=2)) == [(24, 1), (1, 16)]
    assert outstanding(replace(config, ports=3)) == [(8, 1), (16, 1), (1, 16)]
    assert outstanding(replace(config, ports=1, outstanding=32)) == [(64, 64)]


def test_no_frequency_is_told() -> None:
    assert "FREQ" not in shell_verilog(boards.get("zcu102").config)
