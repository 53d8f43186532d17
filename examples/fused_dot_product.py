"""The fused dot product in a design of one's own: a filter that gives one FP32 sample a clock cycle.

Prints the filtered samples next to NumPy's in float64. Exits with 1 unless every sample has the bits of the NumPy twin
of the gateware and lies within the error bound of docs/numerics.md.
"""

import sys

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from eftrain_hdl.numerics import FP32, default_window, from_bits, fused_dot, to_bits
from eftrain_hdl.rtl.fp import FusedDot

TAPS = 8


class Filter(wiring.Component):
    """Weighted sum of the last ``TAPS`` samples; ``o_valid`` follows ``i_valid`` after ``latency`` cycles."""

    i: In(32)
    i_valid: In(1)
    o: Out(32)
    o_valid: Out(1)

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = to_bits(weights, FP32)
        self.dot = FusedDot(TAPS, FP32)
        self.latency = 1 + self.dot.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = self.dot
        # All-zero bits are 0.0, so the samples before the first one need no special case.
        history = Signal(data.ArrayLayout(32, TAPS))
        # The units have no handshake and never stall: what belongs to a result travels beside them.
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i_valid, valid))
        with m.If(self.i_valid):
            m.d.sync += history.eq(Cat(self.i, history))
        m.d.comb += [dot.a.eq(history), self.o.eq(dot.o), self.o_valid.eq(valid[-1])]
        m.d.comb += [dot.b[tap].eq(int(weight)) for tap, weight in enumerate(self.weights)]
        return m


def simulate(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """What the filter makes of ``samples``."""
    design = Filter(weights)
    results: list[int] = []

    async def feed(ctx: SimulatorContext) -> None:
        ctx.set(design.i_valid, 1)
        for bits in to_bits(samples, FP32):
            ctx.set(design.i, int(bits))
            await ctx.tick()
        ctx.set(design.i_valid, 0)

    async def collect(ctx: SimulatorContext) -> None:
        while len(results) < len(samples):
            (bits,) = await ctx.tick().sample(design.o).until(design.o_valid)
            results.append(bits)

    simulator = Simulator(design)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed)
    simulator.add_testbench(collect)
    simulator.run()
    return from_bits(np.array(results, np.uint32), FP32)


def main() -> int:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal(TAPS).astype(np.float32)
    samples = rng.standard_normal(32).astype(np.float32)
    found = simulate(weights, samples)

    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (TAPS - 1, 0)), TAPS)[:, ::-1]
    products = windows.astype(np.float64) * weights
    exact = products.sum(axis=1)
    error = np.abs(found - exact)
    cut = TAPS * 2.0 ** (2 - default_window(FP32)) * np.abs(products).max(axis=1)
    bound = cut + 2.0**-24 * (np.abs(exact) + cut)
    twin, _ = fused_dot(windows, np.broadcast_to(weights, windows.shape))

    print("gateware       float64              error      bound")
    for row in range(8):
        print(f"{found[row]:+.7f}  {exact[row]:+.16f}  {error[row]:.2e}  {bound[row]:.2e}")
    same = np.array_equal(found.view(np.uint32), twin.view(np.uint32))
    print(f"{len(found)} samples; largest error {error.max():.2e}; bits {'as' if same else 'NOT as'} in fused_dot")
    return 0 if same and (error <= bound).all() else 1


if __name__ == "__main__":
    sys.exit(main())
