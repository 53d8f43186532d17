"""``eftrain run``: trains with a plan file, on a board or on what stands in for one."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import TYPE_CHECKING

from eftrain_hdl.cli.arguments import (
    CliError,
    address,
    clock_mhz,
    data_source,
    input_file,
    nonempty,
    number,
    refuse,
    seed,
    step_count,
)
from eftrain_hdl.cli.common import Activity, Output, add_json_option
from eftrain_hdl.cli.learners import DeviceLearner, simulated_device
from eftrain_hdl.cli.loop import add_state_options, check_state_options, load_state, train_and_report
from eftrain_hdl.cli.report import Report
from eftrain_hdl.data import Dataset, load_data
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.registers import BUFFER_NAME

if TYPE_CHECKING:
    from eftrain_hdl.compiler import Plan
    from eftrain_hdl.runtime.device import Device

__all__ = ["add_parser"]

_DEVICES = ("pynq", "uio", "sim", "emulator")
_SIM_MHZ = 250.0
_FOR_DEVICES = {
    "--bitstream": ("pynq",), "--registers": ("pynq",), "--uio": ("uio",), "--buffer": ("uio",), "--memory": ("sim",),
    "--clock": ("pynq", "uio", "sim"),
}  # fmt: skip
"""Options that only some devices have a use for."""

_DESCRIPTION = """\
Train with a plan file of `eftrain compile`, and report loss, accuracy and cycles. Needs NumPy and nothing else, but for
pynq and sim what their names say.

devices:
  pynq      a board under PYNQ: --bitstream loads eftrain.bit (with eftrain.hwh beside it); or --registers says where
            the registers of an accelerator are that is loaded already
  uio       a board with plain Linux, uio_pdrv_genirq and u-dma-buf
  sim       the RTL in Verilator; a configuration that was not used before is compiled first
  emulator  NumPy with the same bits, no cycles

The hardware says what it is: if that is not what the plan was compiled for, nothing is run, and the differences are
named. When a program does not end within --timeout seconds, or with an error, the report names unit, instruction,
address and counters.

data: digits (needs scikit-learn), or FILE.npz with x, y and, if there are, x_test, y_test (see `eftrain train --help`).

Ctrl-C, --load and --save: as `eftrain train`. JSON (--json): as there.
"""

_EPILOG = """\
examples:
  eftrain run lenet.npz --device pynq --bitstream eftrain.bit --data mnist.npz --steps 500 --save trained.npz
  eftrain run lenet.npz --device uio --data mnist.npz --load trained.npz --steps 100
  eftrain run lenet.npz --device emulator --steps 20
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "run",
        help="train with a plan file on a board",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", type=input_file, metavar="PLAN", help="the file that `eftrain compile` wrote")
    parser.add_argument("--device", choices=_DEVICES, required=True, help="see above")
    parser.add_argument(
        "--data", type=data_source, default="digits", metavar="NAME", help="digits or an .npz file (default digits)"
    )
    parser.add_argument("--steps", type=step_count, default=60, metavar="N", help="training steps (default 60)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of parameters and batches (default 0)")
    add_state_options(parser)
    board = parser.add_argument_group("boards")
    board.add_argument("--bitstream", type=input_file, metavar="FILE", help="pynq: load this .bit first")
    board.add_argument("--registers", type=address, metavar="ADDRESS", help="pynq: where they are")
    board.add_argument("--uio", type=nonempty, metavar="NAME", help="uio: name of the device (default eftrain)")
    board.add_argument("--buffer", type=nonempty, metavar="NAME", help=f"uio: the u-dma-buf (default {BUFFER_NAME})")
    board.add_argument(
        "--timeout", type=number(1e-9, 1e9), default=60.0, metavar="S", help="seconds for a program (default 60)"
    )
    board.add_argument(
        "--clock", type=clock_mhz, metavar="MHZ", help="clock, for times; the build's results.json has it (sim: 250)"
    )
    board.add_argument("--memory", default="zcu102", metavar="NAME", help="sim: DRAM model (default zcu102)")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train and report."""
    from eftrain_hdl.compiler import load_plan
    from eftrain_hdl.runtime.checkpoint import read_state
    from eftrain_hdl.runtime.errors import DeviceError
    from eftrain_hdl.runtime.trainer import Trainer

    output = Output(options)
    _check(options)
    plan = load_plan(options.plan)
    data = load_data(options.data)
    _check_data(plan, data)
    if options.load:
        read_state(options.load, plan.model, options.seed, plan.optimizer)
    start = time.monotonic()
    with Activity("preparing the device") as activity:
        device = _device(options, plan, activity)
        device.timeout = options.timeout
    # The clock of a board is what its dividers made of the one asked for: without being told, no times.
    clock = _SIM_MHZ if options.device == "sim" and options.clock is None else options.clock
    report = Report(plan.model, plan.config, plan.batch, clock)
    try:
        learner = DeviceLearner(Trainer.from_plan(plan, device, seed=options.seed))
        output.line(f"{options.plan} on {data.name}: {options.device}, batch {plan.batch}, lr {plan.optimizer.lr:g}")
        if options.load:
            load_state(learner, options, output)
        ended = train_and_report(
            learner, data, report, output, steps=options.steps, save=options.save,
            checkpoint_every=options.checkpoint_every,
        )  # fmt: skip
        flags = learner.flags()
    except DeviceError as error:
        output.line(error.report())
        raise
    finally:
        # A program that was given up, or cut off, would go on writing to memory that belongs to others soon.
        if device.needs_reset:
            with contextlib.suppress(DeviceError):
                device.reset()
    output.result({
        "plan": str(options.plan), "data": options.data, "device": options.device, "batch": plan.batch,
        "steps": options.steps, "seed": learner.position.seed, **report.as_dict(), "flags": flags,
        "wall_seconds": time.monotonic() - start,
    })  # fmt: skip
    output.end()
    if ended is not None:
        raise ended
    return 0


def _check(options: argparse.Namespace) -> None:
    """Every mistake in the options, found before anything on a board changes."""
    check_state_options(options)
    for name, devices in _FOR_DEVICES.items():
        if options.device not in devices:
            refuse(options, f"is for --device {' or '.join(devices)}, not {options.device}", [name])
    if options.device == "pynq" and options.bitstream is None and options.registers is None:
        raise CliError("--device pynq needs --bitstream, or --registers if it is loaded already")
    memory_model(options.memory)


def _check_data(plan: Plan, data: Dataset) -> None:
    if data.input_shape != plan.model.input_shape:
        raise CliError(f"{data.name} has samples of shape {data.input_shape}, the plan takes {plan.model.input_shape}")
    classes = plan.model.output_shape[0]
    if data.classes > classes:
        raise CliError(f"{data.name} has {data.classes} classes, the plan tells {classes} apart")
    if len(data.x_train) < plan.batch:
        raise CliError(f"{data.name} has {len(data.x_train)} training samples, the plan takes batches of {plan.batch}")


def _device(options: argparse.Namespace, plan: Plan, activity: Activity) -> Device:
    from eftrain_hdl.runtime.board import PynqDevice, UioDevice

    nbytes = plan.memory_bytes
    if options.device == "pynq":
        return PynqDevice(plan.config, nbytes, bitstream=options.bitstream, registers=options.registers)
    if options.device == "uio":
        return UioDevice(plan.config, nbytes, uio=options.uio, buffer=options.buffer or BUFFER_NAME)
    return simulated_device(
        options.device, plan.config, memory=options.memory, clock_mhz=options.clock or _SIM_MHZ, memory_bytes=nbytes,
        progress=activity.step,
    )  # fmt: skip
