"""What concerns a server across namespaces, found without looking at all of them.

A server that is named by host and port is the same in every namespace; one of a cluster belongs to its namespace.
Objects are taken as they are: one that cannot be read must not hold up other namespaces.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator

from pgpool_pooler.contract import GRANT_ANNOTATION

from ..desired import POOL_LABEL
from ..discovery import Address, address_of, ledger_name
from .index import Reading
from .kinds import PGBUDGET, PGPOOL, POD
from .near import as_it_is, grant_on, granted, labels_of
from .store import Key, Object, Store, key_of

_CLAIMS, _SAYS, _UID, _IP = "claims", "says", "uid", "ip"
_DEFAULT_PORT = 5432


def place_of(ledger: Object) -> Address | None:
    """Where a ledger's server is, if it is named by host and port."""
    return _place(ledger.get("spec", {}).get("server", {}))


def _place(server: Object) -> Address | None:
    host = server.get("host")
    return address_of(host, server.get("port", _DEFAULT_PORT)) if host else None


def _tells_of(ledger: Object) -> Iterator[Hashable]:
    status, place = ledger.get("status", {}), place_of(ledger)
    if place is not None and ledger["metadata"]["name"] == ledger_name(*place):
        yield _CLAIMS, place
    yield from ((_SAYS, server["address"], server["port"]) for server in status.get("servers", ()))
    for grant in status.get("grants", ()):
        yield grant["uid"]
        yield grant["pool"]
    yield from status.get("pools", ())


def _names(pool: Object) -> Iterator[Address]:
    for server in pool.get("spec", {}).get("database", {}).get("servers") or ():
        place = _place(server)
        if place is not None:
            yield place


def _may_hold(pod: Object) -> Object | None:
    annotations = pod["metadata"].get("annotations", {})
    return pod if POOL_LABEL in labels_of(pod) or GRANT_ANNOTATION in annotations else None


def _holds(pod: Object) -> Iterator[Hashable]:
    yield _UID, pod["metadata"]["uid"]
    yield from ((_IP, address) for address in _addresses(pod))
    yield from granted(grant_on(pod))


def _addresses(pod: Object) -> set[str]:
    status = pod.get("status", {})
    return {status.get("podIP", ""), *(found.get("ip", "") for found in status.get("podIPs", ()))}


_LEDGERS = Reading(PGBUDGET, as_it_is, _tells_of)
_POOLS = Reading(PGPOOL, as_it_is, _names)
_PODS = Reading(POD, _may_hold, _holds)
_ALL_PODS = Reading(POD, as_it_is, _addresses)


def claims(store: Store, place: Address) -> list[Key]:
    """The ledgers of a server that is named by host and port. The first one owns it: the oldest, and of several
    of one second the one whose namespace comes first."""
    found = store.read(_LEDGERS, None).find((_CLAIMS, place))
    return [key_of(ledger) for ledger in sorted(found, key=_age)]


def _age(ledger: Object) -> tuple[str, str]:
    meta = ledger["metadata"]
    return meta.get("creationTimestamp", ""), meta["namespace"]


def ledgers_telling(store: Store, subject: str) -> list[Key]:
    """The ledgers that tell of a pod (uid) or of a pool (namespace/name)."""
    return _keys(store.read(_LEDGERS, None).find(subject))


def ledgers_saying(store: Store, address: str, port: int) -> list[Key]:
    """The ledgers whose server says that this is its own address."""
    return _keys(store.read(_LEDGERS, None).find((_SAYS, address, port)))


def ledgers_across(store: Store, subject: str, places: Iterable[Address]) -> set[Key]:
    """The ledgers of all namespaces that tell of a pod (uid) or a pool (namespace/name), or are about a server."""
    return {*ledgers_telling(store, subject), *(key for place in places for key in claims(store, place))}


def ledgers_beside(store: Store, ledger: Object) -> set[Key]:
    """Other ledgers of a ledger's server: those that have it by the same name, and those by another."""
    place, servers = place_of(ledger), ledger.get("status", {}).get("servers", ())
    found = set(claims(store, place)) if place is not None else set()
    found |= {key for said in servers for key in ledgers_saying(store, said["address"], said["port"])}
    return found - {key_of(ledger)}


def places_of(pool: Object) -> set[Address]:
    """The servers that a pool's spec names by host and port."""
    return set(_names(pool))


def pools_naming(store: Store, place: Address) -> list[Key]:
    """The PgPools whose spec names a server by host and port."""
    return _keys(store.read(_POOLS, None).find(place))


def pods_granted(store: Store, place: Address) -> list[Key]:
    """The pods whose newest grant is for a server."""
    return _keys(store.read(_PODS, None).find(place))


def pods_with(store: Store, uid: str) -> list[Key]:
    """The pod with a uid, if it may hold connections."""
    return _keys(store.read(_PODS, None).find((_UID, uid)))


def pods_at(store: Store, address: str) -> list[Key]:
    """The pods that may hold connections and have this address themselves."""
    return _keys(store.read(_PODS, None).find((_IP, address)))


def pods_using(store: Store, address: str) -> Collection[Object]:
    """All pods that have this address, whatever they are."""
    return store.read(_ALL_PODS, None).find(address)


def _keys(objects: Iterable[Object]) -> list[Key]:
    return sorted(key_of(obj) for obj in objects)
