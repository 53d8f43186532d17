# amaranth: UnusedElaboratable=no
"""The accelerator with its traffic spread over several AXI ports, on Verilator."""

import pytest

from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.axi_ports import READERS, WRITERS, port_users
from sim.accelerator.common import CONFIGS
from sim.accelerator.standins import AcceleratorWithStandIns
from sim.runner import run_bench


@pytest.mark.parametrize("ports", [3, pytest.param(4, marks=pytest.mark.full)])
def test_copies(ports: int) -> None:
    """Three ports in AXI3 bursts."""
    component = AcceleratorWithStandIns(CONFIGS[ports])
    environment = {"EFTRAIN_PORTS": str(ports)}
    assert run_bench(component, "sim.accelerator.bench_accelerator", testcase="copy.*", environment=environment) == 2


@pytest.mark.parametrize("ports", [1, 2, 3, 4])
def test_every_unit_has_one_port(ports: int) -> None:
    users = port_users(ports)
    assert len(users) == ports
    assert sorted(unit for port in users for unit in port) == sorted((*READERS, *WRITERS))


def test_loads_and_stores_are_apart_where_there_are_ports() -> None:
    for ports in (2, 3, 4):
        assert not any(set(port) & set(READERS) and set(port) & set(WRITERS) for port in port_users(ports))
    assert (Unit.COMMAND,) in port_users(4)
    with pytest.raises(ValueError, match="5"):
        port_users(5)
