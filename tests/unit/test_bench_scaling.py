"""When `make bench-scaling` takes a new pod for one that has answered a query."""

from typing import Any, cast

import pytest

from e2e import bench_scaling
from e2e.world import Pool


class FakePool:
    """A pool of one old pod and one new one, which says what a test lets it say."""

    name = "app"

    def __init__(self) -> None:
        self.replicas: int | None = 1
        self.ready = "True"
        self.said = {"clients": 0, "transactions": 3}

    @property
    def kubectl(self) -> "FakePool":
        return self

    def get(self, _kind: str, _name: str) -> dict[str, Any] | None:
        return {"spec": {"replicas": self.replicas}} if self.replicas is not None else None

    def pods(self, _endpoint: str) -> list[dict[str, Any]]:
        conditions = [{"type": "Ready", "status": self.ready}]
        return [
            {"metadata": {"name": name}, "status": {"conditions": conditions}} for name in ("old-1", "new-1")
        ]

    def checks(self) -> dict[str, Any]:
        return dict(bench_scaling._checks(cast(Pool, self), {"old-1"}))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> FakePool:
    pool = FakePool()
    monkeypatch.setattr(bench_scaling, "_state", lambda _pod: dict(pool.said))
    return pool


def test_what_a_pod_did_before_it_was_ready_is_no_answer_to_a_client(pool: FakePool) -> None:
    checks = pool.checks()
    assert checks["pod ready"]()
    pool.said["clients"] = 1
    assert not checks["first query"]()
    pool.said["transactions"] += 1
    assert checks["first query"]()


def test_transactions_of_a_pod_without_clients_are_its_agents_own(pool: FakePool) -> None:
    checks = pool.checks()
    assert checks["pod ready"]()
    pool.said["transactions"] += 1
    assert not checks["first query"]()


def test_a_pod_that_is_not_ready_has_answered_nothing(pool: FakePool) -> None:
    pool.ready, pool.said = "False", {"clients": 1, "transactions": 9}
    checks = pool.checks()
    assert not checks["pod ready"]()
    assert not checks["first query"]()


def test_a_missing_deployment_is_named(pool: FakePool) -> None:
    pool.replicas = None
    with pytest.raises(AssertionError, match="no Deployment app-rw"):
        pool.checks()["decision"]()
