"""What the end-to-end tests stand on: the installed operator, a database with a replica, and PgPools."""

import base64
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from e2e.kube import GENEROUS_SECONDS, Kubectl, KubectlError, Object, condition, eventually

REPOSITORY = Path(__file__).resolve().parents[1]
OPERATOR_NAMESPACE = "pgpool-system"
OPERATOR_SELECTOR = "app.kubernetes.io/name=pgpool-operator"
LEASE = "pgpool-operator"
BUDGET = 24
"""Of the sample database: 8 CPUs by container limit, 3 connections each."""
USER = "main-app"
"""The user of the sample pools."""

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


def leader(system: Kubectl) -> str:
    """The name of the pod that holds the Lease; empty if no living pod does."""
    lease = system.get("lease", LEASE)
    holder = str((lease or {}).get("spec", {}).get("holderIdentity", "")).rpartition("_")[0]
    pods = system.list("pods", OPERATOR_SELECTOR)
    staying = {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    return holder if holder in staying else ""


@dataclass(frozen=True)
class Postgres:
    """The sample database in one namespace: primary main-a-0, replica main-b-0."""

    kubectl: Kubectl
    node: str = ""
    """Where its members run; empty: anywhere."""

    def create(self) -> None:
        """Apply it and wait until it replicates; it has a table that applications write to."""
        if self.kubectl.get("namespace", self.kubectl.namespace) is None:
            self.kubectl("create", "namespace", self.kubectl.namespace)
        manifests = list(self._manifests())
        # A replica copies the primary when it first starts: one that comes before a new primary follows another.
        for member, other in (("main-a", "main-b"), ("main-b", "main-a")):
            self.kubectl.apply(*(each for each in manifests if each["metadata"]["name"] != other))
            self.kubectl("rollout", "status", f"statefulset/{member}", "--timeout=240s")
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

    def _streams(self) -> bool:
        rows = self.query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        return bool(rows[0][0])

    def address(self, pod: str = "main-a-0") -> str:
        """The IP of a member."""
        found = self.kubectl.get("pod", pod)
        assert found is not None, f"no pod {pod}"
        return str(found["status"]["podIP"])

    def dsn(self, pod: str = "main-a-0", database: str = "app") -> str:
        """Straight to a member, as superuser, past all poolers."""
        password = secret(self.kubectl, "main-superuser")["password"]
        return (
            f"host={self.address(pod)} user=postgres password={password} dbname={database} connect_timeout=5"
        )

    def query(
        self, sql: str, parameters: tuple[Any, ...] = (), *, pod: str = "main-a-0"
    ) -> list[tuple[Any, ...]]:
        """Run one statement straight on a member."""
        return query_at(self.dsn(pod), sql, parameters)

    @contextmanager
    def held_down(self) -> Iterator[None]:
        """The primary stops at once, as in a crash, and its container does not start it before the block ends."""
        postgres = ("exec", "main-a-0", "--")
        self.kubectl(*postgres, "touch", _HOLD_DOWN)
        self.kubectl(*postgres, "bash", "-c", "kill -QUIT 1")
        try:
            yield
        finally:
            eventually("the database may start again", self._released)

    def _released(self) -> bool:
        """Whether the container was there to be told."""
        try:
            self.kubectl("exec", "main-a-0", "--", "rm", "-f", _HOLD_DOWN)
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

    def wait_for(
        self, kind: str, status: str, reason: str | None = None, *, within: float = GENEROUS_SECONDS
    ) -> Object:
        """Wait until a condition of the current generation has a status (and a reason)."""

        def check() -> Object:
            pool = self.object()
            found = condition(pool, kind)
            generation = pool["metadata"]["generation"]
            assert found["observedGeneration"] == generation, f"{kind} is of an older generation: {found}"
            assert found["status"] == status, f"{found}"
            assert reason in (None, found["reason"]), f"{found}"
            return found

        return eventually(f"{self.name}: {kind}={status} {reason or ''}", check, within)

    def wait_serving(self, *, within: float = GENEROUS_SECONDS) -> None:
        """Wait until the current spec serves clients and nothing is under way."""
        self.wait_for("Ready", "True", "Serving", within=within)
        self.wait_for("Reconciling", "False")

    def wait_settled(self) -> None:
        """Wait until it serves and the whole budget of the primary is in use."""
        self.wait_serving()

        def whole() -> bool:
            status = (self.kubectl.get("pgbudget", "main-a-0") or {})["status"]
            states = {grant["state"] for grant in status["grants"]}
            assert status["reserved"] == status["connections"] == BUDGET, f"{status['reserved']} reserved"
            assert states == {"Active"}, f"{states}"
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

    def dsn_of(self, pod: Object) -> str:
        """Past the Service, to one pooler."""
        return self._dsn(pod["status"]["podIP"], USER, "app")

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
