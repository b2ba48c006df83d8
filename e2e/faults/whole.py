"""Whether everything is as it was before a fault, by what the API server and PostgreSQL say. Pure."""

from collections.abc import Iterable, Sequence

from e2e.kube import Object, condition


def not_whole(ledger: Object, pool: Object, pods: Sequence[Object], backends: int, budget: int) -> list[str]:
    """What is missing until exactly these pods have all of the budget, and use it, for the current spec.

    `ledger` is a PgBudget and `pool` the PgPool, `pods` are those of its pods that are to stay, `backends` is
    PostgreSQL's count. Ready alone does not tell: it stays True while a ledger recovers or a pod is replaced.
    """
    status = ledger.get("status", {})
    grants = status.get("grants", ())
    states = sorted({grant["state"] for grant in grants})
    granted = {grant["uid"]: grant["pod"] for grant in grants}
    there = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
    return [
        *_unless(not status.get("recovering", False), "the ledger recovers"),
        *_unless(status.get("connections") == budget, f"the budget is {status.get('connections')}"),
        *_unless(status.get("reserved") == budget, f"{status.get('reserved')} are reserved"),
        *_unless(states == ["Active"], f"grants are {states}"),
        *_unless(
            granted == there, f"grants are of {_names(granted.values())}, pods {_names(there.values())}"
        ),
        *_unless(_says(pool, "Ready", "True"), "Ready is not True"),
        *_unless(_says(pool, "Reconciling", "False"), "Reconciling is not False"),
        *_unless(backends == budget, f"{backends} backends are open"),
    ]


def _unless(good: bool, words: str) -> list[str]:
    return [] if good else [words]


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _says(pool: Object, kind: str, status: str) -> bool:
    """Of the current generation."""
    found = condition(pool, kind)
    return bool(found["status"] == status and found["observedGeneration"] == pool["metadata"]["generation"])
