"""A PgBudget: observe its pods, plan, commit the ledger, then send the grants."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from pgpool_pooler.contract import GRANT_ANNOTATION

from .. import metrics
from ..agents import Agents
from ..api import PgBudget, PgBudgetStatus
from ..budget import Order, Plan, PodView, Size, give_way, plan
from ..cluster import events
from ..cluster.api import Api
from ..cluster.kinds import PGBUDGET
from ..cluster.store import Store
from ..status import budget_events
from ..watching import slim
from .bookkeeping import Books, ledger_of, next_status, status_without_server
from .deaths import Deaths
from .grants import PeerIds
from .kinship import Kinship, server_of
from .locks import Locks
from .pokes import Pokes
from .scene import Heard, Scene, observe
from .world import World
from .writer import PodWriter

log = structlog.get_logger()

Object = dict[str, Any]

HELD_SECONDS = 5.0
"""Pause between two looks at a node whose pods are to end, vanished, or were refused, without a word on that."""
FROZEN_SECONDS = 5.0
"""Pause between two looks at a server that has several names, or several servers that have one."""


class BudgetReconciler:
    """Moves one ledger a step at a time."""

    def __init__(
        self,
        api: Api,
        store: Store,
        agents: Agents,
        pokes: Pokes,
        deaths: Deaths,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._store = store
        self._agents = agents
        self._pods = PodWriter(api, store, pokes)
        self._deaths = deaths
        self._peers = PeerIds()
        self._kinship = Kinship(store, self._heard, now)
        self._locks = Locks()

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """One step; returns after how many seconds to look again, None: when something happens."""
        raw = self._store.get(PGBUDGET, namespace, name)
        if raw is None:
            metrics.forget_budget(namespace, name)
            self._kinship.forget(namespace, name)
            return None
        # Ledgers of one server look at each other's reservations: nobody may commit between a look and its commit.
        async with self._locks.of(server_of(raw)):
            current = self._store.get(PGBUDGET, namespace, name)
            if current is None or "deletionTimestamp" in current["metadata"]:
                return None
            return await self._step(current, World(self._store, namespace))

    async def _step(self, raw: Object, world: World) -> float | None:
        scene = observe(raw, world, self._heard, self._peers, self._agents.reporting)
        if scene.owner != scene.budget:
            return await self._give_way(scene)
        if not (scene.pools or scene.records or scene.pods or _edited(scene.budget)):
            await self._api.delete(PGBUDGET, raw)
            return None
        books = await self._books(scene)
        await self._commit(scene, next_status(books))
        orders = {**scene.ours(books.plan.leaving), **books.plan.orders}
        pauses = [books.plan.look_again, await self._send(scene, orders)]
        if books.plan.held or books.plan.awaited or self._awaits_a_proof(books.plan):
            pauses.append(HELD_SECONDS)
        if books.kin.frozen or books.kin.aliases:
            pauses.append(FROZEN_SECONDS)
        return min((pause for pause in pauses if pause is not None), default=None)

    async def _give_way(self, scene: Scene) -> float | None:
        """An older ledger owns the server: it takes over what this one has reserved, and this one goes."""
        owner = ledger_of(scene.owner).reservations
        status = scene.budget.status
        views, now, seen = await self._views(scene), _now(), status.reached or bool(status.version)
        left, look_again = give_way(ledger_of(scene.budget), owner, views, now, server_seen=seen)
        if not left.reservations and not _edited(scene.budget):
            await self._api.delete(PGBUDGET, scene.raw)
            return None
        await self._commit(scene, status_without_server(scene.budget, scene.owner, left, now))
        return look_again

    def _awaits_a_proof(self, decided: Plan) -> bool:
        """Whether the Lease of its node is to prove a pod dead that has something, or to have hung: nobody watches
        that."""
        return any(self._deaths.awaits(uid) for uid in decided.ledger.reservations)

    def _heard(self, uid: str) -> Heard:
        return Heard(self._agents.state(uid), self._agents.demand(uid), self._agents.age(uid))

    async def _books(self, scene: Scene) -> Books:
        views, now = await self._views(scene), _now()
        kin = self._kinship.of(scene)
        size = _at_most(scene.size, kin.most)
        known = ledger_of(scene.budget, scene.records)
        reached = scene.budget.status.reached or scene.in_use or (known.recovering and _granted_before(views))
        asked = scene.identity is not None or bool(scene.budget.status.version)
        decided = plan(known, size, views, now, server_seen=asked or reached, frozen=kin.frozen)
        return Books(
            budget=scene.budget,
            server=scene.server,
            size=size,
            plan=decided,
            pools=tuple(facts.key for facts in scene.pools),
            identity=scene.identity,
            reached=reached,
            kin=kin,
            now=now,
        )

    async def _views(self, scene: Scene) -> list[PodView]:
        known = ledger_of(scene.budget, scene.records)
        freed = frozenset() if known.recovering else known.freed
        views = []
        for pod in scene.others:
            verdict, dead_for = await self._deaths.verdict_on(pod, freed=pod.uid in freed)
            views.append(scene.view(pod.uid, verdict, dead_for))
        for uid, record in scene.records.items():
            verdict, dead_for = await self._deaths.verdict(scene.namespace_of(record), record)
            views.append(scene.view(uid, verdict, dead_for, overdue=self._deaths.overdue(uid)))
        return views

    async def _commit(self, scene: Scene, status: PgBudgetStatus) -> None:
        """Compare-and-swap; raises a conflict if anybody wrote since this was observed."""
        namespace = scene.raw["metadata"]["namespace"]
        metrics.BUDGET.labels(namespace, scene.name).set(status.connections)
        metrics.RESERVED.labels(namespace, scene.name).set(status.reserved)
        metrics.UNKNOWN.labels(namespace, scene.name).set(status.unknown)
        before = scene.budget.status
        if status == before:
            return
        document = status.model_dump(mode="json", exclude_none=True)
        self._store.put(
            PGBUDGET, slim(PGBUDGET, await self._api.replace_status(PGBUDGET, scene.raw, document))
        )
        for event in budget_events({c.type: c for c in before.conditions}, status.conditions):
            await events.post(self._api, scene.raw, event.kind, event.reason, event.message)

    async def _send(self, scene: Scene, orders: Mapping[str, Order]) -> float | None:
        """Write the grants that differ; poke pods that have not noticed theirs. The ledger holds them already.

        Raises the first failure, of whatever sort, when every pod has been tried. Each order is safe without the
        others: the ledger holds for each pod the most that it may have, and gives nobody what another has yet to
        acknowledge.
        """
        if scene.server is None:
            return None
        pauses: list[float] = []
        failures: list[Exception] = []
        for uid, order in orders.items():
            try:
                pauses += await self._send_one(scene, uid, order)
            except Exception as error:
                log.info("not told", pod=scene.pods[uid].name, server=scene.name, error=repr(error))
                failures.append(error)
        if failures:
            raise failures[0]
        return min(pauses, default=None)

    async def _send_one(self, scene: Scene, uid: str, order: Order) -> list[float]:
        pod, grant = scene.pods[uid], scene.grant(uid, order)
        if pod.grant is None or pod.grant.generation < grant.generation:
            await self._pods.annotate(pod, {GRANT_ANNOTATION: grant.model_dump_json()})
            self._agents.expect(uid, grant.generation)
            metrics.GRANTS.inc()
            log.info("granted", pod=pod.name, server=scene.name, generation=order.generation, cap=order.cap)
            return []
        state = self._agents.state(uid)
        if state is None or state.generation >= grant.generation:
            return []
        return [await self._pods.poke(pod, "grant", str(grant.generation))]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _granted_before(views: Sequence[PodView]) -> bool:
    """Whether a pod was granted the server by a ledger that was lost, which may have known that it was reached."""
    reports = (view.report for view in views)
    held = any(report is not None and (report.cap_here or report.open_here) for report in reports)
    return held or any(view.annotated for view in views)


def _edited(budget: PgBudget) -> bool:
    """An administrator has set something that would be lost with it."""
    return budget.spec.limit is not None or bool(budget.spec.allowed_namespaces)


def _at_most(size: Size, most: int | None) -> Size:
    return size if most is None else replace(size, connections=min(size.connections, most))
