"""The state that the pod reports, from the facts."""

from dataclasses import dataclass

from pgpool_pooler.contract import (
    MONITOR_DATABASE,
    Activity,
    Backends,
    DatabaseState,
    Grant,
    Mode,
    Phase,
    Problem,
    ServerIdentity,
    ServerState,
    State,
)
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus, Setup

from .reach import Reachability, failure_problems
from .settings import Identity


@dataclass(frozen=True)
class Facts:
    """What the supervisor knows at an instant."""

    identity: Identity
    grant: Grant | None
    acknowledged: int
    in_force: Setup | None
    status: EngineStatus
    running: bool
    warm: bool
    holding: bool
    mute: bool
    """The engine did not answer when it was asked last: what is known of it is old."""
    refusals: int
    """Grants that were refused since the agent started."""
    crashes: int
    """Times that the engine ended by itself, or did not start, since the agent started."""
    draining: bool
    reach: Reachability
    server_identity: ServerIdentity | None
    other_servers: tuple[ServerIdentity, ...]
    activity: Activity | None
    backends: Backends | None
    cpu_seconds: float
    cpu_available: float
    config_hash: str
    secrets_version: str
    missing: str
    problems: tuple[Problem, ...]


def unready(facts: Facts) -> str:
    """Why the pod takes no clients; empty when it does."""
    if facts.draining:
        return "draining"
    if facts.grant is None:
        return "no grant yet: waiting for the operator"
    if facts.missing and facts.in_force is None:
        return facts.missing
    if facts.grant.servers[0].cap == 0:
        return "no connections granted"
    if not facts.running:
        return (
            "waiting for backends of an earlier engine to end" if facts.holding else "the engine is starting"
        )
    if facts.mute:
        return "the engine does not answer"
    return "" if facts.warm else "opening connections"


def phase(facts: Facts) -> Phase:
    """Where the pod is in its life."""
    if facts.draining:
        return Phase.DRAINING if facts.running else Phase.STOPPED
    if facts.grant is None or facts.holding or (facts.missing and not facts.running):
        return Phase.GATED
    if not facts.running:
        return Phase.STARTING
    if facts.grant.mode is Mode.PAUSE or facts.grant.servers[0].cap == 0:
        return Phase.PAUSED
    return Phase.SERVING if facts.warm else Phase.STARTING


def state(facts: Facts) -> State:
    """What `GET /v1/state` answers."""
    grant, status = facts.grant, facts.status
    problems = list(facts.problems)
    if facts.in_force is not None:
        problems += failure_problems(facts.reach.failures.values(), facts.in_force.material)
    return State(
        uid=facts.identity.uid,
        pod=facts.identity.name,
        phase=phase(facts),
        ready=not unready(facts),
        generation=grant.generation if grant is not None else 0,
        acknowledged=facts.acknowledged,
        cap=sum(server.cap for server in grant.servers) if grant is not None else 0,
        servers=_servers(facts),
        databases=_databases(facts),
        clients=status.clients,
        waiting=status.waiting,
        max_clients=status.max_clients,
        transactions=status.transactions,
        busy_seconds=status.busy_seconds,
        query_seconds=status.query_seconds,
        cpu_seconds=facts.cpu_seconds,
        cpu_available=facts.cpu_available,
        config_hash=facts.config_hash,
        secrets_version=facts.secrets_version,
        problems=tuple(problems),
    )


def _servers(facts: Facts) -> tuple[ServerState, ...]:
    """The server the engine is connected to, and the granted one where that is another."""
    servers = []
    now, grant = facts.in_force, facts.grant
    if now is not None:
        servers.append(
            ServerState(
                host=now.host,
                port=now.port,
                cap=_cap(facts, now),
                open=facts.status.open,
                active=sum(load.active for load in facts.status.databases.values()),
                reachable=facts.reach.reachable,
                error=facts.reach.error or facts.reach.login_error,
                identity=facts.server_identity,
                others=facts.other_servers,
                activity=facts.activity,
                backends=facts.backends,
            )
        )
    if grant is not None:
        servers += [
            ServerState(host=server.host, port=server.port, cap=server.cap, open=0, active=0, reachable=None)
            for server in grant.servers
            if now is None or (server.host, server.port) != (now.host, now.port)
        ]
    return tuple(servers)


def _cap(facts: Facts, now: Setup) -> int:
    """What the pod may have on the server that its engine is connected to.

    An engine that has to give up everything is paused, not reconfigured, as it knows no limit of 0: once it has
    drained, the grant's 0 is what it has.
    """
    grant = facts.grant
    if grant is None or facts.acknowledged < grant.generation:
        return now.cap
    return next((s.cap for s in grant.servers if (s.host, s.port) == (now.host, now.port)), now.cap)


def _databases(facts: Facts) -> tuple[DatabaseState, ...]:
    limits = facts.in_force.limits if facts.in_force is not None else {}
    loads = facts.status.databases
    paused = facts.grant is None or facts.grant.servers[0].cap == 0
    states = []
    for name in sorted({*limits, *loads} - {MONITOR_DATABASE}):
        load = loads.get(name, DatabaseLoad())
        states.append(
            DatabaseState(
                name=name,
                limit=0 if paused else limits.get(name, 0),
                open=load.open,
                active=load.active,
                clients=load.clients,
                waiting=load.waiting,
                max_wait_seconds=load.max_wait_seconds,
            )
        )
    return tuple(states)
