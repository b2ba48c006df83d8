"""Seeded random walks through the ledger's world: they reach deep, and the same seed takes the same way."""

import random
from collections.abc import Callable, Collection

from .ledger_world import OPERATORS, SERVERS, Mutant, Planner, Pod, ViolationError, World, real_plan

FAULTS_PART = 0.4

Step = Callable[[World, random.Random], None]


def _pod(act: Callable[[World, Pod], None]) -> Step:
    return lambda world, rng: act(world, rng.choice(list(world.pods.values())))


def _pod_server(act: Callable[[World, Pod, str], None]) -> Step:
    return lambda world, rng: act(world, rng.choice(list(world.pods.values())), rng.choice(SERVERS))


def _seen_pod(act: Callable[[World, int, Pod], None]) -> Step:
    return lambda world, rng: act(world, rng.choice(OPERATORS), rng.choice(list(world.pods.values())))


def _server(act: Callable[[World, int, str], None]) -> Step:
    return lambda world, rng: act(world, rng.choice(OPERATORS), rng.choice(SERVERS))


COMMON: dict[str, tuple[int, Step]] = {
    "decide": (16, _server(World.decide)),
    "send": (12, _seen_pod(World.send)),
    "look at ledger": (6, _server(World.look_at_ledger)),
    "look at pod": (10, _seen_pod(World.look_at_pod)),
    "hear": (12, _seen_pod(World.hear)),
    "deliver newest": (10, _pod(lambda world, pod: world.deliver(pod, len(pod.written) - 1))),
    "deliver any": (6, lambda world, rng: _pod(lambda w, pod: w.deliver(pod, rng.randrange(8)))(world, rng)),
    "apply": (14, _pod(World.apply)),
    "acknowledge": (12, _pod(World.acknowledge)),
    "open": (30, _pod(World.open)),
    "close": (8, _pod_server(World.close)),
    "abort": (2, _pod_server(World.abort)),
    "count": (
        6,
        lambda world, rng: world.count(
            rng.choice(list(world.pods.values())), rng.choice(SERVERS), sees_all=rng.random() < 0.7
        ),
    ),
    "end ghost": (8, _pod_server(World.end_ghost)),
}
"""Steps with how often they are taken."""

FAULTS: dict[str, tuple[int, Step]] = {
    "create": (2, lambda world, rng: world.create(rng.choice(SERVERS))),
    "delete": (1, _pod(World.delete)),
    "end": (2, _pod(World.end)),
    "remove": (1, _pod(World.remove)),
    "prove": (2, _pod(World.prove)),
    "silence": (1, _pod(World.silence)),
    "crash": (2, _pod(World.crash)),
    "move": (2, _pod_server(World.move)),
    "orphan": (1, _pod(World.orphan)),
    "resize": (1, lambda world, rng: world.resize(rng.choice(SERVERS), rng.randrange(6))),
    "reword": (1, lambda world, _: world.reword()),
    "lose": (1, lambda world, rng: world.lose(rng.choice(SERVERS))),
    "edit": (
        1,
        lambda world, rng: world.edit(rng.choice(SERVERS), rng.randrange(8), rng.randrange(6)),
    ),
    "roll back": (1, lambda world, rng: world.roll_back(rng.choice(SERVERS), rng.randrange(8))),
    "restart operator": (1, lambda world, rng: world.restart(rng.choice(OPERATORS))),
}


RARE: dict[str, tuple[int, Step]] = {"strip": (2, _pod(World.strip)), "refuse": (1, _pod(World.refuse))}
"""Only on demand: too much else would go unnoticed where these happen."""


def walk(
    seed: int,
    length: int,
    mutant: Mutant | None = None,
    planner: Planner = real_plan,
    always: Collection[str] = (),
) -> World:
    """Take `length` steps, checking the promise after each; raises ViolationError.

    Each walk has only some of the faults, and those of `always`: where everything fails all the time, no fault has
    time to matter.
    """
    rng = random.Random(seed)
    faults = [fault for name, fault in FAULTS.items() if rng.random() < FAULTS_PART or name in always]
    faults += [fault for name, fault in RARE.items() if name in always]
    weights, steps = zip(*COMMON.values(), *faults, strict=True)
    world = World(budget=rng.choice((1, 3, 4)), mutant=mutant, planner=planner)
    for number in OPERATORS:
        world.look_at_everything(number)
    for step in rng.choices(steps, weights, k=length):
        step(world, rng)
        world.check()
    return world


def first_violation(
    seeds: range, length: int, mutant: Mutant | None, planner: Planner, always: Collection[str]
) -> int | None:
    """The seed of the first of these walks that breaks the promise; None if none does."""
    for seed in seeds:
        try:
            world = walk(seed, length, mutant, planner, always)
            world.calm_down()
            world.check_shared()
        except ViolationError:
            return seed
    return None
