"""The promise of the ledger: PostgreSQL never counts more than B, whatever fails; calm, all of B is used.

Two ways through the same world: hypothesis looks for a shortest way to break the promise, the seeded walks go deep
and must find every seeded mutant.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache, partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pgpool_operator.budget import Ledger, Life, Plan, PodView, Report, Size
from pgpool_operator.budget import book as rules
from pgpool_operator.budget.book import Book
from pgpool_operator.budget.model import Reservation

from .ledger_walk import RARE, first_violation, walk
from .ledger_world import OPERATORS, SERVERS, Mutant, Planner, Pod, ViolationError, World, real_plan

LENGTH = 400
WALKS = range(700)
"""Every mutant is caught by fewer."""
SAMPLE = range(0, 700, 4)


# The promise


@cache
def worlds() -> tuple[World, ...]:
    """Where the walks end; none of them broke the promise on its way. No fixture: a test has to fail if one did."""
    return tuple(walk(seed, LENGTH, always=RARE if seed % 8 else ()) for seed in SAMPLE)


def test_the_budget_holds_at_every_step_of_every_walk() -> None:
    assert len(worlds()) == len(SAMPLE)
    assert any(used(world, server) == world.limit[server] > 2 for world in worlds() for server in SERVERS)


def test_when_faults_stop_everybody_who_belongs_to_a_server_shares_all_of_it() -> None:
    for world in worlds():
        world.calm_down()
        world.check_shared()


def used(world: World, server: str) -> int:
    return sum(pod.conns[server] + pod.ghosts[server] for pod in world.pods.values())


PODS = st.integers(0, 9)
OPS = st.sampled_from(OPERATORS)
SERVER = st.sampled_from(SERVERS)


class LedgerMachine(RuleBasedStateMachine):
    """The same world, driven by hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(budget=3)

    def pod(self, number: int) -> Pod:
        pods = list(self.world.pods.values())
        return pods[number % len(pods)]

    @rule(number=OPS, server=SERVER)
    def look_and_decide(self, number: int, server: str) -> None:
        self.world.look_at_ledger(number, server)
        for pod in self.world.pods.values():
            self.world.hear(number, pod)
        self.world.decide(number, server)

    @rule(number=OPS, server=SERVER)
    def decide_on_old_copies(self, number: int, server: str) -> None:
        self.world.decide(number, server)

    @rule(number=OPS)
    def look_at_everything(self, number: int) -> None:
        self.world.look_at_everything(number)

    @rule(number=OPS)
    def restart_operator(self, number: int) -> None:
        self.world.restart(number)

    @rule(number=OPS, pod=PODS)
    def look_at_pod(self, number: int, pod: int) -> None:
        self.world.look_at_pod(number, self.pod(pod))

    @rule(number=OPS)
    def send_all(self, number: int) -> None:
        for pod in self.world.pods.values():
            self.world.send(number, pod)

    @rule(number=OPS, pod=PODS)
    def send(self, number: int, pod: int) -> None:
        self.world.send(number, self.pod(pod))

    @rule(pod=PODS, which=st.integers(0, 7))
    def deliver(self, pod: int, which: int) -> None:
        self.world.deliver(self.pod(pod), which)
        self.world.apply(self.pod(pod))

    @rule(pod=PODS)
    def follow_the_newest_and_use_it(self, pod: int) -> None:
        found = self.pod(pod)
        self.world.deliver(found, len(found.written) - 1)
        self.world.apply(found)
        for _ in range(5):
            self.world.open(found)

    @rule(pod=PODS)
    def acknowledge(self, pod: int) -> None:
        self.world.acknowledge(self.pod(pod))

    @rule(pod=PODS, server=SERVER, count=st.integers(1, 4))
    def close(self, pod: int, server: str, count: int) -> None:
        for _ in range(count):
            self.world.close(self.pod(pod), server)

    @rule(pod=PODS, server=SERVER)
    def end_ghost(self, pod: int, server: str) -> None:
        self.world.end_ghost(self.pod(pod), server)

    @rule(pod=PODS, server=SERVER, sees_all=st.booleans())
    def count(self, pod: int, server: str, sees_all: bool) -> None:
        self.world.count(self.pod(pod), server, sees_all=sees_all)

    @rule(pod=PODS)
    def crash(self, pod: int) -> None:
        self.world.crash(self.pod(pod))

    @rule(pod=PODS)
    def strip(self, pod: int) -> None:
        self.world.strip(self.pod(pod))

    @rule(pod=PODS)
    def delete(self, pod: int) -> None:
        self.world.delete(self.pod(pod))

    @rule(pod=PODS)
    def end(self, pod: int) -> None:
        self.world.end(self.pod(pod))

    @rule(pod=PODS)
    def refuse(self, pod: int) -> None:
        self.world.refuse(self.pod(pod))

    @rule(pod=PODS)
    def remove(self, pod: int) -> None:
        self.world.remove(self.pod(pod))

    @rule(pod=PODS)
    def prove(self, pod: int) -> None:
        self.world.prove(self.pod(pod))

    @rule(pod=PODS)
    def silence(self, pod: int) -> None:
        self.world.silence(self.pod(pod))

    @rule(pod=PODS, server=SERVER)
    def move(self, pod: int, server: str) -> None:
        self.world.move(self.pod(pod), server)

    @precondition(lambda self: len(self.world.pods) < 5)
    @rule(server=SERVER)
    def create(self, server: str) -> None:
        self.world.create(server)

    @rule(server=SERVER, budget=st.integers(0, 5))
    def resize(self, server: str, budget: int) -> None:
        self.world.resize(server, budget)

    @rule()
    def reword(self) -> None:
        self.world.reword()

    @rule(server=SERVER)
    def lose(self, server: str) -> None:
        self.world.lose(server)

    @rule(pod=PODS)
    def orphan(self, pod: int) -> None:
        self.world.orphan(self.pod(pod))

    @rule(server=SERVER, which=st.integers(0, 7), how=st.integers(0, 5))
    def edit(self, server: str, which: int, how: int) -> None:
        self.world.edit(server, which, how)

    @rule(server=SERVER, which=st.integers(0, 7))
    def roll_back(self, server: str, which: int) -> None:
        self.world.roll_back(server, which)

    @invariant()
    def the_budget_holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.calm_down()
        self.world.check_shared()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=80,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


