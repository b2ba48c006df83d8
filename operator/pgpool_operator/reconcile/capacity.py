"""How many pods of each endpoint run: what users ask for, as far as the servers' budgets have room. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from pgpool_pooler.contract import Endpoint, PoolMode

from ..api import Autoscaling, PgPool, ServerRole
from ..budget import Fit, PoolWants, fit, fixed_share
from ..desired import EndpointPlan, endpoints
from ..discovery import assign
from .world import PoolFacts

MIN_READ_PODS = 2

Asked = Mapping[Endpoint, int]
"""The pods that autoscaling asks for now, of the endpoints that have it."""


def autoscaling(facts: PoolFacts, endpoint: Endpoint) -> Autoscaling | None:
    """How an endpoint scales; None: its number of pods is the user's."""
    spec = facts.pool.spec
    block = spec.write if endpoint is Endpoint.WRITE else spec.read
    return block.autoscaling if block is not None else None


def least(facts: PoolFacts, scaling: Autoscaling) -> int:
    """The pods that run at least where an endpoint scales."""
    if scaling.min_replicas is not None:
        return scaling.min_replicas
    return min(scaling.max_replicas, _read_default(facts))


def wanted(facts: PoolFacts, endpoint: Endpoint) -> int:
    """The pods that the spec asks for, or that autoscaling has decided on last."""
    spec, status = facts.pool.spec, facts.pool.status
    scaling = autoscaling(facts, endpoint)
    if scaling is not None:
        decided = status.write if endpoint is Endpoint.WRITE else status.read
        count = decided.desired_replicas if decided is not None else 0
        return min(max(count, least(facts, scaling)), scaling.max_replicas)
    if endpoint is Endpoint.WRITE:
        return spec.write.replicas if spec.write else 0
    if spec.read is None:
        return 0
    return spec.read.replicas if spec.read.replicas is not None else _read_default(facts)


def _read_default(facts: PoolFacts) -> int:
    return max(MIN_READ_PODS, sum(s.role is ServerRole.REPLICA for s in facts.discovery.servers))


def floor(facts: PoolFacts) -> int:
    """Connections that each pod of the pool needs at least: one for each database, and one for a monitor."""
    spec = facts.pool.spec
    return len(spec.databases) + (spec.auth.monitor is not None)


def plans(
    facts: PoolFacts,
    neighbours: Mapping[str, Sequence[PoolFacts]],
    budgets: Mapping[str, int],
    asked: Asked,
) -> dict[Endpoint, EndpointPlan]:
    """What each endpoint of a pool may run.

    `neighbours` are the pools on each server, this one too, oldest first; `budgets` is B by server. An endpoint
    that has a server without a known budget has no plan yet.
    """

    def count(one: PoolFacts, endpoint: Endpoint) -> int:
        own = one.key == facts.key and endpoint in asked
        return asked[endpoint] if own else wanted(one, endpoint)

    found = {}
    for endpoint in endpoints(facts.pool):
        loads = _loads(facts, endpoint, count(facts, endpoint))
        if loads and all(server in budgets for server in loads):
            fits = [
                _fits(neighbours[server], server, budgets[server], count)[_key(facts, endpoint)]
                for server in loads
            ]
            found[endpoint] = EndpointPlan(
                replicas=sum(one.replicas for one in fits),
                max_surge=min(one.max_surge for one in fits),
                max_unavailable=max(one.max_unavailable for one in fits),
            )
    return found


def rooms(
    facts: PoolFacts, neighbours: Mapping[str, Sequence[PoolFacts]], budgets: Mapping[str, int]
) -> dict[Endpoint, int]:
    """The most pods that each endpoint that scales could run now; those of unknown budgets are left out."""
    found: dict[Endpoint, int] = {}
    for endpoint in endpoints(facts.pool):
        scaling = autoscaling(facts, endpoint)
        if scaling is not None:
            most = plans(facts, neighbours, budgets, {endpoint: scaling.max_replicas}).get(endpoint)
            if most is not None:
                found[endpoint] = most.replicas
    return found


