"""What a component holds inside, for lemmas: its registers and queues by their names."""

from amaranth.hdl import Array, Const, Elaboratable, Fragment, MemoryInstance, Mux, Signal, Value

__all__ = ["Inside", "Queue"]


class Queue:
    """A ``SyncFIFO`` or ``SyncFIFOBuffered`` seen from inside.

    Attributes
    ----------
    depth : places of its memory
    places : what they hold
    level : how many of them are filled; a buffered queue's output register is one place more
    """

    def __init__(self, inside: "Inside") -> None:
        (storage,) = (part for part, name, _ in inside.fragment.subfragments if name == "storage")
        assert isinstance(storage, MemoryInstance)
        self.depth: int = storage._data.depth
        self.level: Value = inside["inner_level" if inside.has("inner_level") else "level"]
        pointer_width = (self.depth - 1).bit_length()
        self._produce: Value = inside["produce"] if pointer_width else Const(0, 1)
        self._consume: Value = inside["consume"] if pointer_width else Const(0, 1)
        width = len(storage._read_ports[0]._data)
        self.places = [Signal(width, name=f"place{number}") for number in range(self.depth)]
        for number, place in enumerate(self.places):
            address = Const(number, pointer_width)
            storage.read_port(domain="comb", addr=address, data=place, en=Const(1), transparent_for=())

    def sound(self) -> Value:
        """Pointers and level agree: what every queue keeps of itself."""
        behind = self._consume + self.level
        wrapped = Mux(behind >= self.depth, behind - self.depth, behind)
        return (self._consume < self.depth) & (self._produce == wrapped) & (self.level <= self.depth)

    def holds(self, number: int) -> Value:
        """Place ``number`` of the memory is filled."""
        distance = number - self._consume
        return Mux(distance < 0, distance + self.depth, distance) < self.level

    def __getitem__(self, number: int) -> Value:
        """Entry ``number`` in the order in which they come out; meaningless from ``level`` on."""
        return Array(self.places[(number + first) % self.depth] for first in range(self.depth))[self._consume]


class Inside:
    """An elaborated component.

    ``inside["name"]`` is the signal of that name which the component drives, ``inside.part("name")`` its submodule.
    Put ``fragment`` into a module in the component's place.
    """

    def __init__(self, component: Elaboratable | Fragment) -> None:
        self.fragment = Fragment.get(component, None)

    def part(self, name: str) -> "Inside":
        return Inside(self.fragment.find_subfragment(name))

    def queue(self, name: str) -> Queue:
        return Queue(self.part(name))

    def _named(self, name: str) -> list[Signal]:
        found: dict[int, Signal] = {}
        for statements in self.fragment.statements.values():
            found |= {id(signal): signal for signal in statements._lhs_signals() if signal.name == name}
        return list(found.values())

    def has(self, name: str) -> bool:
        return bool(self._named(name))

    def __getitem__(self, name: str) -> Signal:
        found = self._named(name)
        if len(found) != 1:
            raise KeyError(f"{len(found)} signals are called {name!r}")
        return found[0]
