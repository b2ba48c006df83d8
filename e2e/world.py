"""What the end-to-end tests stand on: the installed operator, a database with a replica, and PgPools."""

import base64
import shlex
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from e2e import words
from e2e.kube import GENEROUS_SECONDS, Kubectl, KubectlError, Object, condition, eventually

REPOSITORY = Path(__file__).resolve().parents[1]
OPERATOR_NAMESPACE = "pgpool-system"
OPERATOR_SELECTOR = "app.kubernetes.io/name=pgpool-operator"
OPERATORS = 2
"""The Deployment's replicas, as its manifest has them."""
LEASE = "pgpool-operator"
BUDGET = 24
"""Of the sample database: 8 CPUs by container limit, 3 connections each."""
USER = "main-app"
"""The user of the sample pools."""
PRIMARY = "main-a-0"
"""The pod of the sample database's primary, and the PgBudget of that server."""
REPLICA = "main-b-0"

SMALL: Object = {
    "resources": {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "100m", "memory": "256Mi"},
    }
}
"""Pooler pods so small that one pgbench saturates several."""

_AGENT_PORT = 9127
_HOLD_DOWN = "/var/lib/postgresql/data/hold"
"""While this is there, the sample's container does not start PostgreSQL."""


def install_operator(kubectl: Kubectl, *, restart: bool) -> None:
    """Apply the CRDs and the operator; `restart` makes sure that its pods run the image as it is now."""
    system = kubectl.within(OPERATOR_NAMESPACE)
    kubectl.within("")(
        "apply", "--server-side", "--force-conflicts", "-k", str(REPOSITORY / "manifests/operator")
    )
    if restart:
        system("rollout", "restart", "deployment/pgpool-operator")
    system("rollout", "status", "deployment/pgpool-operator", "--timeout=240s")
    eventually("an operator leads", lambda: leader(system))