_REMEDY = (
    "fewer databases or a larger budget make room, which is the least of CPU x connectionsPerCpu, the PgBudget's "
    "limit and what max_connections leaves"
)


def why_no_more(facts: PoolFacts, endpoint: Endpoint, plan: EndpointPlan, budgets: Mapping[str, int]) -> str:
    """Why there is no room for more pods than are planned."""
    needs = floor(facts)
    of = _needed_for(facts)
    has = ", ".join(
        f"{name} has {budgets[name]}" for name in sorted(_loads(facts, endpoint, plan.replicas + 1))
    )
    if not plan.replicas:
        return f"{of} need {needs} connections for one pod, {has}: {_REMEDY}"
    return f"each needs {needs} for {of}, {has} for all pools and keeps {needs} for a rollout; {_REMEDY}"


def _needed_for(facts: PoolFacts) -> str:
    count = len(facts.pool.spec.databases)
    databases = "1 database" if count == 1 else f"{count} databases"
    return f"{databases} and the monitor" if facts.pool.spec.auth.monitor is not None else databases


def _loads(facts: PoolFacts, endpoint: Endpoint, count: int) -> Mapping[str, int]:
    """Servers and how many of `count` pods of an endpoint each would get."""
    imagined = {f"{endpoint.value}-{number}": endpoint for number in range(max(1, count))}
    read_from = facts.pool.spec.read.target_session_attrs if facts.pool.spec.read else "prefer-standby"
    return Counter(assign(imagined, facts.discovery.servers, {}, read_from).values())


def _fits(
    pools: Sequence[PoolFacts],
    server: str,
    connections: int,
    count: Callable[[PoolFacts, Endpoint], int],
) -> Mapping[str, Fit]:
    wants = []
    for facts in pools:
        for endpoint in endpoints(facts.pool):
            pods = count(facts, endpoint)
            load = _loads(facts, endpoint, pods).get(server, 0)
            if load:
                wants.append(PoolWants(_key(facts, endpoint), floor(facts), min(load, pods)))
    return fit(connections, wants)


def _key(facts: PoolFacts, endpoint: Endpoint) -> str:
    return f"{facts.key} {endpoint.value}"


def session_share(pools: Sequence[PoolFacts], server: str, connections: int) -> int:
    """The share of each pod in session mode on a server, or its floor if that is more: nothing can be moved there.

    `pools` are all on the server, oldest first. A pod that leaves counts until it has left, but for one of each
    endpoint: in a rollout there is one more, which has the share that is kept free.
    """
    fits = _fits(pools, server, connections, wanted)
    fixed: list[int] = []
    others: list[int] = []
    for facts in pools:
        for endpoint in Endpoint:
            found = fits.get(_key(facts, endpoint))
            pods = max(found.replicas if found else 0, _present(facts, endpoint, server) - 1)
            (fixed if in_session_mode(facts.pool) else others).extend([floor(facts)] * pods)
    return fixed_share(connections, fixed, others)


def _present(facts: PoolFacts, endpoint: Endpoint, server: str) -> int:
    """The pods of an endpoint that have or shall have connections of a server."""
    there = (pod for pod in facts.pods if facts.placement.get(pod.uid) == server)
    return sum(pod.endpoint is endpoint and not pod.finished for pod in there)


def in_session_mode(pool: PgPool) -> bool:
    """Every pod has a fixed share: who holds a backend, holds it until it leaves."""
    return pool.spec.pool_mode is PoolMode.SESSION


def has_sessions(pool: PgPool) -> bool:
    """Some database or user is in session mode: its clients keep their backends until they leave, and the agent
    can set nothing on these that a client would not see."""
    modes = (
        pool.spec.pool_mode,
        *(d.pool_mode for d in pool.spec.databases),
        *(u.pool_mode for u in pool.spec.users),
    )
    return PoolMode.SESSION in modes
