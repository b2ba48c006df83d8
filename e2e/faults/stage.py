"""Where faults are played: a database and a load that stay whole, a PgPool with pods on a node that does not."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import psycopg

from e2e.cluster.kind_cluster import WORKERS, mend_cluster
from e2e.faults.operators import Operators
from e2e.faults.whole import not_whole
from e2e.kube import Kubectl, KubectlError, Object, condition, eventually
from e2e.world import BUDGET, PRIMARY, USER, Pool, Postgres

HOME, VICTIM = WORKERS
"""The worker where the database and the load run, and the one that may be broken."""
PATIENCE_SECONDS = 600.0
"""For the whole budget to come back; what it took is reported."""
_STEADY_SECONDS = 2.0
"""How long everything has to stay whole: what is about to break again does not count."""
LEDGER = PRIMARY
PODS = 3
"""Of the write endpoint, where no fault says otherwise."""


@dataclass(frozen=True)
class Bound:
    """A time, by the wall clock, in which PostgreSQL must not have had more than so many backends."""

    since: datetime
    until: datetime
    most: int


@dataclass
class Stage:
    """Everything that faults break, and what they need to know of it."""

    kubectl: Kubectl
    database: Postgres
    pool: Pool
    operators: Operators
    random: Random = field(default_factory=Random)
    victim_is_whole: bool = True
    bounds: list[Bound] = field(default_factory=list)
    """Of the scenario that is played."""
    waits: list[float] = field(default_factory=list)
    """Of that scenario, since something was broken: seconds that each wait for the whole budget took."""

    @property
    def victim(self) -> str:
        """The node to break: a worker that has pooler pods, and nothing else that counts."""
        return VICTIM

    def occupy_victim(self) -> None:
        """See to it that a pod of the pool is on the victim: one that is replaced goes to the emptier node."""

        def occupied() -> bool:
            pods = self.pool.pods()
            nodes = [pod["spec"].get("nodeName") for pod in pods]
            if self.victim in nodes:
                return True
            assert len(pods) >= PODS, f"there are {len(pods)} pods"
            assert None not in nodes, "a pod is on no node yet"
            self.kubectl("delete", "pod", pods[0]["metadata"]["name"], "--wait=false")
            return False

        eventually(f"a pod is on {self.victim}", occupied, PATIENCE_SECONDS)

    def occupied_victim(self) -> str:
        """The victim, with a pod of the pool on it, which is about to break."""
        self.occupy_victim()
        self.victim_is_whole = False
        return self.victim

    def mend_victim(self) -> None:
        """Bring the victim back, and wait until it is Ready."""
        mend_cluster()
        self.victim_is_whole = True

    def any_pod(self) -> Object:
        """One of the pool's pods that run, on a node that is whole."""
        return eventually("a pod runs", self._choose)

    def _choose(self) -> Object:
        pods = [pod for pod in self.pool.pods() if "podIP" in pod["status"]]
        reachable = [pod for pod in pods if self.victim_is_whole or pod["spec"]["nodeName"] != self.victim]
        assert reachable, "no pod of the pool runs on a node that is whole"
        return self.random.choice(reachable)

    def ledger(self) -> Object:
        """The primary's PgBudget."""
        found = self.kubectl.get("pgbudget", LEDGER)
        assert found is not None, f"PgBudget {LEDGER} is gone"
        return found

    def held(self) -> str:
        """Who holds connections and is not proven dead, as the ledger says; AssertionError where nobody does."""
        held = condition(self.ledger(), "Held")
        assert held["status"] == "True", f"{held}"
        return str(held["message"])

    def release(self, pods: Sequence[str] | None) -> None:
        """Declare pods dead, in the place of those that were released before; None: nobody."""
        self.kubectl.patch("pgbudget", LEDGER, {"spec": {"release": pods}})

    def scale(self, replicas: int) -> None:
        """Ask for so many write pods."""
        self.pool.patch({"write": {"replicas": replicas}})

    def wait_for_pods(self, count: int) -> None:
        """Wait until the pool has so many pods."""
        eventually(f"there are {count} pods", lambda: len(self.pool.pods()) == count)

    def wait_moved(self, replicas: int) -> float:
        """Wait until there are so many pods and all is whole; since when, see wait_whole()."""
        began = time.monotonic()
        self.wait_for_pods(replicas)
        return self.wait_whole(began=began)

    def database_answers(self) -> bool:
        """Whether the primary takes connections."""
        try:
            return bool(self.database.query("SELECT 1"))
        except (psycopg.Error, KubectlError):
            return False

    def wait_whole(self, budget: int = BUDGET, *, began: float | None = None) -> float:
        """Wait until an operator leads, the pool serves, and its pods have all of the budget, for a while.

        Since when that is so, by the monotonic clock. What it took is noted; `began` is when somebody began to wait
        for it, by the same clock, where that was earlier.
        """
        began = time.monotonic() if began is None else began
        self.operators.wait_leading()
        since = eventually(
            f"all {budget} connections are granted and in use",
            steadily(lambda: self.check_whole(budget), _STEADY_SECONDS),
            PATIENCE_SECONDS,
        )
        self.waits.append(since - began)
        return since

    def check_whole(self, budget: int = BUDGET) -> None:
        """Raises AssertionError with what is missing until all is whole, just now."""
        try:
            missing = not_whole(self.ledger(), self.pool.object(), self.pool.pods(), self._open(), budget)
        except (KubectlError, psycopg.Error) as error:
            raise AssertionError(str(error)) from error
        assert not missing, "; ".join(missing)

    @contextmanager
    def bounded(self, most: int) -> Iterator[None]:
        """While the block runs, PostgreSQL must not have more backends; judged at the scenario's end."""
        since = datetime.now(UTC)
        yield
        self.bounds.append(Bound(since, datetime.now(UTC), most))

    def _open(self) -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = %s"
        ((count,),) = self.database.query(sql, (USER,))
        return int(count)


def require_home(kubectl: Kubectl, *pods: str) -> None:
    """Raises AssertionError unless these pods run where nothing is broken."""
    for pod in pods:
        found = kubectl.get("pod", pod)
        assert found is not None, f"no pod {pod}"
        node = found["spec"].get("nodeName")
        assert node == HOME, f"{pod} is on {node}, not on {HOME}"


def steadily(check: Callable[[], None], seconds: float) -> Callable[[], float | None]:
    """For `eventually`: since when `check` has raised no AssertionError, once that is long enough."""
    since: float | None = None

    def looked() -> float | None:
        nonlocal since
        try:
            check()
        except AssertionError:
            since = None
            raise
        now = time.monotonic()
        since = now if since is None else since
        return since if now - since >= seconds else None

    return looked
