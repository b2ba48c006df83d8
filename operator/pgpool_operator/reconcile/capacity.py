"""How many pods of each endpoint run: what users ask for, as far as the servers' budgets have room. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pgpool_pooler.contract import Endpoint

from ..api import ServerRole
from ..budget import Fit, PoolWants, fit
from ..desired import EndpointPlan, endpoints
from ..discovery import Server, assign
from .world import PoolFacts

MIN_READ_PODS = 2


def wanted(facts: PoolFacts, endpoint: Endpoint) -> int:
    """The pods that the spec asks for."""
    spec = facts.pool.spec
    if endpoint is Endpoint.WRITE:
        return spec.write.replicas if spec.write else 0
    if spec.read is None:
        return 0
    if spec.read.replicas is not None:
        return spec.read.replicas
    return max(MIN_READ_PODS, sum(s.role is ServerRole.REPLICA for s in facts.discovery.servers))


def floor(facts: PoolFacts) -> int:
    """Connections that each pod of the pool needs at least: one for each database, and one for a monitor."""
    spec = facts.pool.spec
    return len(spec.databases) + (spec.auth.monitor is not None)


def plans(
    facts: PoolFacts, neighbours: Mapping[str, Sequence[PoolFacts]], budgets: Mapping[str, int]
) -> dict[Endpoint, EndpointPlan]:
    """What each endpoint of a pool may run.

    `neighbours` are the pools on each server, this one too, oldest first; `budgets` is B by server. An endpoint
    that has a server without a known budget has no plan yet.
    """
    found = {}
    for endpoint in endpoints(facts.pool):
        loads = _loads(facts, endpoint)
        if loads and all(server in budgets for server in loads):
            fits = [
                _fits(neighbours[server], server, budgets[server])[_key(facts, endpoint)] for server in loads
            ]
            found[endpoint] = EndpointPlan(
                replicas=sum(one.replicas for one in fits),
                max_surge=min(one.max_surge for one in fits),
                max_unavailable=max(one.max_unavailable for one in fits),
            )
    return found


def why_limited(facts: PoolFacts, endpoint: Endpoint, plan: EndpointPlan, budgets: Mapping[str, int]) -> str:
    """Why fewer pods run than are wanted; empty if they do not."""
    count = wanted(facts, endpoint)
    if plan.replicas >= count:
        return ""
    needs = floor(facts)
    databases = "1 database" if needs == 1 else f"{needs} databases"
    has = ", ".join(f"{name} has {budgets[name]}" for name in sorted(_loads(facts, endpoint)))
    remedy = "more CPU or fewer databases make room"
    if not plan.replicas:
        return f"{databases} need {needs} connections for one pod, {has}: {remedy}"
    return (
        f"{endpoint.value} wants {count} pods, gets {plan.replicas}: each needs {needs} for {databases}, {has} "
        f"for all pools and keeps {needs} for a rollout; {remedy}"
    )


def _loads(facts: PoolFacts, endpoint: Endpoint) -> Mapping[str, int]:
    """Servers and how many of an endpoint's wanted pods each would get."""
    imagined = {f"{endpoint.value}-{number}": endpoint for number in range(max(1, wanted(facts, endpoint)))}
    read_from = facts.pool.spec.read.target_session_attrs if facts.pool.spec.read else "prefer-standby"
    return Counter(assign(imagined, facts.discovery.servers, {}, read_from).values())


def _fits(pools: Sequence[PoolFacts], server: str, connections: int) -> Mapping[str, Fit]:
    wants = []
    for facts in pools:
        for endpoint in endpoints(facts.pool):
            load = _loads(facts, endpoint).get(server, 0)
            if load:
                replicas = min(load, wanted(facts, endpoint))
                wants.append(PoolWants(_key(facts, endpoint), floor(facts), replicas))
    return fit(connections, wants)


def _key(facts: PoolFacts, endpoint: Endpoint) -> str:
    return f"{facts.key} {endpoint.value}"


def session_share(facts: PoolFacts, server: Server, connections: int) -> int | None:
    """The fixed share of a pod whose pool is in session mode, where nothing can be moved; None elsewhere."""
    if facts.pool.spec.pool_mode != "session":
        return None
    pods = sum(_loads(facts, endpoint).get(server.name, 0) for endpoint in endpoints(facts.pool))
    return max(floor(facts), connections // (pods + 1))
