"""One server, one budget: what a ledger may do when its server has other names, or its name several servers.

Who answers is decided in `budget.identity`; here is what is remembered between two looks, and where it is from.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from ..api import PgBudget, SeenServer
from ..budget import Answers, Identity, Party, Sighting, answers, as_said, identities, share
from ..cluster.kinds import PGBUDGET
from ..cluster.near import LEDGERS, pools_near
from ..cluster.shared import ledgers_saying, place_of, pools_naming
from ..cluster.store import Store, key_of
from ..discovery import Address, address_of
from .bookkeeping import Kin
from .scene import Heard, Scene, seen
from .sizing import wanted_by

Object = dict[str, Any]
Key = tuple[str, str]


def server_of(ledger: Object) -> Hashable:
    """The same for all ledgers of one server as it is named."""
    return place_of(ledger) or key_of(ledger)


class Kinship:
    """Remembers who answered where several servers do; that there are several is in the status."""

    def __init__(self, store: Store, heard: Callable[[str], Heard], now: Callable[[], float]) -> None:
        self._store = store
        self._heard = heard
        self._now = now
        self._answers: dict[Key, Answers] = {}

    def forget(self, namespace: str, name: str) -> None:
        """The ledger is gone."""
        self._answers.pop((namespace, name), None)

    def of(self, scene: Scene) -> Kin:
        """What holds for a ledger now.

        It grows only on what its status says already: two ledgers that learn of their server at the same time
        would otherwise both grow before either could know of the other.
        """
        key, kept = key_of(scene.raw), _kept(scene.budget)
        sightings = scene.sightings or (() if kept else scene.former_sightings)
        before = self._answers.get(key) or _said_before(scene.budget, self._now())
        found = answers(before, sightings, self._now())
        self._answers[key] = found
        servers = identities(found, sightings, kept)
        mine = Party(
            key="/".join(key),
            created=self._created(key),
            sightings=_with_times(servers, sightings),
            reserved=scene.budget.status.reserved,
            wanted=scene.size.connections if scene.size.cpu is not None else None,
        )
        shared = share(mine, list(self._others(scene, servers)))
        return Kin(
            servers=servers,
            answers=found,
            aliases=tuple(self._budget(alias) for alias in shared.aliases),
            most=shared.most,
            frozen=found.disputed or shared.only_shrinks or not set(servers) <= set(kept),
        )

    def _budget(self, key: str) -> PgBudget:
        namespace, _, name = key.partition("/")
        return self._store.read(LEDGERS, namespace)[name]

    def _created(self, key: Key) -> str:
        raw = self._store.get(PGBUDGET, *key) or {"metadata": {}}
        return str(raw["metadata"].get("creationTimestamp", ""))

    def _others(self, scene: Scene, servers: Iterable[Identity]) -> Iterator[Party]:
        """Ledgers that may be about one of these servers, and are in use; not those of the same name for it."""
        places = {(server.address, server.port) for server in servers}
        keys = {key for place in places for key in ledgers_saying(self._store, *place)}
        for namespace, name in sorted(keys):
            budget = self._budget(f"{namespace}/{name}")
            place = _place(budget)
            same = (namespace, name) == key_of(scene.raw) or (
                place is not None and place == _place(scene.budget)
            )
            if not same and self._in_use(budget):
                yield Party(
                    key=f"{namespace}/{name}",
                    created=self._created((namespace, name)),
                    sightings=_with_times(_kept(budget), self._heard_of(budget)),
                    reserved=budget.status.reserved,
                    wanted=wanted_by(budget),
                    aliases=budget.status.aliases,
                )

    def _in_use(self, budget: PgBudget) -> bool:
        place = _place(budget)
        if budget.status.reserved:
            return True
        if place is not None:
            return bool(pools_naming(self._store, place))
        return bool(pools_near(self._store, budget.metadata.namespace, budget.metadata.name))

    def _heard_of(self, budget: PgBudget) -> Iterator[Sighting]:
        """What the pods that have reservations there were told last."""
        host, _, port = budget.status.address.rpartition(":")
        address = address_of(host.strip("[]"), int(port or 0))
        for record in budget.status.grants:
            state = self._heard(record.uid).state
            for here in state.servers if state is not None else ():
                if here.open and address_of(here.host, here.port) == address:
                    yield from seen(here)


def _place(budget: PgBudget) -> Address | None:
    server = budget.spec.server
    return address_of(server.host, server.port) if server.host is not None else None


def _kept(budget: PgBudget) -> tuple[Identity, ...]:
    return tuple(_identity(server) for server in budget.status.servers)


def _identity(server: SeenServer) -> Identity:
    return Identity(server.address, server.port, server.started_at)


def _said_before(budget: PgBudget, now: float) -> Answers:
    ready = next((said for said in budget.status.conditions if said.type == "Ready"), None)
    if ready is None or ready.reason != "ManyServers":
        return Answers()
    return as_said(_kept(budget), now)


def _with_times(servers: Iterable[Identity], sightings: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """Each with when it was asked last, as far as that is known."""
    times: dict[Identity, Sighting] = {}
    for sighting in sorted(sightings, key=lambda sighting: sighting.asked_at):
        times[sighting.identity] = sighting
    return tuple(times.get(server, Sighting(server)) for server in servers)
