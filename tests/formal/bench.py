# amaranth: UnusedElaboratable=no
"""What a proof is made of: free inputs, promises of the surroundings, claims, lemmas, and goals to be reached."""

from amaranth.hdl import Module, ShapeLike, Signal, Value

__all__ = ["Bench"]


class Bench:
    """A module with the component under test and all around it.

    Attributes
    ----------
    m : the module that everything is added to; its reset is free as well
    inputs : free inputs
    promises, claims, lemmas, goals, hints : one-bit signals by name
    """

    def __init__(self) -> None:
        self.m = Module()
        self.inputs: list[Signal] = []
        self.promises: dict[str, Signal] = {}
        self.claims: dict[str, Signal] = {}
        self.lemmas: dict[str, Signal] = {}
        self.goals: dict[str, Signal] = {}
        self.hints: dict[str, Signal] = {}

    def free(self, name: str, shape: ShapeLike = 1) -> Signal:
        """An input of which nothing is known."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def constant(self, name: str, shape: ShapeLike = 1) -> Signal:
        """An input of which only is known that it does not change from one reset to the next."""
        value = self.free(name, shape)
        first = Signal(init=1, name=f"{name}_first")
        self.m.d.sync += first.eq(0)
        self.assume(name, first | (value == self.before(value)))
        return value

    def before(self, value: Value, *, init: int = 0) -> Signal:
        """The value one cycle earlier."""
        earlier = Signal(Value.cast(value).shape(), init=init, name="earlier")
        self.m.d.sync += earlier.eq(value)
        return earlier

    def assume(self, name: str, condition: Value) -> None:
        """A promise of the surroundings."""
        self._name(self.promises, "promise", name, condition)

    def claim(self, name: str, condition: Value) -> None:
        """A duty of the component, in terms of its ports."""
        self._name(self.claims, "claim", name, condition)

    def lemma(self, name: str, condition: Value) -> None:
        """A fact about the inside that the induction needs. It is proved like the claims."""
        self._name(self.lemmas, "lemma", name, condition)

    def goal(self, name: str, condition: Value) -> None:
        """Something that must be possible, such as a bound that is reached: else the claims would say nothing."""
        self._name(self.goals, "goal", name, condition)

    def hint(self, name: str, condition: Value) -> None:
        """Something granted to the search for ways to goals and violations, so that it ends sooner; not to proofs."""
        self._name(self.hints, "hint", name, condition)

    def stands(self, name: str, valid: Value, ready: Value, payload: Value) -> None:
        """Claim that an offer stands, unchanged, until it is taken, and that it can be kept waiting."""
        waiting = self.before(valid & ~ready)
        self.claim(name, ~waiting | (valid & (payload == self.before(payload))))
        self.goal(f"{name}_waiting", waiting & ready)

    def _name(self, names: dict[str, Signal], kind: str, name: str, condition: Value) -> None:
        assert name not in names and len(condition) == 1, name
        names[name] = Signal(name=f"{kind}_{name}")
        self.m.d.comb += names[name].eq(condition)
