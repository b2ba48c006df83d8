"""Which PgPools and which ledgers concern each other, found without looking at all of them.

The answers are generous: what they leave out has nothing to do with what was asked about, but not all that they
name has. A ledger has the name of its server.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping

import structlog
from pydantic import ValidationError

from pgpool_pooler.contract import GRANT_ANNOTATION, Grant

from ..api import InvalidResourceError, PgBudget, PgPool, parse_pgbudget, parse_pgpool
from ..desired import POOL_LABEL
from ..discovery import Address, address_of, discover, selector
from .index import Reading
from .kinds import CHILDREN, PGBUDGET, PGPOOL, POD
from .store import Object, Store

log = structlog.get_logger()


def _readable(raw: Object) -> PgPool | None:
    if "deletionTimestamp" in raw["metadata"]:
        return None
    try:
        return parse_pgpool(raw)
    except InvalidResourceError as error:
        log.error("unreadable PgPool", error=str(error))
        return None


def _leads(pool: PgPool) -> Iterable[str | tuple[str, str]]:
    """What leads from a server to its pool: the server's name, or a label of its pod if that is discovered."""
    labels = selector(pool)
    return (min(labels.items()),) if labels else _named(pool)


def _named(pool: PgPool) -> set[str]:
    """The servers that the spec names itself."""
    return set() if selector(pool) else {server.name for server in discover(pool, (), {}).servers}


def _concerned(ledger: PgBudget) -> set[Hashable]:
    """The pods that have a reservation (uid), the pools (namespace/name), and where the server is."""
    grants = ledger.status.grants
    found = {grant.uid for grant in grants} | {grant.pool for grant in grants} | set(ledger.status.pools)
    return {*found, *_places(ledger)}


def _places(ledger: PgBudget) -> Iterator[Address]:
    server = ledger.spec.server
    if server.host is not None:
        yield address_of(server.host, server.port)
    host, _, port = ledger.status.address.rpartition(":")
    if port.isdecimal():
        yield address_of(host.strip("[]"), int(port))


def grant_on(raw: Object) -> Grant | None:
    """What a pod's annotation grants; None without one, or with one that cannot be read."""
    text = raw["metadata"].get("annotations", {}).get(GRANT_ANNOTATION, "")
    try:
        return Grant.model_validate_json(text) if text else None
    except ValidationError:
        return None


def granted(grant: Grant | None) -> frozenset[Address]:
    """Where the servers of a grant are."""
    servers = grant.servers if grant is not None else ()
    return frozenset(address_of(server.host, server.port) for server in servers)


def labels_of(raw: Object) -> Mapping[str, str]:
    """An object's labels."""
    labels: Mapping[str, str] = raw["metadata"].get("labels", {})
    return labels


def as_it_is(raw: Object) -> Object:
    """For objects of which little is read."""
    return raw


POOLS = Reading(PGPOOL, _readable, _leads)
"""The PgPools that can be read and are not being deleted, by what leads from a server to them."""
LEDGERS = Reading(PGBUDGET, parse_pgbudget, _concerned)
"""The ledgers, by pods (uid) and pools (namespace/name) that they tell of, and by the server's address."""
PODS = Reading(POD, as_it_is, lambda raw: labels_of(raw).items())
"""All pods, by each of their labels."""


_OWNED = tuple(
    Reading(kind, as_it_is, lambda raw: [o["uid"] for o in raw["metadata"].get("ownerReferences", ())])
    for kind in CHILDREN
)


def owned(store: Store, pool: PgPool) -> Iterator[Object]:
    """The children that name a pool as their owner."""
    for children in _OWNED:
        yield from store.read(children, pool.metadata.namespace).find(pool.metadata.uid)


def members(store: Store, pool: PgPool) -> list[Object]:
    """The pods of the pool's database, if that is discovered."""
    wanted, pods = selector(pool), store.read(PODS, pool.metadata.namespace)
    fewest = min((pods.find(label) for label in wanted.items()), key=len, default=())
    return [pod for pod in fewest if wanted.items() <= labels_of(pod).items()]


def pools_near(store: Store, namespace: str, server: str) -> set[str]:
    """The pools that use a server, by their specs or with a pod that has a reservation there."""
    pods, ledger = store.read(PODS, namespace), store.read(LEDGERS, namespace).get(server)
    labels = labels_of(pods.get(server, {"metadata": {}})).items()
    found = (pool for key in (server, *labels) for pool in store.read(POOLS, namespace).find(key))
    using = {pool.metadata.name for pool in found if selector(pool).items() <= labels}
    records = ledger.status.grants if ledger is not None else ()
    there = (labels_of(pods[record.pod]) for record in records if record.pod in pods)
    return using | {labels[POOL_LABEL] for labels in there if POOL_LABEL in labels}


def pools_with(store: Store, namespace: str, labels: Mapping[str, str]) -> set[str]:
    """The pools that a pod with these labels belongs to, as a pooler or as a server."""
    found = (pool for label in labels.items() for pool in store.read(POOLS, namespace).find(label))
    serving = {pool.metadata.name for pool in found if selector(pool).items() <= labels.items()}
    return serving | ({labels[POOL_LABEL]} if POOL_LABEL in labels else set())


def ledgers_near(store: Store, namespace: str, pool: str) -> set[str]:
    """The namespace's ledgers of the servers that a pool uses, and those that still tell of it."""
    ledgers = store.read(LEDGERS, namespace)
    telling = ledgers.find(f"{namespace}/{pool}")
    spec = store.read(POOLS, namespace).get(pool)
    using = _named(spec) | {pod["metadata"]["name"] for pod in members(store, spec)} if spec else set()
    return {ledger.metadata.name for ledger in telling} | {name for name in using if name in ledgers}


def ledgers_of(store: Store, pod: Object) -> set[str]:
    """The namespace's ledgers that tell of a pod, and those of the servers that it is granted: one that was lost
    does not."""
    ledgers = store.read(LEDGERS, pod["metadata"]["namespace"])
    keys: tuple[Hashable, ...] = (pod["metadata"]["uid"], *granted(grant_on(pod)))
    return {ledger.metadata.name for key in keys for ledger in ledgers.find(key)}