# Without one of its rules, the promise does not hold


def caught(mutant: Mutant | None, planner: Planner = real_plan, always: Collection[str] = ()) -> int:
    seed = first_violation(WALKS, LENGTH, mutant, planner, always)
    assert seed is not None
    return seed


def assert_innocent(seed: int, always: Collection[str] = ()) -> None:
    """With all rules kept, the same faults do no harm."""
    assert first_violation(range(seed, seed + 1), LENGTH, None, real_plan, always) is None


MATTERS_WITH: dict[Mutant, tuple[str, ...]] = {
    Mutant.OBJGONE: ("create", "delete", "remove"),
    Mutant.REFUSED: ("create", "refuse"),
    Mutant.OVERLOOK: ("create", "orphan", "lose"),
    Mutant.EDITED: ("create", "edit"),
}
"""Faults without which the missing rule is never missed."""


TOO_RARE_FOR_WALKS = (Mutant.NOFENCE, Mutant.FORGET, Mutant.EARLY_COUNT, Mutant.BLIND_COUNT)
FOUND_BY_WALKS = [mutant for mutant in Mutant if mutant not in TOO_RARE_FOR_WALKS]


@pytest.mark.parametrize("mutant", FOUND_BY_WALKS, ids=lambda mutant: f"M_{mutant.name}")
def test_the_machine_catches(mutant: Mutant) -> None:
    always = MATTERS_WITH.get(mutant, ())
    assert_innocent(caught(mutant, always=always), always)


def settle(world: World) -> None:
    """Everybody is heard, and follows what the ledger of x says."""
    for _ in range(4):
        for pod in world.pods.values():
            world.deliver(pod, len(pod.written) - 1)
            world.apply(pod)
            world.acknowledge(pod)
        world.look_at_everything(0)
        world.decide(0, "x")
        for pod in world.pods.values():
            world.send(0, pod)


