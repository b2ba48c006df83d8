"""Whether everything is as it was before a fault."""

from copy import deepcopy
from typing import Any

import pytest

from e2e.faults.stage import steadily
from e2e.faults.whole import not_whole
from e2e.kube import Object


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
