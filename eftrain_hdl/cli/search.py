"""``eftrain plan --search``: the best configurations of a board for a network."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from eftrain_hdl.cli.arguments import CliError
from eftrain_hdl.cli.common import (
    FORMATS,
    Activity,
    Output,
    board_resources,
    build_model,
    find_board,
    given_config,
    table,
)
from eftrain_hdl.config import Config

if TYPE_CHECKING:
    from eftrain_hdl.planner.search import Choice

__all__ = ["run_search"]

_FORMATS = ("fp32", "bf16")


def _rough(
    model: str, shape: tuple[int, ...] | None, classes: int | None, batch: int, momentum: float, config: Config
) -> float | None:  # fmt: skip
    from eftrain_hdl.compiler import CompileError
    from eftrain_hdl.compiler.estimate import quick_estimate
    from eftrain_hdl.graph import SGD

    try:
        network, optimizer = build_model(model, shape, classes), SGD(lr=0.01, momentum=momentum)
        return quick_estimate(network, config, batch=batch, optimizer=optimizer)
    except CompileError:
        return None


def _exact(
    model: str, shape: tuple[int, ...] | None, classes: int | None, batch: int, momentum: float, memory: str,
    clock: float, config: Config,
) -> float | None:  # fmt: skip
    from eftrain_hdl.compiler import CompileError
    from eftrain_hdl.compiler.estimate import estimate_step
    from eftrain_hdl.graph import SGD
    from eftrain_hdl.planner.dram import memory_model
    from eftrain_hdl.planner.ports import port_timing

    ports = port_timing(memory_model(memory), config, clock)
    try:
        network, optimizer = build_model(model, shape, classes), SGD(lr=0.01, momentum=momentum)
        return estimate_step(network, config, batch=batch, optimizer=optimizer, ports=ports, brief=True).cycles
    except CompileError:
        return None


def run_search(options: argparse.Namespace, output: Output, clock: float, memory: str) -> int:
    """Search and report."""
    from eftrain_hdl.graph.work import step_macs
    from eftrain_hdl.planner.search import SearchError, search

    if options.board is None:
        raise CliError("--search needs a --board")
    given = given_config(options)
    formats = [given.pop("operand").name] if "operand" in given else list(_FORMATS)
    ports = given.pop("ports", None)
    if given:
        raise CliError(f"--search chooses --{next(iter(given)).replace('_', '-')} itself: leave it out")
    board = find_board(options.board)
    base = replace(board.config, ports=ports or board.config.ports)
    has = board_resources(board)
    task = (options.model, options.input_shape, options.classes, options.batch, options.momentum)
    network = build_model(*task[:3])
    macs = sum(step_macs(network, options.batch).values())
    # The formats are searched side by side, since the last configurations of one leave processors idle.
    with (
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
        ThreadPoolExecutor(len(formats)) as threads,
        Activity("searching"),
    ):

        def every(one: Callable[[Config], float | None]) -> Callable[[Sequence[Config]], list[float | None]]:
            return lambda configs: list(pool.map(one, configs))

        def one(name: str) -> list[Choice]:
            try:
                return search(
                    has, options.share, FORMATS[name], base, macs,
                    every(partial(_rough, *task)), every(partial(_exact, *task, memory, clock)),
                )  # fmt: skip
            except SearchError as error:
                raise CliError(f"{options.board}, {name}: {error}") from None

        found = list(threads.map(one, formats))
    result: dict[str, Any] = {"board": options.board, "clock_mhz": clock, "batch": options.batch, "pareto": []}
    rows = []
    for choice in (choice for choices in found for choice in choices):
        config, gflops = choice.config, 2 * macs / choice.cycles * clock / 1000
        images = options.batch * clock * 1e6 / choice.cycles
        part = choice.resources.fractions(has)
        result["pareto"].append({
            "config": config.as_dict(), "gflops": gflops, "images_per_second": images,
            "utilization": macs / choice.cycles / config.macs, "resources": part,
        })  # fmt: skip
        depths = f"{config.streaming_depth}, {config.stationary_depth}, {config.accumulator_depth}"
        rows.append([
            f"{config.rows} x {config.lanes} {config.operand.name}", str(config.ports), depths, f"{gflops:.1f}",
            f"{images:.1f}", *(f"{part[key]:.0%}" for key in ("lut", "ff", "dsp", "bram36")),
        ])  # fmt: skip
    header = ["array", "ports", "buffers, accumulators", "GFLOPS", "images/s", "LUT", "FF", "DSP", "BRAM"]
    for line in table(header, rows):
        output.line(line)
    output.line()
    output.line(f"{options.model}, batch {options.batch}, at {clock:g} MHz on {options.board}, by the timing model")
    limit = f"at most {options.share:.0%} of LUTs, DSP and RAM blocks"
    output.line(f"(tiles from a brief search); area by a model fitted to Yosys, {limit}. Clocks are assumed.")
    output.result(result)
    return 0
