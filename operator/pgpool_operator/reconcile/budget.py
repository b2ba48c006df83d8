"""A PgBudget: observe its pods, plan, commit the ledger, then send the grants."""

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from pgpool_pooler.contract import GRANT_ANNOTATION

from .. import metrics
from ..agents import Agents
from ..api import PgBudgetStatus
from ..budget import Order, PodView, plan
from ..cluster import events
from ..cluster.api import Api, ApiError
from ..cluster.kinds import PGBUDGET
from ..cluster.store import Store
from ..status import budget_events
from ..watching import slim
from .bookkeeping import Books, ledger_of, next_status
from .deaths import Deaths
from .grants import PeerIds
from .pokes import Pokes
from .scene import Heard, Scene, observe
from .world import World
from .writer import PodWriter

log = structlog.get_logger()

HELD_SECONDS = 5.0
"""Pause between two looks at a node whose pods vanished without a word."""


class BudgetReconciler:
    """Moves one ledger a step at a time."""

    def __init__(self, api: Api, store: Store, agents: Agents, pokes: Pokes, deaths: Deaths) -> None:
        self._api = api
        self._store = store
        self._agents = agents
        self._pods = PodWriter(api, store, pokes)
        self._deaths = deaths
        self._peers = PeerIds()

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """One step; returns after how many seconds to look again, None: when something happens."""
        raw = self._store.get(PGBUDGET, namespace, name)
        if raw is None:
            metrics.forget_budget(namespace, name)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            return None
        world = World(self._store, namespace)
        scene = observe(raw, world, self._heard, self._peers, self._agents.reporting)
        if not scene.pools and not scene.records and not scene.pods and scene.budget.spec.limit is None:
            await self._api.delete(PGBUDGET, raw)
            return None
        books = await self._books(scene, namespace)
        await self._commit(scene, next_status(books))
        orders = {**scene.ours(books.plan.leaving), **books.plan.orders}
        pauses = [books.plan.look_again, await self._send(scene, orders)]
        if books.plan.held:
            pauses.append(HELD_SECONDS)
        return min((pause for pause in pauses if pause is not None), default=None)

    def _heard(self, uid: str) -> Heard:
        return Heard(self._agents.state(uid), self._agents.demand(uid), self._agents.age(uid))

    async def _books(self, scene: Scene, namespace: str) -> Books:
        now = datetime.now(UTC).replace(microsecond=0)
        views = await self._views(scene, namespace)
        seen = scene.identity is not None or bool(scene.budget.status.version)
        decided = plan(ledger_of(scene.budget), scene.size, views, now, server_seen=seen)
        return Books(
            budget=scene.budget,
            server=scene.server,
            size=scene.size,
            plan=decided,
            pools=tuple(facts.key for facts in scene.pools),
            identity=scene.identity,
            now=now,
        )

    async def _views(self, scene: Scene, namespace: str) -> list[PodView]:
        views = [scene.view(pod.uid, *await self._deaths.verdict_on(pod)) for pod in scene.others]
        for uid, record in scene.records.items():
            verdict, dead_for = await self._deaths.verdict(namespace, record)
            views.append(scene.view(uid, verdict, dead_for))
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
        """Write the grants that differ; poke pods that have not noticed theirs. The ledger holds them already."""
        if scene.server is None:
            return None
        pauses: list[float] = []
        conflict: ApiError | None = None
        for uid, order in orders.items():
            try:
                pauses += await self._send_one(scene, uid, order)
            except ApiError as error:
                if not (error.conflict or error.not_found):
                    raise
                conflict = error
        if conflict is not None:
            raise conflict
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
