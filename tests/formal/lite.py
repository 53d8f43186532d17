"""The register bank behind AXI4-Lite, with a manager that does as it likes within the rules."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from eftrain_hdl.register_map import Access, Field, Register, RegisterMap
from eftrain_hdl.rtl.axi.lite import RegisterBank
from eftrain_hdl.rtl.axi.signature import Response
from tests.formal.bench import Bench
from tests.formal.inside import Inside

__all__ = ["SMALL_MAP", "register_bank"]


def _register(name: str, offset: int, *fields: Field, wide: bool = False, snapshot: bool = False) -> Register:
    return Register(name, offset, fields, "", wide=wide, snapshot=snapshot)


SMALL_MAP = RegisterMap(
    address_width=7,
    registers=(
        _register("ID", 0x00, Field("value", 0, 32, Access.CONSTANT, "", 0x1234_5678)),
        _register("SETTING", 0x04, Field("low", 0, 6, Access.WRITE, "", 5), Field("high", 12, 8, Access.WRITE, "")),
        _register("FLAGS", 0x08, Field("a", 0, 1, Access.CLEAR, ""), Field("b", 8, 2, Access.CLEAR, "")),
        _register("ACTION", 0x0C, Field("go", 3, 1, Access.PULSE, ""), Field("mode", 4, 2, Access.WRITE, "")),
        _register("LEVEL", 0x10, Field("value", 0, 32, Access.READ, "")),
        _register("COUNT", 0x18, Field("value", 0, 64, Access.READ, ""), wide=True, snapshot=True),
        _register("PLACE", 0x20, Field("value", 0, 64, Access.WRITE, ""), wide=True),
        _register("MORE", 0x48, Field("value", 0, 64, Access.READ, ""), wide=True, snapshot=True),
    ),
)
"""Every kind of register and field, in two groups of words, with holes."""


def register_bank(
    bench: Bench, build: type[RegisterBank] = RegisterBank, *, register_map: RegisterMap = SMALL_MAP
) -> None:
    """A register bank whose inputs are free; the manager keeps its offers."""
    dut = build(register_map)
    inside = Inside(dut)
    bench.m.submodules.dut = inside.fragment
    for name, _, item in _fields(register_map):
        if item.access in (Access.READ, Access.CLEAR):
            source = name if item.access is Access.READ else f"{name}_set"
            bench.m.d.comb += getattr(dut, source).eq(bench.free(f"{source}_in", item.width))
    _writes(bench, dut, inside)
    _reads(bench, dut, inside)


def _fields(register_map: RegisterMap) -> Iterator[tuple[str, Register, Field]]:
    for register in register_map:
        for item in register.fields:
            yield register.port(item), register, item


def _offer(bench: Bench, dut: RegisterBank, channel: str, *payload: str) -> tuple[Value, Value]:
    """Free offers that stand until they are taken; returns (taken, the last ones taken)."""
    axi = dut.axi
    valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
    offer = Cat(getattr(axi, name) for name in payload)
    bench.m.d.comb += [valid.eq(bench.free(f"{channel}valid")), offer.eq(bench.free(f"{channel}offer", len(offer)))]
    waiting = bench.before(valid & ~ready)
    bench.assume(f"{channel}_stands", ~waiting | (valid & (offer == bench.before(offer))))
    taken = valid & ready
    kept = Signal(len(offer), name=f"{channel}_kept")
    with bench.m.If(taken):
        bench.m.d.sync += kept.eq(offer)
    return taken, kept


def _writes(bench: Bench, dut: RegisterBank, inside: Inside) -> None:
    m, axi = bench.m, dut.axi
    address_taken, address = _offer(bench, dut, "aw", "awaddr")
    data_taken, offer = _offer(bench, dut, "w", "wdata", "wstrb")
    m.d.comb += axi.bready.eq(bench.free("bready"))
    word, value, strobe = address[2:], offer[:32], offer[32:]
    has_address, has_data = Signal(), Signal()
    answer = axi.bvalid & ~bench.before(axi.bvalid)
    m.d.sync += [
        has_address.eq((has_address & ~answer) | address_taken),
        has_data.eq((has_data & ~answer) | data_taken),
    ]
    bench.stands("b_stands", axi.bvalid, axi.bready, axi.bresp)
    bench.claim("b_asked", ~answer | (has_address & has_data))
    bench.claim("aw_kept", ~address_taken | ~has_address | answer)
    bench.claim("w_kept", ~data_taken | ~has_data | answer)
    due = has_address & has_data & ~axi.bvalid
    late = bench.before(due)
    bench.claim("b_prompt", ~(due & late & bench.before(late)))
    bench.goal("address_first", has_address & ~has_data & data_taken)
    bench.goal("data_first", has_data & ~has_address & address_taken)
    bench.goal("next_write_waits", axi.bvalid & ~axi.bready & has_address & has_data & ~answer)

    writable = [
        register.offset // 4 + k
        for register in dut.register_map
        if register.writable
        for k in range(register.size // 4)
    ]
    known = Cat(word == number for number in writable).any()
    bench.claim("b_response", ~answer | (axi.bresp == Mux(known, Response.OKAY, Response.SLVERR)))
    bench.goal("b_refused", answer & (axi.bresp == Response.SLVERR))
    mask = Cat(strobe[n].replicate(8) for n in range(4))
    for name, register, item in _fields(dut.register_map):
        _field_claim(bench, dut, name, register, item, answer, word, mask, value)

    apply = inside["apply"]
    bench.lemma("has_address", inside["have_address"] == (has_address & ~answer))
    bench.lemma("has_data", inside["have_data"] == (has_data & ~answer))
    bench.lemma("address", ~inside["have_address"] | (inside["write_address"] == word))
    bench.lemma("data", ~inside["have_data"] | (Cat(inside["value"], inside["strobe"]) == offer))
    bench.lemma("apply", ~apply | (has_address & has_data & ~axi.bvalid))
    bench.lemma("due", ~(due & late) | apply)
    for register in dut.register_map:
        for k in range(register.size // 4):
            name = f"write_{register.name.lower()}_{k}"
            hit = word == register.offset // 4 + k
            bench.lemma(name, ~apply | (inside[name] == hit))


def _field_claim(
    bench: Bench,
    dut: RegisterBank,
    name: str,
    register: Register,
    item: Field,
    answer: Value,
    word: Value,
    mask: Value,
    value: Value,
) -> None:
    """A field changes in the cycle in which the response to a write of its register appears, and as written."""
    if item.access in (Access.CONSTANT, Access.READ):
        return
    port = getattr(dut, name)
    words = range(register.size // 4)
    enable = Cat(mask & (answer & (word == register.offset // 4 + k)).replicate(32) for k in words)
    enable = enable[item.lsb : item.lsb + item.width]
    new = Cat(value, value)[item.lsb : item.lsb + item.width]
    before = bench.before(port, init=0 if item.access is Access.PULSE else item.reset)
    if item.access is Access.WRITE:
        expected = (before & ~enable) | (new & enable)
    elif item.access is Access.PULSE:
        expected = new & enable
    else:
        expected = (before & ~(new & enable)) | bench.before(getattr(dut, f"{name}_set"))
    bench.claim(f"field_{name}", port == expected)
    bench.goal(f"field_{name}", (port != before) & answer)


def _word(dut: RegisterBank, register: Register) -> Value:
    """What a read of a register gives, 64 bits."""
    parts = []
    for item in register.fields:
        name = register.port(item)
        if item.access is Access.CONSTANT:
            parts.append(Const(item.reset << item.lsb, 64))
        elif item.access is not Access.PULSE:
            parts.append((getattr(dut, name) << item.lsb)[: item.lsb + item.width])
    word = Const(0, 64)
    for part in parts:
        word = word | part
    return word[:64]


def _reads(bench: Bench, dut: RegisterBank, inside: Inside) -> None:
    m, axi = bench.m, dut.axi
    taken, address = _offer(bench, dut, "ar", "araddr")
    m.d.comb += axi.rready.eq(bench.free("rready"))
    number = address[2:]
    asked = Signal()
    answer = axi.rvalid & ~bench.before(axi.rvalid)
    m.d.sync += asked.eq((asked & ~(axi.rvalid & axi.rready)) | taken)
    bench.stands("r_stands", axi.rvalid, axi.rready, Cat(axi.rdata, axi.rresp))
    bench.claim("r_asked", ~axi.rvalid | asked)
    bench.claim("ar_kept", ~taken | ~asked)
    due = asked & ~axi.rvalid
    late = bench.before(due)
    bench.claim("r_prompt", ~(due & late & bench.before(late)))

    # What a read of the address taken last would give now: data, whether there is a register, the high word to capture.
    captured, is_captured = Signal(32), Signal()
    now = Signal(33)
    high = Signal(32)
    captures, captured_word = Signal(), Signal()
    with m.Switch(number):
        for register in dut.register_map:
            word = _word(dut, register)
            with m.Case(register.offset // 4):
                m.d.comb += [now.eq(Cat(word[:32], Const(1, 1))), high.eq(word[32:])]
                m.d.comb += captures.eq(register.snapshot)
            if register.wide:
                with m.Case(register.offset // 4 + 1):
                    m.d.comb += now.eq(Cat(captured if register.snapshot else word[32:], Const(1, 1)))
                    m.d.comb += captured_word.eq(register.snapshot)
    sampled, sampled_high = bench.before(now), bench.before(high)
    given, given_high = bench.before(sampled), bench.before(sampled_high)
    with m.If(answer & captures):
        m.d.sync += [captured.eq(given_high), is_captured.eq(1)]
    unknown = captured_word & ~is_captured
    bench.claim("r_data", ~answer | unknown | (axi.rdata == given[:32]))
    bench.claim("r_response", ~answer | (axi.rresp == Mux(given[32], Response.OKAY, Response.SLVERR)))
    bench.goal("r_refused", answer & (axi.rresp == Response.SLVERR))
    bench.goal("r_captured", answer & (number == 7) & (axi.rdata != 0) & (axi.rdata != 0xFFFF_FFFF))

    step = inside["step"]
    bench.lemma("asked", asked == (axi.rvalid | (step != 0)))
    bench.lemma("step", (step != 3) & ((step == 0) | ~axi.rvalid))
    bench.lemma("read_address", ~asked | (inside["read_address"] == number))
    bench.lemma("r_due", ~(due & late) | step[1])
    fresh = answer & captures
    bench.lemma("captured", ~(fresh | is_captured) | (inside["captured"] == Mux(fresh, given_high, captured)))
    for group in range((1 << len(number)) // 16):
        mine = step[1] & (number[4:] == group)
        if not inside.has(f"group{group}"):
            bench.lemma(f"absent{group}", ~mine | (sampled == 0))
            continue
        chosen = inside[f"group{group}"]
        same = (chosen[:32] == sampled[:32]) | (captured_word & ~is_captured)
        bench.lemma(f"group{group}", ~mine | (same & (chosen[32] == sampled[32])))
        bench.lemma(f"high{group}", ~mine | ~captures | (inside[f"high{group}"] == sampled_high))
        bench.lemma(f"capture{group}", ~mine | (inside[f"capture{group}"] == captures))
