"""A training in a device's memory: programs, tensors, and whether what is there is a state of the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.compiler import Plan
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD

from .device import Device
from .errors import ConfigurationMismatch, TrainerError
from .results import ProgramRun, program_run

__all__ = ["TrainingMemory", "check_room"]

Array = NDArray[Any]
Parameters = dict[str, NDArray[np.float32]]

_PAGE = 4096


class TrainingMemory:
    """A plan on a device, at the start of the device's memory.

    Raises ConfigurationMismatch if it was compiled for another configuration, ValueError if it does not fit the memory.
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        _check_config(plan.config, device.config)
        check_room(device, plan.memory_bytes)
        self.plan, self._device = plan.relocated(_start(device)), device
        self._half_changed = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What the device holds is no state of the training while the block runs, nor after an exception in it."""
        self._half_changed = True
        yield
        self._half_changed = False

    def check_whole(self) -> None:
        """TrainerError unless the device holds this training's state after a whole number of steps."""
        if not self._device.is_claimed_by(self):
            raise TrainerError(
                "another trainer has written to this device: restore() takes it back, with this trainer's last known "
                "state"
            )
        if self._half_changed:
            raise TrainerError(
                "the device stopped while parameters were changed: call device.reset() and then restore(), which goes "
                "back to the last known state"
            )

    def check_usable(self) -> None:
        """TrainerError unless programs can be run on that state."""
        self.check_whole()
        if self._device.needs_reset:
            raise TrainerError(
                "the device stopped in the midst of a program: call device.reset(). No parameters were changed; if it "
                "stops again, restore() writes the programs and the last known state anew"
            )

    @contextmanager
    def undivided(self, *, to_run: bool = True) -> Iterator[None]:
        """Keep other threads from the device while the block runs; raises what `check_usable`, or `check_whole` unless
        it is ``to_run``, raises.
        """
        with self._device.lock:
            if to_run:
                self.check_usable()
            else:
                self.check_whole()
            yield

    def restore(self, parameters: Parameters, velocity: Parameters, optimizer: SGD) -> None:
        """Write programs and a state, and take the device from others; to be called inside of `changing`."""
        self._device.claim(self)
        for program in self.plan.programs.values():
            self._device.write(program.address, program.words)
        states = {"weights": parameters} | ({"velocity": velocity} if optimizer.momentum else {})
        for prefix, values in states.items():
            for name, words in self.plan.pack_parameters(values, prefix).items():
                self._device.write(self.plan.tensors[name].address, words)
        self.set_scalars(optimizer)

    def set_scalars(self, optimizer: SGD) -> None:
        """Write what the optimizer's instructions multiply with."""
        self._device.set_scalars(optimizer.lr, optimizer.weight_decay, optimizer.momentum)

    def write(self, name: str, array: Array) -> None:
        """Write a tensor."""
        tensor = self.plan.tensors[name]
        self._device.write(tensor.address, tensor.pack(array))

    def read(self, name: str) -> Any:
        """Read a tensor."""
        tensor = self.plan.tensors[name]
        return tensor.unpack(self._device.read(tensor.address, tensor.nbytes))

    def parameters(self, prefix: str) -> Parameters:
        """Read ``weights``, ``gradient`` or ``velocity`` of all layers, by the parameters' names."""
        tensors = {name: tensor for name, tensor in self.plan.tensors.items() if name.startswith(f"{prefix}.")}
        words = {name: self._device.read(tensor.address, tensor.nbytes) for name, tensor in tensors.items()}
        return self.plan.unpack_parameters(words, prefix)

    def run(self, name: str) -> ProgramRun:
        """Run a program."""
        program = self.plan.programs[name]
        return program_run(program, self._device.run(program.address, program.nbytes))


def check_room(device: Device, nbytes: int) -> None:
    """ValueError unless so many bytes fit the device's memory."""
    end = _start(device) + nbytes
    if end > device.window_limit:
        raise ValueError(
            f"training needs {nbytes} bytes of device memory, {end - device.window_limit} more than the device has"
        )


def _start(device: Device) -> int:
    """The first page of the device's memory."""
    return -(-device.window_base // _PAGE) * _PAGE


def _check_config(plan: Config, device: Config) -> None:
    ours, theirs = plan.as_dict(), device.as_dict()
    differ = [f"{name} {ours[name]}, the device's {theirs[name]}" for name in ours if ours[name] != theirs[name]]
    if differ:
        raise ConfigurationMismatch(f"the plan was compiled for another configuration: {'; '.join(differ)}")
