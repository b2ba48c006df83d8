"""Several namespaces whose PgPools name servers by host, an operator, and pods that answer as good pods do.

What hosts there are, and which servers are behind each, is the test's to say.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pgpool_operator.cluster.kinds import OBSERVED, PGBUDGET, PGPOOL, POD, Kind
from pgpool_operator.cluster.store import Store
from pgpool_operator.reconcile.budget import BudgetReconciler
from pgpool_operator.reconcile.deaths import Deaths
from pgpool_operator.reconcile.pokes import Pokes
from pgpool_operator.reconcile.pool import PoolReconciler
from pgpool_operator.watching import slim
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, ServerIdentity, ServerState

from .fake_api import FakeApi, FakeServer, Object
from .shop import PORT, Clock, HeardAgents, pod_manifest, pool_manifest, state_of

STARTED = datetime(2026, 11, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Backend:
    """A PostgreSQL server, as it tells itself from others."""

    address: str
    started_at: datetime = STARTED
    detects_dead_clients: bool = True

    def identity(self, asked_at: datetime) -> ServerIdentity:
        """What it answers."""
        return ServerIdentity(
            address=self.address,
            port=PORT,
            started_at=self.started_at,
            version="17.6",
            max_connections=100,
            reserved_connections=3,
            in_recovery=False,
            client_address="10.0.2.1",
            detects_dead_clients=self.detects_dead_clients,
            asked_at=asked_at,
        )


@dataclass
class Town:
    """The namespaces, the store that watches them, and one operator."""

    behind: dict[str, tuple[Backend, ...]] = field(default_factory=dict)
    """The servers that answer at a host; by default one that has the host for its address."""
    server: FakeServer = field(default_factory=FakeServer)
    store: Store = field(init=False)
    agents: HeardAgents = field(default_factory=HeardAgents)
    clock: Clock = field(default_factory=Clock)
    kind_of_store: type[Store] = Store
    kind_of_api: Callable[[FakeServer], FakeApi] = FakeApi

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another operator takes over; it remembers nothing."""
        self.store = self.kind_of_store()
        api, pokes = self.kind_of_api(self.server), Pokes(self.clock)
        deaths = Deaths(api, self.store, nodes_visible=True, clock=self.clock)
        self.budgets = BudgetReconciler(api, self.store, self.agents, pokes, deaths, self.clock)
        self.pools = PoolReconciler(api, self.store, self.agents, pokes, "pooler:1", self.clock)
        self.watch()

    def pool(self, key: str, host: str, pods: int = 2, created: str = "", **spec: Any) -> None:
        """A PgPool (namespace/name) on a server of 8 CPU (B = 24), and its pods."""
        namespace, name = key.split("/")
        database = {"servers": [{"host": host, "port": PORT, "cpu": 8}]}
        manifest = pool_manifest(name, **{"database": database} | spec)
        manifest["metadata"] |= {"namespace": namespace}
        if created:
            manifest["metadata"]["creationTimestamp"] = created
        self.server.save(PGPOOL, manifest)
        for number in range(1, pods + 1):
            self.pod(key, number)
        self.watch()

    def pod(self, key: str, number: int) -> None:
        """One more pod of a pool."""
        namespace, name = key.split("/")
        pod = pod_manifest(f"{name}-{number}", name)
        pod["metadata"]["namespace"] = namespace
        self.server.save(POD, pod)
        self.watch()

    def ledger(self, namespace: str, host: str, created: str = "", **spec: Any) -> None:
        """A PgBudget that somebody writes."""
        manifest: Object = {"metadata": {"name": f"{host}-{PORT}", "namespace": namespace}}
        if created:
            manifest["metadata"]["creationTimestamp"] = created
        there = self.server.get(PGBUDGET, f"{host}-{PORT}", namespace) or {}
        manifest = {**there, "metadata": there.get("metadata", {}) | manifest["metadata"]}
        manifest["spec"] = {"server": {"host": host, "port": PORT}} | spec
        self.server.save(PGBUDGET, manifest)
        self.watch()

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Somebody deletes an object."""
        del self.server.objects[kind.path(namespace, name)]
        self.watch()

    def watch(self) -> None:
        """The store catches up."""
        for kind in OBSERVED:
            there = [obj for obj in self.server.objects.values() if obj["kind"] == kind.name]
            for obj in there:
                self.store.put(kind, slim(kind, copy.deepcopy(obj)))
            uids = {obj["metadata"]["uid"] for obj in there}
            for known in list(self.store.all(kind)):
                if known["metadata"]["uid"] not in uids:
                    self.store.remove(kind, known)

    def answer(self, *only: str) -> None:
        """The pods with a grant (or those of these names) say that they have taken it in, and who answers them."""
        asked_at = NOON + timedelta(seconds=self.clock.now)
        for pod in self.objects(POD):
            name = pod["metadata"]["name"]
            if GRANT_ANNOTATION in pod["metadata"].get("annotations", {}) and (not only or name in only):
                said = state_of(pod)
                self.agents.states[said.uid] = said.model_copy(
                    update={"servers": (self._seen_by(pod, asked_at),)}
                )

    def _seen_by(self, pod: Object, asked_at: datetime) -> ServerState:
        grant = Grant.model_validate_json(pod["metadata"]["annotations"][GRANT_ANNOTATION])
        [granted] = grant.servers
        backends = self.behind.get(granted.host, (Backend(granted.host),))
        first, *others = (backend.identity(asked_at) for backend in backends)
        return ServerState(
            host=granted.host,
            port=granted.port,
            cap=granted.cap,
            open=granted.cap,
            active=0,
            reachable=True,
            identity=first if granted.cap else None,
            others=tuple(others) if granted.cap else (),
        )

    def objects(self, kind: Kind) -> list[Object]:
        """All objects of a kind as they are now."""
        found = (self.server.objects[path] for path in sorted(self.server.objects))
        return [copy.deepcopy(obj) for obj in found if obj["kind"] == kind.name]

    async def reconcile(self, kind: Kind, namespace: str, name: str) -> None:
        """One step for one object."""
        reconcile = self.pools.reconcile if kind is PGPOOL else self.budgets.reconcile
        await reconcile(namespace, name)
        self.watch()

    async def round(self) -> None:
        """One step for every PgPool and PgBudget."""
        for kind in (PGPOOL, PGBUDGET):
            for obj in self.objects(kind):
                await self.reconcile(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])

    async def settle(self) -> None:
        """Reconcile and let the pods answer until nothing is written any more."""
        for _ in range(30):
            before = len(self.server.writes)
            await self.round()
            if len(self.server.writes) == before:
                return
            self.answer()
        raise AssertionError("it does not settle")

    def status(self, namespace: str, host: str) -> Object:
        """What a ledger says; empty if it is not there."""
        status: Object = (self.server.get(PGBUDGET, f"{host}-{PORT}", namespace) or {}).get("status", {})
        return status

    def reserved(self, namespace: str, host: str) -> Mapping[str, int]:
        """A ledger's reservations by pod name."""
        return {grant["pod"]: grant["reserved"] for grant in self.status(namespace, host).get("grants", ())}

    def caps(self) -> Mapping[str, int]:
        """What each pod is granted, by name; pods without a grant are left out."""
        found = {}
        for pod in self.objects(POD):
            text = pod["metadata"].get("annotations", {}).get(GRANT_ANNOTATION)
            if text:
                found[pod["metadata"]["name"]] = Grant.model_validate_json(text).servers[0].cap
        return found

    def said(self, kind: Kind, key: str, condition: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition of an object (namespace/name)."""
        namespace, _, name = key.partition("/")
        obj = self.server.get(kind, name, namespace)
        assert obj is not None, f"no {kind.name} {key}"
        [found] = [said for said in obj["status"]["conditions"] if said["type"] == condition]
        return found["status"], found["reason"], found["message"]
