"""Closed estimates for work that the gateware cannot do yet: passes of the vector unit over maps in DRAM.

Beats are those of a map as DRAM holds it, channels filled up to whole lane vectors: `map_beats`. See ``docs/model.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eftrain_hdl.config import Config
from eftrain_hdl.planner.ports import PortTiming

__all__ = [
    "Pass",
    "addition",
    "average_pool_backward",
    "average_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_update",
    "map_beats",
    "rectify_backward",
]

START_CYCLES = 155
"""What a pass costs beyond beats and latencies, so that a ReLU that stands alone takes as long as in the timing model.
"""


@dataclass(frozen=True)
class Pass:
    """One pass, in beats.

    Attributes
    ----------
    vector : int
        Elements of the vector unit's nest, one a cycle.
    reads, writes : int
        Through the port that loads operands, and through the one that stores.
    """

    vector: int
    reads: int
    writes: int

    def cycles(self, config: Config, ports: PortTiming) -> float:
        """From the request of the first beat to the answer to the last one.

        Reading, calculating and writing overlap: the slowest sets the pace. The vector unit works in pieces of half an
        operand memory: one begins when it has been loaded, so the last one comes on top, and so does what every load
        waits for the memory. Passes do not overlap: the next one needs what this one leaves behind.
        """
        piece = min(self.vector, config.operand_depth // 2)
        count = -(-self.vector // piece)
        alone = max(
            self.vector,
            self.reads / min(ports.read_rate, ports.read_limit),
            self.writes / min(ports.write_rate, ports.write_limit),
        )
        together = max(alone, (self.reads + self.writes) / ports.mixed_limit if self.writes else 0)
        # Nothing is loaded while the last piece is written.
        pace = alone / count + together * (count - 1) / count
        return START_CYCLES + pace + piece + count * ports.read_latency + (ports.write_latency if self.writes else 0)


def map_beats(config: Config, batch: int, shape: Sequence[int]) -> int:
    """Beats of a map of ``shape``, (channels, height, width) or (features,), for ``batch`` images."""
    channels, *positions = shape
    beats = batch * -(-channels // config.lanes) * config.vector_beats
    for size in positions:
        beats *= size
    return beats


def batch_norm_forward(beats: int) -> list[Pass]:
    """Sums and sums of squares; then normalised, scaled, shifted and, if a ReLU follows, rectified."""
    return [Pass(beats, beats, 0), Pass(beats, beats, beats)]


def batch_norm_backward(beats: int, input_gradient: bool) -> list[Pass]:
    """Sums of the gradient and of its product with the normalised input, which are the gradients of the parameters;
    then the gradient of the input, if it is wanted.

    Both passes read gradient and input; a ReLU behind the layer is decided anew from the input.
    """
    sums = Pass(beats, 2 * beats, 0)
    return [sums, Pass(beats, 2 * beats, beats)] if input_gradient else [sums]


def batch_norm_update(beats: int, momentum: bool) -> list[Pass]:
    """New weights and biases, and their velocities; ``beats`` of one lane vector for each channel tile."""
    tensors = 2 * (1 + momentum)
    return [Pass(2 * beats, tensors * beats, tensors * beats)]


def addition(beats: int) -> list[Pass]:
    """Sum of two maps, rectified if a ReLU follows; or of two gradients, where both ways out of a block meet."""
    return [Pass(beats, 2 * beats, beats)]


def rectify_backward(beats: int) -> list[Pass]:
    """A gradient where the output was above zero: reads both."""
    return [Pass(beats, 2 * beats, beats)]


def average_pool_forward(inputs: int, outputs: int, window: int) -> list[Pass]:
    """Means of windows of ``window`` positions, from a map of ``inputs`` beats to one of ``outputs``."""
    return [Pass(outputs * window, inputs, outputs)]


def average_pool_backward(inputs: int, outputs: int, window: int) -> list[Pass]:
    """Every gradient of the output goes to all positions of its window, and zero to those of none."""
    return [Pass(max(inputs, outputs * window), outputs, inputs)]
