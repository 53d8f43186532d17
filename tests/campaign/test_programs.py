"""Damaged programs: RTL and emulator stop with the same error or leave the same memory, and neither hangs."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, Instruction, disassemble
from tests.campaign.harness import CONFIG, TRIED_PROGRAM, Outcome, bench, figures
from tests.campaign.mutations import KINDS, mutate
from tests.campaign.order import unordered
from tests.campaign.verdict import ALLOWED, SAME_ERROR, SAME_MEMORY, judge
from tests.system.machines import TALL

NETWORKS = ("relu_and_pool_first", "stride_above_kernel", "flatten_first", "overlapping_windows")


def attempt(seed: int, networks: tuple[str, ...], config: Config = CONFIG) -> tuple[str, str, str]:
    """Kind of damage, verdict, and all that one needs to know of a mismatch."""
    choice = random.Random(seed)
    one = bench(choice.choice(networks), config)
    name = choice.choice(tuple(one.plan.programs))
    mutant = mutate(one.plan.programs[name].words, seed)
    address = TRIED_PROGRAM + mutant.shift
    # What is on the chip from before matters to few mutants, and is made the same only where it does.
    for filled in (False, True):
        one.rewind(name)
        if filled:
            one.fill()
        for device in (one.sim, one.emulator):
            device.write(TRIED_PROGRAM, mutant.words)
        rtl, emulator = (Outcome.of(device, address, mutant.nbytes) for device in (one.sim, one.emulator))
        if not (rtl.finished and emulator.finished and one.differ()):
            break
    verdict = judge(one, mutant, rtl, emulator, address)
    report = f"seed {seed}: {one.name}.{name}, {mutant.kind} {mutant.text}: {verdict}; RTL {rtl}; emulator {emulator}"
    return mutant.kind, verdict, report


def campaign(seeds: range, networks: tuple[str, ...], config: Config = CONFIG) -> None:
    verdicts, kinds, mismatches = Counter[str](), Counter[str](), []
    for seed in seeds:
        kind, verdict, report = attempt(seed, networks, config)
        kinds[kind] += 1
        verdicts[verdict if verdict in ALLOWED else "MISMATCH"] += 1
        if verdict not in ALLOWED:
            print(report)
            mismatches.append(report)
    figures("mutated programs", config, f"seeds {seeds.start} to {seeds.stop - 1}", verdicts)
    print("damage:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    assert verdicts.total() == len(seeds) and len(kinds) > len(KINDS) // 2
    assert verdicts[SAME_ERROR] > len(seeds) // 5 and verdicts[SAME_MEMORY] > len(seeds) // 5
    assert not mismatches, "\n".join(mismatches)


def test_mutated_programs() -> None:
    campaign(range(30), NETWORKS[:1])


@pytest.mark.full
def test_many_mutated_programs() -> None:
    campaign(range(1000, 3000), NETWORKS)


@pytest.mark.full
def test_many_mutated_programs_on_another_array() -> None:
    campaign(range(5000, 5500), NETWORKS, TALL)


def test_programs_of_the_compiler_are_ordered_and_lose_that_with_any_wait() -> None:
    """The judge of mutants itself: it must neither excuse a sound program nor miss a missing wait."""
    one = bench(NETWORKS[0])
    missing = found = 0
    for program in one.plan.programs.values():
        place = range(program.address, program.address + program.nbytes)
        instructions = disassemble(program.words)
        assert unordered(one.emulator, instructions, place) == ""
        for k, instruction in enumerate(instructions):
            for name in AFTER.values():
                if instruction[name]:
                    less = Instruction(instruction.opcode, {**instruction.values, name: 0})
                    missing += 1
                    found += bool(unordered(one.emulator, [*instructions[:k], less, *instructions[k + 1 :]], place))
    print(f"{found} of {missing} missing waits found")
    assert missing > 40 and found >= 0.95 * missing
