"""What a pod's grant says: the ledger's order, completed. Pure but for the register of peer ids."""

from collections.abc import Iterable, Mapping

from pgpool_pooler.contract import MONITOR_DATABASE, Grant, Mode, ServerGrant

from ..api import PgPool
from ..budget import Claim, Order, allocate
from ..discovery import Server
from .pods import PoolerPod

MAX_PEER_ID = 16383
"""What fits in a PostgreSQL cancel key beside PgBouncer's own part."""


def compose(
    pod: PoolerPod, pool: PgPool, server: Server, order: Order, demands: Mapping[str, float], peer_id: int
) -> Grant:
    """The grant for `order`; only its generation and cap come from the ledger."""
    held = held_shares(pod, server)
    return Grant(
        uid=pod.uid,
        generation=order.generation,
        servers=(
            ServerGrant(
                host=server.host,
                port=server.port,
                cap=order.cap,
                shares=shares(pool, order.cap, demands, held),
            ),
        ),
        mode=Mode.PAUSE if pool.spec.paused else Mode.SERVE,
        peer_id=peer_id,
    )


def shares(pool: PgPool, cap: int, demands: Mapping[str, float], held: Mapping[str, int]) -> dict[str, int]:
    """A cap divided over the pool's databases: one each, then by demand, the rest evenly.

    A monitor has exactly one of the cap, and none where that would leave a database without.
    """
    monitored = pool.spec.auth.monitor is not None
    monitor = {MONITOR_DATABASE: int(cap > len(pool.spec.databases))} if monitored else {}
    claims = [
        Claim(
            key=database.name,
            floor=1,
            demand=demands.get(database.name, 0.0),
            held=held.get(database.name, 0),
            most=-(-cap * database.max_percent // 100) if database.max_percent else None,
        )
        for database in pool.spec.databases
    ]
    return allocate(cap - sum(monitor.values()), claims) | monitor


def held_shares(pod: PoolerPod, server: Server) -> Mapping[str, int]:
    """The shares that the pod's present grant gives it on this server."""
    for granted in pod.grant.servers if pod.grant else ():
        if (granted.host, granted.port) == (server.host, server.port):
            return granted.shares
    return {}


class PeerIds:
    """One peer_id for each pod of a pool, kept while the pod lives.

    Ids live in the grants; this register only stops two reconciles from choosing the same one at a time.
    """

    def __init__(self) -> None:
        self._chosen: dict[str, dict[str, int]] = {}

    def of(self, uid: str, pool: str, pods: Iterable[PoolerPod]) -> int:
        """The pod's id: the one that it has, else the lowest that no pod of the pool has."""
        pods = tuple(pods)
        present = {pod.uid for pod in pods}
        chosen = self._chosen.setdefault(pool, {})
        for gone in set(chosen) - present:
            del chosen[gone]
        chosen |= {pod.uid: pod.grant.peer_id for pod in pods if pod.grant}
        if uid not in chosen:
            taken = set(chosen.values())
            chosen[uid] = next(number for number in range(1, MAX_PEER_ID + 1) if number not in taken)
        return chosen[uid]
