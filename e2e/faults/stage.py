"""Where faults are played: a database and a load that stay whole, a PgPool with pods on a node that does not."""

from dataclasses import dataclass, field
from random import Random

import psycopg

from e2e.cluster.kind_cluster import WORKERS, mend_cluster
from e2e.faults.operators import Operators
from e2e.kube import Kubectl, KubectlError, Object, eventually
from e2e.world import BUDGET, USER, Pool, Postgres

HOME, VICTIM = WORKERS
"""The worker where the database and the load run, and the one that may be broken."""
PATIENCE_SECONDS = 600.0
"""For the whole budget to come back; what it took is reported."""
LEDGER = "main-a-0"
PODS = 3
"""Of the write endpoint, where no fault says otherwise."""


@dataclass
class Stage:
    """Everything that faults break, and what they need to know of it."""

    kubectl: Kubectl
    database: Postgres
    pool: Pool
    operators: Operators
    random: Random = field(default_factory=Random)
    victim_is_whole: bool = True

    @property
    def victim(self) -> str:
        """The node to break: a worker that has pooler pods, and nothing else that counts."""
        assert VICTIM in WORKERS
        return VICTIM

    def occupied_victim(self) -> str:
        """The victim, once there is a pod of the pool on it: one that is replaced goes to the emptier node."""

        def occupied() -> bool:
            pods = self.pool.pods()
            if any(pod["spec"].get("nodeName") == self.victim for pod in pods):
                return True
            self.kubectl("delete", "pod", pods[0]["metadata"]["name"])
            self.wait_whole()
            return False

        eventually(f"a pod is on {self.victim}", occupied, PATIENCE_SECONDS)
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

    def scale(self, replicas: int) -> None:
        """Ask for so many write pods."""
        self.pool.patch({"write": {"replicas": replicas}})

    def wait_for_pods(self, count: int) -> None:
        """Wait until the pool has so many pods."""
        eventually(f"there are {count} pods", lambda: len(self.pool.pods()) == count)

    def database_answers(self) -> bool:
        """Whether the primary takes connections."""
        try:
            return bool(self.database.query("SELECT 1"))
        except (psycopg.Error, KubectlError):
            return False

    def wait_whole(self, budget: int = BUDGET) -> None:
        """Wait until the pool serves, and active pods have all of the budget."""
        eventually(
            f"all {budget} connections are granted and in use",
            lambda: self._whole(budget),
            PATIENCE_SECONDS,
        )

    def _whole(self, budget: int) -> bool:
        try:
            return self._seen_whole(budget)
        except (KubectlError, psycopg.Error) as error:
            raise AssertionError(str(error)) from error

    def _seen_whole(self, budget: int) -> bool:
        status = self.ledger()["status"]
        states = {grant["state"] for grant in status["grants"]}
        assert status["reserved"] == status["connections"] == budget, (
            f"{status['reserved']} of {status['connections']} reserved"
        )
        assert states == {"Active"}, f"{states}"
        ready = self.pool.condition("Ready")
        assert ready["status"] == "True", f"{ready}"
        open_now = self._open()
        assert open_now == budget, f"{open_now} backends"
        return True

    def _open(self) -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = %s"
        ((count,),) = self.database.query(sql, (USER,))
        return int(count)