def old_grant_after_a_crash(mutant: Mutant | None) -> None:
    """A pod shrinks for a third one, restarts, and gets the grant from before: too rare for walks."""
    world = World(budget=3, mutant=mutant)
    first = world.pods["p0"]
    settle(world)
    world.create("x")
    settle(world)
    for pod in world.pods.values():
        world.open(pod)
    world.crash(first)
    world.end_ghost(first, "x")
    world.deliver(first, 0)
    world.apply(first)
    for _ in range(3):
        world.open(first)
        world.check()


@pytest.mark.parametrize("mutant", [Mutant.NOFENCE, Mutant.FORGET])
def test_the_machine_catches_a_pod_that_goes_back_to_an_old_generation(mutant: Mutant) -> None:
    old_grant_after_a_crash(None)
    with pytest.raises(ViolationError):
        old_grant_after_a_crash(mutant)


def dead_with_ghosts(mutant: Mutant | None) -> World:
    """A pod dies whose backends go on: the other one counted before, and counts again, but does not see all."""
    world = World(budget=3, mutant=mutant)
    dead, other = world.pods["p1"], world.pods["p0"]
    settle(world)
    world.count(other, "x")
    use_all(world)
    world.delete(dead)
    world.end(dead)
    settle(world)
    world.count(other, "x", sees_all=False)
    settle(world)
    use_all(world)
    return world


def use_all(world: World) -> None:
    for pod in world.pods.values():
        for _ in range(3):
            world.open(pod)
            world.check()


@pytest.mark.parametrize("mutant", [Mutant.EARLY_COUNT, Mutant.BLIND_COUNT])
def test_the_machine_catches_a_count_that_tells_nothing(mutant: Mutant) -> None:
    dead_with_ghosts(None)
    with pytest.raises(ViolationError):
        dead_with_ghosts(mutant)


def test_a_count_of_all_frees_a_dead_pod_once_its_backends_are_gone() -> None:
    world = dead_with_ghosts(None)
    world.count(world.pods["p0"], "x")
    settle(world)
    assert "p1" in world.ledgers["x"][1].reservations
    world.end_ghost(world.pods["p1"], "x")
    world.count(world.pods["p0"], "x")
    settle(world)
    assert "p1" not in world.ledgers["x"][1].reservations
    use_all(world)
    assert used(world, "x") == 3


def dead_in_a_rolled_back_ledger() -> None:
    """A third pod comes when there is room for it, and dies; who looks then has a ledger from before that."""
    world = World(budget=2)
    settle(world)
    before = len(world.past["x"]) - 1
    world.resize("x", 3)
    world.create("x")
    settle(world)
    use_all(world)
    world.delete(world.pods["p3"])
    world.end(world.pods["p3"])
    world.roll_back("x", before)
    settle(world)
    use_all(world)


def silent_without_its_grant(*, lost: bool) -> None:
    """A pod grows beside one of no pool any more, and is not heard; somebody takes the grant off it.

    The ledger is lost, or is one from before that; and another pod comes.
    """
    world = World(budget=2)
    silent, kept = world.pods["p0"], world.pods["p1"]
    settle(world)
    world.orphan(kept)
    before = len(world.past["x"]) - 1
    world.resize("x", 3)
    settle(world)
    use_all(world)
    world.silence(silent)
    world.strip(silent)
    if lost:
        world.lose("x")
    else:
        world.roll_back("x", before)
    world.create("x")
    settle(world)
    use_all(world)


def granted_one_generation_twice() -> None:
    """A pod shrinks for a third one, somebody takes the grant off it, and it is not heard.

    The ledger of before that grants it nothing, in the generation of what the pod has. Then it is heard, and a
    fourth one comes.
    """
    world = World(budget=6)
    silent = world.pods["p1"]
    settle(world)
    before = len(world.past["x"]) - 1
    world.create("x")
    settle(world)
    use_all(world)
    world.silence(silent)
    world.strip(silent)
    world.roll_back("x", before)
    settle(world)
    world.silence(silent)
    world.create("x")
    settle(world)
    use_all(world)


def takes_every_dead_pod_for_freed(book: Book) -> None:
    book.freed |= {uid for uid, pod in book.views.items() if pod.life.dead}
    ADOPT(book)


def overlooks_that_a_grant_was_taken_off(_: PodView) -> bool:
    return False


def takes_who_has_no_grant_for_never_started(book: Book, pod: PodView) -> bool:
    return ACCOUNTED_FOR(book, replace(pod, started=False))


