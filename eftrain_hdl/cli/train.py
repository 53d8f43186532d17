"""``eftrain train``: trains a network on a device and says how it went."""

from __future__ import annotations

import argparse
import time

from eftrain_hdl.cli.arguments import at_least_one, clock_mhz, data_source, rate, refuse, seed, step_count
from eftrain_hdl.cli.common import (
    Activity,
    Output,
    add_config_options,
    add_json_option,
    build_model,
    config_from,
    refuse_config,
)
from eftrain_hdl.cli.learners import DeviceLearner, GoldenLearner, Learner, simulated_device
from eftrain_hdl.cli.loop import add_state_options, check_state_options, load_state, train_and_report
from eftrain_hdl.cli.plot import plot_file
from eftrain_hdl.cli.report import Report
from eftrain_hdl.config import Config
from eftrain_hdl.data import Dataset, batches, load_data
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, check_trainable
from eftrain_hdl.planner.dram import MEMORY_MODELS, memory_model
from eftrain_hdl.runtime.checkpoint import read_state
from eftrain_hdl.runtime.trainer import Trainer
from eftrain_hdl.zoo import models

__all__ = ["add_parser", "learning_rate"]

_DEVICES = ("sim", "emulator", "golden")
_MEMORY_BYTES = 1 << 28
_RATES = {"shallow": 0.05, "lenet": 0.02}
_RATE = 0.01
"""Of networks that have none of their own."""

_DESCRIPTION = """\
Train a network of the zoo and report loss, test accuracy, cycles and how busy the array was.

devices:
  sim       the RTL of the accelerator in Verilator behind a model of a board's DRAM: cycle counts are the hardware's.
            A configuration that was not used before is elaborated and compiled first, a minute or more.
  emulator  NumPy that executes the same program with the same bits; no cycles.
  golden    plain NumPy float32 without compiler and program; what the other two are compared with.

data:
  digits    1797 handwritten digits of scikit-learn, 8x8, ten classes
  FILE.npz  x (samples, channels, height, width) or (samples, features), floating point and already scaled; y integer
            labels from 0; x_test and y_test if there are, otherwise a fifth of the samples is held back

Ctrl-C ends the training behind the step that runs, with the report so far, the file of --save and exit status 130; a
second one stops at once. A training that diverges (a loss that is not finite) ends before that step with exit status 2;
the file of --save stays what it was. --steps counts from the file of --load on.

JSON (--json): loss (of every step), ended (complete, interrupted, diverged), accuracy_before and accuracy (on the test
data, 0 to 1; null if it ended early), cycles (of every step; empty without a clock), utilization (overall, FP, BP, WU:
useful multiply-accumulates over cycles x rows x lanes), layers (the same by layer and phase), seconds at the clock,
seed, config and more.
"""

