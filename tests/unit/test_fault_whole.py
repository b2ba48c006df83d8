"""Whether everything is as it was before a fault, and how long that took."""

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import pytest

from e2e.faults import stage as stages
from e2e.faults.operators import Operators
from e2e.faults.stage import HOME, VICTIM, Stage, require_home, steadily
from e2e.faults.whole import not_whole
from e2e.kube import Kubectl, Object
from e2e.world import Pool, Postgres


def condition(kind: str, status: str, generation: int = 7) -> Object:
    return {"type": kind, "status": status, "observedGeneration": generation}


def pods(*names: str) -> list[Object]:
    return [{"metadata": {"name": name, "uid": f"uid-{name}"}} for name in names]


def grant(pod: str, state: str = "Active") -> Object:
    return {"pod": pod, "uid": f"uid-{pod}", "state": state}


GOOD: dict[str, Any] = {
    "ledger": {
        "status": {
            "connections": 24,
            "reserved": 24,
            "recovering": False,
            "grants": [grant("x"), grant("y")],
        }
    },
    "pool": {
        "kind": "PgPool",
        "metadata": {"name": "app", "generation": 7},
        "status": {"conditions": [condition("Ready", "True"), condition("Reconciling", "False")]},
    },
    "pods": pods("x", "y"),
    "backends": 24,
}


def test_nothing_is_missing_where_these_pods_have_all_of_the_budget_and_use_it() -> None:
    assert not_whole(**GOOD, budget=24) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("ledger", "status", "recovering"), True, "the ledger recovers"),
        (("ledger", "status", "connections"), 12, "the budget is 12"),
        (("ledger", "status", "reserved"), 23, "23 are reserved"),
        (
            ("ledger", "status", "grants"),
            [grant("x"), grant("y", "Unknown")],
            "grants are ['Active', 'Unknown']",
        ),
        (("ledger", "status", "grants"), [grant("x"), grant("z")], "grants are of x, z, pods x, y"),
        (("pods",), pods("x", "y", "z"), "grants are of x, y, pods x, y, z"),
        (("pool", "metadata", "generation"), 8, "Ready is not True; Reconciling is not False"),
        (("pool", "status", "conditions", 0, "status"), "False", "Ready is not True"),
        (("pool", "status", "conditions", 1, "status"), "True", "Reconciling is not False"),
        (("backends",), 25, "25 backends are open"),
    ],
)
def test_what_is_missing_is_told(path: tuple[Any, ...], value: object, words: str) -> None:
    changed: Any = deepcopy(GOOD)
    *parents, last = path
    inner = changed
    for key in parents:
        inner = inner[key]
    inner[last] = value
    assert "; ".join(not_whole(**changed, budget=24)) == words


def test_a_ledger_that_was_just_made_again_is_not_whole() -> None:
    words = not_whole(**{**GOOD, "ledger": {"status": {"connections": 0}}}, budget=24)
    assert words[:2] == ["the budget is 0", "None are reserved"]


def test_what_holds_for_a_moment_is_not_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.0, 20.0, 21.0, 22.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    good = iter([True, True, False, True, True, True])

    def check() -> None:
        assert next(good)

    looked = steadily(check, 2.0)
    assert looked() is None
    assert looked() is None
    with pytest.raises(AssertionError):
        looked()
    assert looked() is None
    assert looked() is None
    assert looked() == 20.0


WAIT = 0.3


@dataclass
class SlowPool:
    """It has its second pod only after a while."""

    since: float

    def pods(self) -> list[Object]:
        return pods("x", "y") if time.monotonic() - self.since >= WAIT else pods("x")


class Leading:
    def wait_leading(self) -> int:
        return 0


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(stages, "_STEADY_SECONDS", 0.0)
    monkeypatch.setattr(Stage, "check_whole", lambda *_: None)
    pool = SlowPool(time.monotonic())
    nothing: Any = None
    return Stage(
        cast(Kubectl, nothing), cast(Postgres, nothing), cast(Pool, pool), cast(Operators, Leading())
    )


def test_what_a_wait_for_the_budget_took_is_noted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_at = time.monotonic() + WAIT

    def check(*_: object) -> None:
        assert time.monotonic() >= whole_at, "not yet"

    monkeypatch.setattr(Stage, "check_whole", check)
    stage.wait_whole()
    stage.wait_whole()
    first, second = stage.waits
    assert first >= 0.9 * WAIT
    assert second < 0.1


def test_a_wait_for_pods_is_part_of_the_wait_for_the_budget(stage: Stage) -> None:
    stage.wait_moved(2)
    (waited,) = stage.waits
    assert waited >= 0.9 * WAIT


def test_a_wait_may_have_begun_before(stage: Stage) -> None:
    stage.wait_whole(began=time.monotonic() - 40.0)
    (waited,) = stage.waits
    assert waited >= 40.0


@dataclass
class OnePod:
    """kubectl in a namespace with one pod."""

    node: str

    def get(self, _: str, name: str) -> Object | None:
        return {"spec": {"nodeName": self.node}} if name == "main-a-0" else None


def test_what_has_to_outlive_the_victim_is_not_there() -> None:
    require_home(cast(Kubectl, OnePod(HOME)), "main-a-0")


@pytest.mark.parametrize(
    ("node", "pod", "words"),
    [(VICTIM, "main-a-0", f"main-a-0 is on {VICTIM}"), (HOME, "load", "no pod load")],
    ids=["on the victim", "not there"],
)
def test_what_is_not_at_home_is_named(node: str, pod: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        require_home(cast(Kubectl, OnePod(node)), pod)
