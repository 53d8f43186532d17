"""cocotb bench of the whole accelerator with its arithmetic: training steps, against the emulator and golden step.

Forward pass on the accelerator, softmax and its gradient on the host, backward pass and update on the accelerator; then
a second step. Run through ``tests/rtl/test_golden_step.py`` and ``make sim``.
"""

import os

import cocotb
import numpy as np
from cocotb.task import bridge

from eftrain_hdl.graph import CrossEntropyLoss
from eftrain_hdl.runtime.device import Device
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.trainer import Trainer
from sim.accelerator.device import CocotbDevice, watch_outputs
from sim.accelerator.golden import CONFIGS, MEMORY_BYTES, NETWORKS, OPTIMIZER, Golden, samples

CONFIG = CONFIGS[os.environ["EFTRAIN_CONFIG"]]
STEPS = 2
STALL = 0.15


def trainer(device: Device, network: str, batch: int) -> Trainer:
    """A trainer on a device whose memory holds random bytes wherever the plan has nothing."""
    made = Trainer(
        NETWORKS[network], loss=CrossEntropyLoss(), optimizer=OPTIMIZER, batch=batch, device=device, seed=3
    )
    device.write(0, np.random.default_rng(1).integers(0, 256, MEMORY_BYTES, np.uint8))
    device.write(made.plan.memory_base, np.zeros(made.plan.memory_bytes, np.uint8))
    made.restore()
    return made


def train(device: CocotbDevice, network: str, batch: int) -> None:
    """Blocking code, as any host's."""
    device.setup()
    rtl, emulator = trainer(device, network, batch), trainer(EmulatorDevice(CONFIG, MEMORY_BYTES), network, batch)
    golden = Golden(NETWORKS[network], rtl.parameters())
    for step in range(STEPS):
        x, y = samples(NETWORKS[network], batch, step)
        result = rtl.step(x, y)
        assert result.loss == emulator.step(x, y).loss
        golden.step(x, y)
        cocotb.log.info("step %d: %d cycles, loss %.6f", step, result.cycles, result.loss)
        ours, theirs = (device.read(0, MEMORY_BYTES) for device in (rtl.device, emulator.device))
        places = np.flatnonzero(ours != theirs)
        assert not len(places), f"step {step}: {len(places)} bytes differ from the emulator's, first {places[0]:#x}"
        golden.assert_close(rtl.parameters(), CONFIG.operand)
    assert device.flags() == {"overflow": False, "invalid": False}


@cocotb.test()
@cocotb.parametrize(network=list(NETWORKS), batch=[1, 3])
async def golden_step(dut, network: str, batch: int) -> None:
    """Every byte of memory is the emulator's, the parameters are those of the golden step, and no output is unknown."""
    device = CocotbDevice(dut, CONFIG, memory_bytes=MEMORY_BYTES, stall=STALL, seed=cocotb.RANDOM_SEED)
    await device.start()
    unknown: set[str] = set()
    cocotb.start_soon(watch_outputs(dut, unknown))
    await bridge(train)(device, network, batch)
    assert not unknown, f"outputs with unknown bits: {sorted(unknown)}"