def goes_by_the_generation_alone(report: Report, entry: Reservation) -> bool:
    return report.acknowledged == entry.generation


ADOPT, ACCOUNTED_FOR = Book.adopt, Book._accounted_for

RARE_PLAN_MUTANTS: dict[str, tuple[Callable[[], None], object, str, Callable[..., object]]] = {
    "the dead without an entry were freed": (
        dead_in_a_rolled_back_ledger,
        Book,
        "adopt",
        takes_every_dead_pod_for_freed,
    ),
    "who has no grant on it never had one": (
        partial(silent_without_its_grant, lost=False),
        rules,
        "_conceals",
        overlooks_that_a_grant_was_taken_off,
    ),
    "a lost ledger does not wait for who has none": (
        partial(silent_without_its_grant, lost=True),
        Book,
        "_accounted_for",
        takes_who_has_no_grant_for_never_started,
    ),
    "a generation tells whose grant it is": (
        granted_one_generation_twice,
        rules,
        "_has_given_back",
        goes_by_the_generation_alone,
    ),
}
"""What happens, and the rule that is not kept: too rare for walks."""


@pytest.mark.parametrize("mutant", RARE_PLAN_MUTANTS)
def test_what_is_too_rare_for_walks_catches_a_plan_in_which(
    mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    happens, where, name, broken = RARE_PLAN_MUTANTS[mutant]
    happens()
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(ViolationError):
        happens()


def released_early(ledger: Ledger, size: Size, pods: Sequence[PodView]) -> Plan:
    """M_RELEASE_EARLY: what is not granted any more is free at once."""
    decided = real_plan(ledger, size, pods)
    entries = {uid: replace(e, reserved=e.cap) for uid, e in decided.ledger.reservations.items()}
    return replace(decided, ledger=replace(decided.ledger, reservations=entries))


def test_the_machine_catches_an_early_release() -> None:
    assert_innocent(caught(None, released_early))


def settles_on_any_acknowledgement(book: Book) -> None:
    for uid, entry in book.entries.items():
        if uid in book.views and book.views[uid].report is not None:
            book.entries[uid] = replace(entry, reserved=entry.cap)


def grows_without_room(book: Book, targets: dict[str, int], size: Size) -> None:
    GROW(book, targets, replace(size, connections=10**6))


def leaves_at_once(report: Report, entry: Reservation) -> bool:
    return report.generation > entry.generation


def knows_no_other_ledger(_: PodView, entry: Reservation) -> int:
    return entry.generation + 1


def is_sound_at_the_first_word(_: Book, pod: PodView) -> bool:
    return pod.report is not None or pod.life.dead


def takes_nothing_in(book: Book) -> None:
    book.recovering = False


def drained_when_dead(_: Book, pod: PodView) -> bool:
    return pod.life.dead


def writes_off_the_unknown(_: Book, pod: PodView) -> bool:
    return pod.life is Life.UNKNOWN


GROW = Book.grow

PLAN_MUTANTS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "an old acknowledgement releases": (Book, "settle", settles_on_any_acknowledgement),
    "growth needs no room": (Book, "grow", grows_without_room),
    "who is to leave has left": (rules, "_has_left", leaves_at_once),
    "generations are counted per ledger": (rules, "_next", knows_no_other_ledger),
    "a recovering ledger is sound when all were heard": (Book, "_accounted_for", is_sound_at_the_first_word),
    "a lost ledger starts anew": (Book, "adopt", takes_nothing_in),
    "the dead hold nothing": (Book, "_drained", drained_when_dead),
    "the unknown are written off": (Book, "_written_off", writes_off_the_unknown),
}

PLAN_MATTERS_WITH: dict[str, tuple[str, ...]] = {
    "who is to leave has left": ("move", "resize"),
    "the dead hold nothing": ("delete", "end"),
}


@pytest.mark.parametrize("mutant", PLAN_MUTANTS)
def test_the_machine_catches_a_plan_in_which(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, broken = PLAN_MUTANTS[mutant]
    always = ("create", *PLAN_MATTERS_WITH.get(mutant, ("move",)))
    with monkeypatch.context() as patch:
        patch.setattr(where, name, broken)
        seed = caught(None, always=always)
    assert_innocent(seed, always)