_EPILOG = """\
examples:
  eftrain train --steps 300 --plot build/loss.png
  eftrain train --model shallow --device emulator --steps 60
  eftrain train --steps 500 --save build/lenet.npz --checkpoint-every 50
  eftrain train --steps 500 --load build/lenet.npz --save build/lenet.npz
  eftrain train --data mine.npz --device sim --rows 16 --lanes 16 --operand bf16 --json result.json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "train",
        help="train a network on the simulated RTL, the emulator or in NumPy",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what to train")
    what.add_argument("--model", default="lenet", help=f"{', '.join(sorted(models))} (default lenet)")
    what.add_argument(
        "--data", type=data_source, default="digits", metavar="NAME", help="digits or an .npz file (default digits)"
    )
    what.add_argument("--batch", type=at_least_one, default=16, metavar="N", help="samples per step (default 16)")
    what.add_argument("--steps", type=step_count, default=60, metavar="N", help="training steps (default 60)")
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in _RATES.items())
    what.add_argument("--lr", type=rate, metavar="X", help=f"learning rate (default {rates}, else {_RATE:g})")
    what.add_argument("--momentum", type=rate, default=0.9, metavar="X", help="of SGD (default 0.9)")
    what.add_argument("--weight-decay", type=rate, default=0.0, metavar="X", help="of SGD (default 0)")
    what.add_argument("--seed", type=seed, default=0, metavar="N", help="of parameters and batches (default 0)")
    where = parser.add_argument_group("where")
    where.add_argument("--device", choices=_DEVICES, default="sim", help="see above (default sim)")
    memories = ", ".join(sorted(MEMORY_MODELS))
    where.add_argument("--memory", default="zcu102", metavar="NAME", help=f"DRAM of sim: {memories} (default zcu102)")
    where.add_argument(
        "--clock", type=clock_mhz, default=250.0, metavar="MHZ", help="clock of sim in MHz (default 250)"
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--plot", type=plot_file, metavar="FILE", help="draw loss and cycles (.png, .svg, ...; needs matplotlib)"
    )
    add_state_options(results)
    add_json_option(results)
    add_config_options(parser, Config(rows=8, lanes=8))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train and report."""
    output = Output(options)
    data, model, optimizer, config = _checked(options)
    title = f"{options.model} on {data.name}: {options.device}, batch {options.batch}, lr {optimizer.lr:g}"
    if options.device != "golden":
        title += f", {config.rows} x {config.lanes} {config.operand.name}"

    start = time.monotonic()
    learner = _learner(options, model, optimizer, config)
    output.line(title)
    if options.load:
        load_state(learner, options, output)
    report = Report(model, config, options.batch, options.clock)
    ended = train_and_report(
        learner, data, report, output, steps=options.steps, save=options.save,
        checkpoint_every=options.checkpoint_every,
    )  # fmt: skip
    flags = learner.flags()
    output.result({
        "model": options.model, "data": options.data, "device": options.device, "batch": options.batch,
        "steps": options.steps, "lr": optimizer.lr, "momentum": optimizer.momentum,
        "weight_decay": optimizer.weight_decay, "seed": learner.position.seed,
        "memory": options.memory if options.device == "sim" else None,
        **report.as_dict(), "flags": flags, "wall_seconds": time.monotonic() - start,
    })  # fmt: skip
    if options.plot and report.steps:
        from eftrain_hdl.cli.plot import draw

        draw(report, title, options.plot)
        output.line(f"plot           {options.plot}")
    output.end()
    if ended is not None:
        raise ended
    return 0


def _checked(options: argparse.Namespace) -> tuple[Dataset, Sequential, SGD, Config]:
    """What the options describe, with every mistake in them found before anything slow begins."""
    if options.device == "golden":
        refuse_config(options, "is for accelerators: --device golden is NumPy without one", "--memory", "--clock")
    if options.device == "emulator":
        refuse(options, "is for --device sim: the emulator has neither", ["--memory", "--clock"])
    config = config_from(options)
    check_state_options(options)
    memory_model(options.memory)
    check_trainable(build_model(options.model, None, 10))
    data = load_data(options.data)
    model = build_model(options.model, data.input_shape, data.classes)
    optimizer = SGD(lr=learning_rate(options), momentum=options.momentum, weight_decay=options.weight_decay)
    batches(data.x_train, data.y_train, options.batch, options.seed, 0)
    if options.load:
        read_state(options.load, model, options.seed, optimizer)
    return data, model, optimizer, config


def learning_rate(options: argparse.Namespace) -> float:
    """``--lr``, or what suits ``--model``."""
    return _RATES.get(options.model, _RATE) if options.lr is None else options.lr


def _learner(options: argparse.Namespace, model: Sequential, optimizer: SGD, config: Config) -> Learner:
    if options.device == "golden":
        return GoldenLearner(model, optimizer, options.batch, options.seed)
    with Activity("preparing the device") as activity:
        device = simulated_device(
            options.device, config, memory=options.memory, clock_mhz=options.clock, memory_bytes=_MEMORY_BYTES,
            progress=activity.step,
        )  # fmt: skip
        activity.step("compiling the network")
        return DeviceLearner(
            Trainer(
                model, loss=CrossEntropyLoss(), optimizer=optimizer, batch=options.batch, device=device,
                seed=options.seed,
            )
        )  # fmt: skip