def leader(system: Kubectl) -> str | None:
    """The name of the pod that holds the Lease; None if no living pod does."""
    lease = system.get("lease", LEASE)
    holder = str((lease or {}).get("spec", {}).get("holderIdentity", "")).rpartition("_")[0]
    pods = system.list("pods", OPERATOR_SELECTOR)
    staying = {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    return holder if holder in staying else None


@contextmanager
def operators_away(system: Kubectl) -> Iterator[None]:
    """The cluster's own operators are scaled to nothing while the block runs; after it one of them leads again."""
    deployment = "deployment/pgpool-operator"
    try:
        system("scale", deployment, "--replicas=0")
        eventually("no operator runs in the cluster", lambda: _none_runs(system))
        yield
    finally:
        system("scale", deployment, f"--replicas={OPERATORS}")
        # One that is told to stop while it starts only stops when it is killed, 30 s later.
        system("rollout", "status", deployment, "--timeout=240s")
        eventually("an operator in the cluster leads", lambda: leader(system))


def _none_runs(system: Kubectl) -> bool:
    """For `eventually`: raises AssertionError with the operators that are still there."""
    names = [pod["metadata"]["name"] for pod in system.list("pods", OPERATOR_SELECTOR)]
    assert not names, ", ".join(names)
    return True


@dataclass(frozen=True)
class Postgres:
    """The sample database in one namespace: PRIMARY, and REPLICA."""

    kubectl: Kubectl
    node: str = ""
    """Where its members run; empty: anywhere."""

    def create(self) -> None:
        """Apply it and wait until it replicates; it has a table that applications write to."""
        if self.kubectl.get("namespace", self.kubectl.namespace) is None:
            self.kubectl("create", "namespace", self.kubectl.namespace)
        if self.kubectl.get("pod", PRIMARY) is not None:
            # A run that was interrupted may have left it held down.
            self._released()
        manifests = list(self._manifests())
        # A replica copies the primary when it first starts: one that comes before a new primary follows another.
        for member, other in (("main-a", "main-b"), ("main-b", "main-a")):
            self.kubectl.apply(*(each for each in manifests if each["metadata"]["name"] != other))
            self.kubectl("rollout", "status", f"statefulset/{member}", "--timeout=240s")
        if self._came(REPLICA) < self._came(PRIMARY):
            # The node of the primary was lost meanwhile, and its data with it.
            self.kubectl("delete", "pod", REPLICA)
        eventually("the replica streams", self._streams)
        self.query("CREATE TABLE IF NOT EXISTS judged (id bigint PRIMARY KEY)")
        self.query('GRANT ALL ON judged TO "main-app"')

    def _manifests(self) -> Iterator[Object]:
        rendered = self.kubectl("kustomize", str(REPOSITORY / "manifests/samples/database"))
        for manifest in yaml.safe_load_all(rendered):
            if manifest["kind"] == "StatefulSet" and self.node:
                template = manifest["spec"]["template"]
                template["spec"]["nodeSelector"] = {"kubernetes.io/hostname": self.node}
            yield manifest

    def _member(self, pod: str) -> Object:
        found = self.kubectl.get("pod", pod)
        assert found is not None, f"no pod {pod}"
        return found

    def _came(self, pod: str) -> str:
        return str(self._member(pod)["metadata"]["creationTimestamp"])

    def _streams(self) -> bool:
        rows = self.query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        return bool(rows[0][0])

    def address(self, pod: str = PRIMARY) -> str:
        """The IP of a member."""
        return str(self._member(pod)["status"]["podIP"])

    def dsn(self, pod: str = PRIMARY, database: str = "app") -> str:
        """Straight to a member, as superuser, past all poolers."""
        password = secret(self.kubectl, "main-superuser")["password"]
        return (
            f"host={self.address(pod)} user=postgres password={password} dbname={database} connect_timeout=5"
        )

    def query(
        self, sql: str, parameters: tuple[Any, ...] = (), *, pod: str = PRIMARY
    ) -> list[tuple[Any, ...]]:
        """Run one statement straight on a member."""
        return query_at(self.dsn(pod), sql, parameters)

    @contextmanager
    def held_down(self) -> Iterator[None]:
        """The primary stops at once, as in a crash, and its container does not start it before the block ends."""
        postgres = ("exec", PRIMARY, "--")
        self.kubectl(*postgres, "touch", _HOLD_DOWN)
        before = self._running()
        self.kubectl(*postgres, "bash", "-c", "kill -QUIT 1")
        try:
            eventually("the database has ended", lambda: self._running() != before)
            yield
        finally:
            eventually("the database may start again", self._released)

    def _running(self) -> str:
        """The primary's container as it runs now; empty if none does."""
        pod = self.kubectl.get("pod", PRIMARY)
        assert pod is not None, f"no pod {PRIMARY}"
        (container,) = pod["status"]["containerStatuses"]
        return str(container["containerID"]) if "running" in container["state"] else ""

    def _released(self) -> bool:
        """Whether the container was there to be told."""
        try:
            self.kubectl("exec", PRIMARY, "--", "rm", "-f", _HOLD_DOWN)
        except KubectlError:
            return False
        return True


def query_at(dsn: str, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def secret(kubectl: Kubectl, name: str) -> Mapping[str, str]:
    """A Secret's data in clear."""
    found = kubectl.get("secret", name)
    assert found is not None, f"no Secret {name}"
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


@dataclass(frozen=True)
class Pool:
    """A PgPool in the cluster."""

    kubectl: Kubectl
    name: str

    def object(self) -> Object:
        """As it is now."""
        found = self.kubectl.get("pgpool", self.name)
        assert found is not None, f"PgPool {self.name} is gone"
        return found

    def condition(self, kind: str) -> Object:
        """One of its conditions as it is now."""
        return condition(self.object(), kind)

    def wait_for(self, kind: str, status: str, *reasons: str, within: float = GENEROUS_SECONDS) -> Object:
        """Wait until a condition of the current generation has a status (and one of the reasons)."""

        def check() -> Object:
            pool = self.object()
            found = condition(pool, kind)
            generation = pool["metadata"]["generation"]
            assert found["observedGeneration"] == generation, f"{kind} is of an older generation: {found}"
            assert found["status"] == status, f"{found}"
            assert not reasons or found["reason"] in reasons, f"{found}"
            return found

        return eventually(f"{self.name}: {kind}={status} {' or '.join(reasons)}", check, within)

    def wait_serving(self, *, within: float = GENEROUS_SECONDS) -> None:
        """Wait until the current spec serves clients and nothing is under way.

        What a test's own load does to the database is not the pool's: a pool in front of a saturated one serves.
        """
        self.wait_for("Ready", "True", "Serving", "DatabaseSaturated", within=within)
        self.wait_for("Reconciling", "False")

    def wait_unreachable(self, pods: int) -> str:
        """Wait until so many pods have no server; what the conditions then say alike of it."""

        def said() -> str:
            now = self.object()
            reachable, ready = condition(now, "DatabaseReachable"), condition(now, "Ready")
            assert (reachable["reason"], ready["reason"]) == ("Unreachable", "DatabaseUnreachable")
            assert reachable["message"] == ready["message"]
            assert f"(seen by {pods} of {pods} pods)" in ready["message"], ready["message"]
            return str(ready["message"])

        return eventually(f"{self.name}: all pods say that the server does not answer", said)

    def wait_settled(self) -> None:
        """Wait until it serves and the whole budget of the primary is in use."""
        self.wait_serving()

        def whole() -> bool:
            budget = self.kubectl.get("pgbudget", PRIMARY)
            assert budget is not None, f"PgBudget {PRIMARY} is gone"
            status, said = budget["status"], words.of_unsettled(budget)
            assert status["reserved"] == status["connections"] == BUDGET, said
            assert {grant["state"] for grant in status["grants"]} == {"Active"}, said
            return True

        eventually("the whole budget is reserved by active pods", whole)

    def patch(self, spec: Object) -> None:
        """A merge patch of the spec."""
        self.kubectl.patch("pgpool", self.name, {"spec": spec})

    def pods(self, endpoint: str = "") -> list[Object]:
        """Its pods that are not being deleted."""
        selector = f"pgpool.dev/pool={self.name}" + (f",pgpool.dev/endpoint={endpoint}" if endpoint else "")
        pods = self.kubectl.list("pods", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def roll_out(self) -> None:
        """Replace the pods of its write endpoint, and wait until that is done."""
        deployment = f"deployment/{self.name}-rw"
        self.kubectl("rollout", "restart", deployment)
        self.kubectl("rollout", "status", deployment, "--timeout=240s")

    def release_as_told(self, held: Object) -> None:
        """Run the command that the message of a condition ends with, as a person would who has seen it."""
        program, *arguments = shlex.split(held["message"].rpartition(" by: ")[2])
        assert program == "kubectl", held["message"]
        self.kubectl(*arguments)

    def events(self) -> list[tuple[str, str, str]]:
        """Type, reason and message of each event about it."""
        uid = self.object()["metadata"]["uid"]
        return [
            (event["type"], event["reason"], event["message"])
            for event in self.kubectl.list("events")
            if event["involvedObject"].get("uid") == uid
        ]

    def service_ip(self, suffix: str = "rw") -> str:
        """The cluster IP of an endpoint."""
        found = self.kubectl.get("service", f"{self.name}-{suffix}")
        assert found is not None, f"no Service {self.name}-{suffix}"
        return str(found["spec"]["clusterIP"])

    def dsn(self, suffix: str = "rw", *, user_secret: str = USER, database: str = "app") -> str:
        """Through an endpoint's Service, as a user of the pool."""
        return self._dsn(self.service_ip(suffix), user_secret, database)

    def dsn_of(self, pod: Object, database: str = "app") -> str:
        """Past the Service, to one pooler."""
        return self._dsn(pod["status"]["podIP"], USER, database)

    def dsn_of_any(self, *pods: Object) -> str:
        """Past the Service, to one of some poolers by chance; to another one where that takes no connection."""
        hosts = ",".join(pod["status"]["podIP"] for pod in pods)
        return f"{self._dsn(hosts, USER, 'app')} load_balance_hosts=random"

    def _dsn(self, host: str, user_secret: str, database: str) -> str:
        user = secret(self.kubectl, user_secret)
        return (
            f"host={host} user={user['username']} password={user['password']} "
            f"dbname={database} connect_timeout=30"
        )

    def query(self, sql: str, suffix: str = "rw") -> list[tuple[Any, ...]]:
        """Run one statement through an endpoint."""
        return query_at(self.dsn(suffix), sql)


def ask_agent(pod: Object, path: str) -> str:
    """What a pooler pod's agent answers; OSError (urllib's are among them) if it refuses or does not answer."""
    url = f"http://{pod['status']['podIP']}:{_AGENT_PORT}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def sample_pool(name: str, **spec: Any) -> Object:
    """The 12-line PgPool of the README, with changes on top."""
    return {
        "apiVersion": "pgpool.dev/v1alpha1",
        "kind": "PgPool",
        "metadata": {"name": name},
        "spec": {
            "database": {"cluster": {"provider": "patroni", "name": "main"}},
            "databases": [{"name": "app"}],
            "auth": {"userSecrets": [{"name": "main-app"}]},
            "write": {},
            "read": {},
            **spec,
        },
    }
