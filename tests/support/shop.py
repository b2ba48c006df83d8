"""A namespace with one PgPool on one server of 8 CPU (B = 24), and agents that answer as good pods do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgpool_operator.agents import Agents
from pgpool_operator.cluster.kinds import PGBUDGET, PGPOOL, POD
from pgpool_operator.cluster.store import Store
from pgpool_operator.discovery import Address, address_of
from pgpool_operator.scaling import PodLoad
from pgpool_pooler.contract import (
    CONFIG_HASH_ANNOTATION,
    GRANT_ANNOTATION,
    Grant,
    Phase,
    ServerGrant,
    ServerIdentity,
    ServerState,
    State,
)

from .fake_api import FakeApi, FakeServer, Object, watch
from .loads import QUIET

HOST, PORT = "10.0.0.7", 5432
LEDGER = f"{HOST}-{PORT}"


@dataclass
class Clock:
    """A monotonic clock that only the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class HeardAgents(Agents):
    """What the test says that the pods have said."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.expected: dict[str, int] = {}
        self.ages: dict[str, float] = {}
        self.loads: dict[str, PodLoad | None] = {}

    def load(self, uid: str) -> PodLoad | None:
        return self.loads.get(uid, QUIET if uid in self.states else None)

    def state(self, uid: str) -> State | None:
        return self.states.get(uid)

    def age(self, uid: str) -> float:
        return self.ages.get(uid, 0.0)

    def reporting(self, server: Address) -> Collection[str]:
        def speaks(state: State) -> bool:
            return any(address_of(said.host, said.port) == server for said in state.servers)

        return [uid for uid, state in self.states.items() if speaks(state)]

    def demand(self, uid: str) -> Mapping[str, float]:
        state = self.states.get(uid)
        return {d.name: float(d.active + d.waiting) for d in state.databases} if state else {}

    def expect(self, uid: str, generation: int) -> None:
        self.expected[uid] = generation


def pool_manifest(name: str = "app", **spec: Any) -> Object:
    base = {
        "database": {"servers": [{"host": HOST, "port": PORT, "cpu": 8}]},
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {"replicas": 2},
    }
    return {"metadata": {"name": name}, "spec": base | spec}


def pod_manifest(name: str, pool: str = "app", **status: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "labels": {"pgpool.dev/pool": pool, "pgpool.dev/endpoint": "write"},
            "annotations": {},
        },
        "spec": {
            "nodeName": "w1",
            "terminationGracePeriodSeconds": 60,
            "containers": [{"name": "pooler"}],
        },
        "status": {"phase": "Running", "podIP": f"10.0.2.{name[-1]}"} | status,
    }


def report_end(pod: Object, last_word: str = "") -> None:
    """The kubelet has ended a deleted pod, and says so: of each container and, by the final phase, of the pod."""
    pod["metadata"].setdefault("deletionTimestamp", "2026-11-24T12:00:00Z")
    pod["status"] |= {
        "phase": "Failed",
        "containerStatuses": [{"name": "pooler", "state": {"terminated": {"message": last_word}}}],
    }


def identity_for(client: str) -> ServerIdentity:
    """What the server says to a pod."""
    return ServerIdentity(
        address=HOST,
        port=PORT,
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address=client,
        detects_dead_clients=True,
    )


def state_of(pod: Object, **changes: Any) -> State:
    """What a good pod says that has taken in its grant and its configuration."""
    annotations = pod["metadata"].get("annotations", {})
    grant = Grant.model_validate_json(annotations[GRANT_ANNOTATION])
    here = ServerState(
        host=HOST,
        port=PORT,
        cap=grant.servers[0].cap,
        open=0,
        active=0,
        reachable=True,
        identity=identity_for(pod["status"]["podIP"]),
    )
    said: dict[str, Any] = {
        "uid": pod["metadata"]["uid"],
        "pod": pod["metadata"]["name"],
        "phase": Phase.SERVING,
        "ready": True,
        "generation": grant.generation,
        "acknowledged": grant.generation,
        "cap": here.cap,
        "servers": (here,),
        "config_hash": annotations.get(CONFIG_HASH_ANNOTATION, ""),
    }
    return State(**said | changes)


@dataclass
class Shop:
    """The namespace, the store that watches it, and the agents of its pods."""

    server: FakeServer = field(default_factory=FakeServer)
    store: Store = field(default_factory=Store)
    agents: HeardAgents = field(default_factory=HeardAgents)
    clock: Clock = field(default_factory=Clock)

    @property
    def api(self) -> FakeApi:
        """The real client in front of the server."""
        return FakeApi(self.server)

    def watch(self) -> None:
        """The store catches up."""
        watch(self.server, self.store)

    def give_grant(self, name: str, peer_id: int) -> None:
        """A pod has a grant of 12 connections."""
        server = ServerGrant(host=HOST, port=PORT, cap=12, shares={"app": 12})
        grant = Grant(uid=f"uid-{name}", generation=1, servers=(server,), peer_id=peer_id)
        pod = self.server.there(POD, name)
        pod["metadata"]["annotations"][GRANT_ANNOTATION] = grant.model_dump_json()
        self.server.save(POD, pod)
        self.watch()

    def answer(self) -> None:
        """Every pod with a grant says that it has taken it in."""
        for pod in self.pods():
            if GRANT_ANNOTATION in pod["metadata"].get("annotations", {}):
                self.agents.states[pod["metadata"]["uid"]] = state_of(pod)

    def pods(self) -> list[Object]:
        """The namespace's pods as they are now, by name."""
        found = (self.server.objects[path] for path in sorted(self.server.objects))
        return [obj for obj in found if obj["kind"] == POD.name]

    def grant(self, name: str) -> Grant | None:
        """The grant on a pod."""
        text = self.server.there(POD, name)["metadata"].get("annotations", {}).get(GRANT_ANNOTATION)
        return Grant.model_validate_json(text) if text else None

    def ledger(self) -> dict[str, Object]:
        """The committed reservations by pod name."""
        status = self.server.there(PGBUDGET, LEDGER).get("status", {})
        return {grant["pod"]: grant for grant in status.get("grants", ())}


def open_shop(*pods: str, **spec: Any) -> Shop:
    """A PgPool and its pods; nothing was reconciled yet."""
    shop = Shop()
    shop.server.save(PGPOOL, pool_manifest(**spec))
    for pod in pods:
        shop.server.save(POD, pod_manifest(pod))
    shop.watch()
    return shop
