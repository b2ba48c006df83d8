"""A healthy pool as facts; each test changes what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from pgpool_operator.api import (
    BudgetServer,
    Condition,
    ConditionStatus,
    CpuSource,
    GrantRecord,
    GrantState,
    PgPool,
    ServerRole,
    parse_pgpool,
)
from pgpool_operator.discovery import Discovery, Server
from pgpool_operator.status import EndpointFacts, Facts, ServerFacts, conditions
from pgpool_pooler.contract import Endpoint, Phase, ServerIdentity, ServerState, State

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HASH = "c0ffee"


def a_pool(**spec: Any) -> PgPool:
    base = {
        "database": {"cluster": {"provider": "patroni", "name": "main"}},
        "databases": [{"name": "app"}, {"name": "reports"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
        "read": {},
    }
    metadata = {"name": "app", "namespace": "shop", "uid": "u1", "generation": 8}
    return parse_pgpool({"metadata": metadata, "spec": base | spec})


def a_server(name: str, role: ServerRole) -> Server:
    return Server(
        name=name,
        host=f"10.0.1.{name[-1]}",
        port=5432,
        role=role,
        cpu=Fraction(8),
        cpu_source=CpuSource.CONTAINER_LIMIT,
        cpu_problem="",
        ref=BudgetServer(cluster="main", instance=name, port=5432),
        node="w1",
    )


def a_grant(pod: str, state: GrantState = GrantState.ACTIVE, reserved: int = 12) -> GrantRecord:
    return GrantRecord(
        uid=pod,
        pod=pod,
        pool="shop/app",
        endpoint=Endpoint.WRITE,
        node="w3",
        cap=reserved,
        reserved=reserved,
        generation=4,
        state=state,
        since=NOON,
        detects_dead_clients=True,
    )


def a_view(
    server: Server, reachable: bool | None = True, *, error: str = "", standby: bool = False
) -> ServerState:
    identity = ServerIdentity(
        address=server.host,
        port=server.port,
        started_at=NOON,
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=standby,
        client_address="10.0.2.1",
        detects_dead_clients=True,
    )
    return ServerState(
        host=server.host,
        port=server.port,
        cap=12,
        open=1,
        active=0,
        reachable=reachable,
        error=error,
        identity=identity if reachable else None,
    )


def a_state(pod: str, *views: ServerState, **more: Any) -> State:
    return State(
        uid=pod,
        pod=pod,
        phase=Phase.SERVING,
        ready=True,
        generation=4,
        acknowledged=4,
        cap=12,
        servers=views,
        **{"config_hash": HASH} | more,
    )


PRIMARY = a_server("main-1", ServerRole.PRIMARY)
REPLICA = a_server("main-2", ServerRole.REPLICA)
BOTH = (a_grant("app-rw-1"), a_grant("app-rw-2"))
TWO = EndpointFacts(wanted=2, fit=2, why="", pods=2, ready=2, updated=2, observed=True)


HEALTHY = Facts(
    pool=a_pool(),
    now=NOON,
    discovery=Discovery((PRIMARY, REPLICA)),
    servers=(
        ServerFacts(PRIMARY, namespace="shop", connections=24, connections_per_cpu=3, grants=BOTH),
        ServerFacts(REPLICA, namespace="shop", connections=24, connections_per_cpu=3, grants=BOTH),
    ),
    states=(a_state("app-rw-1", a_view(PRIMARY)), a_state("app-rw-2", a_view(PRIMARY))),
    config_hash=HASH,
    write=TWO,
    read=TWO,
)
"""Two write pods on main-1, two read pods on main-2, 24 connections each, everything settled."""


def but(facts: Facts = HEALTHY, **changes: Any) -> Facts:
    """The same facts with some of them changed."""
    return replace(facts, **changes)


def but_primary(**changes: Any) -> Facts:
    """A healthy pool but for its primary's ledger."""
    primary, *others = HEALTHY.servers
    return but(servers=(replace(primary, **changes), *others))


def said_before(facts: Facts, **reasons: str) -> Facts:
    """The same facts after conditions were said, each with its reason (a False one if it starts with "!")."""
    known = {said.type: said for said in conditions(HEALTHY)}
    changed = {
        name: known[name].model_copy(
            update={
                "reason": reason.removeprefix("!"),
                "status": ConditionStatus.FALSE if reason.startswith("!") else known[name].status,
            }
        )
        for name, reason in reasons.items()
    }
    status = facts.pool.status.model_copy(update={"conditions": tuple((known | changed).values())})
    return but(facts, pool=facts.pool.model_copy(update={"status": status}))


def by_type(facts: Facts) -> dict[str, Condition]:
    """The conditions, by type."""
    return {said.type: said for said in conditions(facts)}
