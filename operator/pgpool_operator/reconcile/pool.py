"""A PgPool: observe, work out what should exist, apply what differs, pass the configuration on, say how it is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from pgpool_pooler.contract import CONFIG_HASH_ANNOTATION, Endpoint, State

from ..agents import Agents
from ..api import PgPool
from ..cluster import events
from ..cluster.api import FIELD_MANAGER, Api, ApiError
from ..cluster.kinds import DEPLOYMENT, PGBUDGET, PGPOOL, Kind, of
from ..cluster.near import owned
from ..cluster.store import Store
from ..desired import (
    APPLIED_ANNOTATION,
    ENDPOINT_LABEL,
    EndpointPlan,
    Manifest,
    children,
    config_hash,
    differs,
    endpoint_name,
    stale,
)
from ..discovery import Server
from ..scaling import Outlook
from ..status import EndpointFacts, Facts, as_json, pgpool_status, server_facts
from ..status import events as status_events
from ..watching import slim
from .capacity import plans, rooms, wanted, why_no_more
from .pods import DELETION_COST_ANNOTATION, PoolerPod
from .pokes import Pokes
from .scaler import Scaler
from .secrets import SecretVersions
from .sizing import size_of
from .world import PoolFacts, World
from .writer import PodWriter

log = structlog.get_logger()

Object = dict[str, Any]

REFUSED_SECONDS = 10.0
"""Pause between two looks at what stands in the way: objects and rights of others are not watched."""

CONFLICT_SECONDS = 0.1
"""Until a pod that was written by somebody else meanwhile is looked at again."""

LEAVING_COST, STAYING_COST = "-1", "0"
"""Of several pods that serve, a ReplicaSet ends those first whose deletion costs least; without a word it is 0."""

REVERTED_SECONDS = 3600.0
"""Between two events about a number of pods that was set at the Deployment."""


class RefusedError(Exception):
    """The operator must not, or may not, do what the spec asks; the text says what a person can do."""


@dataclass(frozen=True)
class _Decided:
    """What was decided about one pool."""

    plans: Mapping[Endpoint, EndpointPlan]
    peers: Mapping[int, str]
    budgets: Mapping[str, int]
    outlooks: Mapping[Endpoint, Outlook]

    def wanted(self, facts: PoolFacts, endpoint: Endpoint) -> int:
        """The pods that the user or autoscaling asks for, whatever the budget has room for."""
        outlook = self.outlooks[endpoint]
        if outlook.decision is None:
            return wanted(facts, endpoint)
        return max(outlook.decision.replicas, outlook.view.minimum)


def asked(outlooks: Mapping[Endpoint, Outlook]) -> Mapping[Endpoint, int]:
    """The numbers of pods that were decided on."""
    return {
        endpoint: outlook.decision.replicas
        for endpoint, outlook in outlooks.items()
        if outlook.decision is not None
    }


class PoolReconciler:
    """Brings one PgPool's children, configuration and status to what they should be."""

    def __init__(
        self,
        api: Api,
        store: Store,
        agents: Agents,
        pokes: Pokes,
        image: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._store = store
        self._agents = agents
        self._pods = PodWriter(api, store, pokes)
        self._now = now
        self._scaler = Scaler(agents, now)
        self._secrets = SecretVersions()
        self._reverted: dict[str, float] = {}
        self._image = image

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """One round; returns after how many seconds to look again, None: when something happens."""
        world = World(self._store, namespace)
        facts = world.pools.get(name)
        if facts is None:
            self._scaler.forget(namespace, name)
            return None
        decided, refused, pause = _decide(facts, world, self._scaler), "", None
        failures: list[Exception] = []
        try:
            await self._ensure_budgets(facts)
            await self._apply(facts, decided)
            pause, failures = await self._configure(facts, config_hash(facts.pool, decided.peers))
        except RefusedError as error:
            refused, pause = str(error), REFUSED_SECONDS
        await self._say(self._facts(facts, World(self._store, namespace), decided, refused), facts.raw)
        if failures:
            raise failures[0]
        return min((p for p in (pause, self._scaler.pause(facts)) if p is not None), default=None)

    async def _ensure_budgets(self, facts: PoolFacts) -> None:
        for server in facts.discovery.servers:
            claim = World(self._store, facts.pool.metadata.namespace).claim(server)
            if claim.budget is None and not claim.claimed_by:
                await self._write(PGBUDGET, _budget(facts.pool, server))

    async def _apply(self, facts: PoolFacts, decided: _Decided) -> None:
        """Apply what differs from what is there, delete what the spec no longer has."""
        namespace = facts.pool.metadata.namespace
        plan = decided.plans
        desired = children(
            facts.pool, self._image, plan.get(Endpoint.WRITE), plan.get(Endpoint.READ), decided.peers
        )
        for manifest in desired:
            kind = of(manifest)
            live = self._store.get(kind, namespace, manifest["metadata"]["name"])
            if live is None:
                await self._refuse_foreign(kind, manifest)
            elif kind is DEPLOYMENT and replicas_changed_by_hand(manifest, live):
                await self._tell_reverted(facts)
            if kind is DEPLOYMENT and live is not None:
                await self._choose_leaving(facts, manifest, live)
            if live is None or differs(manifest, live):
                await self._write(kind, manifest)
        for leftover in stale(facts.pool, owned(self._store, facts.pool)):
            await self._api.delete(of(leftover), leftover)
            log.info("deleted", kind=leftover["kind"], name=leftover["metadata"]["name"])

    async def _choose_leaving(self, facts: PoolFacts, desired: Manifest, live: Object) -> None:
        """Before a Deployment gets smaller: tell its controller which pods can be done without."""
        surplus = live["spec"].get("replicas", 1) - desired["spec"]["replicas"]
        if surplus <= 0:
            return
        endpoint = desired["metadata"]["labels"][ENDPOINT_LABEL]
        present = [p for p in facts.pods if p.endpoint == endpoint and not (p.deleted or p.finished)]
        leaving = {pod.uid for pod in self._scaler.least_missed(present, surplus)}
        for pod in present:
            cost = LEAVING_COST if pod.uid in leaving else STAYING_COST
            if pod.deletion_cost != cost:
                await self._pods.annotate(pod, {DELETION_COST_ANNOTATION: cost})

    async def _refuse_foreign(self, kind: Kind, manifest: Manifest) -> None:
        """A name may be taken by an object that is not the pool's: it is never overwritten."""
        meta = manifest["metadata"]
        found = await self._api.get(kind, meta["namespace"], meta["name"])
        if found is None:
            return
        owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
        if meta["ownerReferences"][0]["uid"] not in owners:
            raise RefusedError(
                f"{kind.name} {meta['name']} is there already and does not belong to this PgPool: "
                "delete it, or give the PgPool another name"
            )

    async def _tell_reverted(self, facts: PoolFacts) -> None:
        """At most hourly: an HPA on the Deployment would do it again and again."""
        now = self._now()
        if now < self._reverted.get(facts.key, 0.0):
            return
        self._reverted[facts.key] = now + REVERTED_SECONDS
        name = facts.pool.metadata.name
        message = f"the number of pods was set back: scale PgPool {name}, not its Deployments"
        await events.post(self._api, facts.raw, "Warning", "ReplicasReverted", message)

    async def _write(self, kind: Kind, manifest: Manifest) -> None:
        try:
            written = await self._api.apply(manifest)
        except ApiError as error:
            if error.forbidden or error.invalid:
                raise RefusedError(f"{kind.name} {manifest['metadata']['name']}: {error.text}") from error
            raise
        self._store.put(kind, slim(kind, written))
        log.info(
            "applied",
            kind=kind.name,
            namespace=manifest["metadata"]["namespace"],
            name=manifest["metadata"]["name"],
        )

    async def _configure(self, facts: PoolFacts, wanted_hash: str) -> tuple[float | None, list[Exception]]:
        """Tell every pod which configuration it shall have; poke those that have not noticed.

        Returns after how many seconds to look again, and what failed: one pod's failure keeps no other from being
        told, nor the status from being written.
        """
        newest = self._secrets.newest(facts.key, self._states(facts))
        pauses: list[float] = []
        failures: list[Exception] = []
        for pod in facts.pods:
            if pod.ended or pod.finished:
                continue
            try:
                pauses += await self._configure_one(pod, wanted_hash, newest)
            except Exception as error:
                if isinstance(error, ApiError) and error.outdated:
                    pauses.append(CONFLICT_SECONDS)
                    continue
                log.info("not told", pod=pod.name, pool=facts.key, error=repr(error))
                failures.append(error)
        return min(pauses, default=None), failures

    async def _configure_one(self, pod: PoolerPod, wanted_hash: str, newest_secrets: str) -> list[float]:
        if pod.config_hash != wanted_hash:
            await self._pods.annotate(pod, {CONFIG_HASH_ANNOTATION: wanted_hash})
            return []
        state = self._agents.state(pod.uid)
        if state is None or _rejected(state):
            return []
        if state.config_hash != wanted_hash:
            return [await self._pods.poke(pod, "config", wanted_hash)]
        if newest_secrets and state.secrets_version != newest_secrets:
            return [await self._pods.poke(pod, "secrets", newest_secrets)]
        return []

    def _states(self, facts: PoolFacts) -> tuple[State, ...]:
        found = (self._agents.state(pod.uid) for pod in facts.pods if not (pod.deleted or pod.finished))
        return tuple(state for state in found if state is not None)

    def _facts(self, facts: PoolFacts, world: World, decided: _Decided, refused: str) -> Facts:
        pool = facts.pool
        endpoints = {
            endpoint: self._endpoint(facts, endpoint, decided)
            for endpoint, block in ((Endpoint.WRITE, pool.spec.write), (Endpoint.READ, pool.spec.read))
            if block is not None
        }
        return Facts(
            pool=pool,
            now=datetime.now(UTC),
            discovery=facts.discovery,
            servers=tuple(
                server_facts(pool, server, claim.budget, claim.claimed_by)
                for server in facts.discovery.servers
                for claim in (world.claim(server),)
            ),
            states=self._states(facts),
            config_hash=config_hash(pool, decided.peers),
            write=endpoints.get(Endpoint.WRITE),
            read=endpoints.get(Endpoint.READ),
            switching=facts.switching_to(world),
            forbidden=refused,
        )

    def _endpoint(self, facts: PoolFacts, endpoint: Endpoint, decided: _Decided) -> EndpointFacts:
        meta = facts.pool.metadata
        count = decided.wanted(facts, endpoint)
        plan = decided.plans.get(endpoint)
        live = self._store.get(DEPLOYMENT, meta.namespace, endpoint_name(meta.name, endpoint)) or {}
        status = live.get("status", {})
        generation = live.get("metadata", {}).get("generation")
        return EndpointFacts(
            wanted=count,
            fit=plan.replicas if plan else live.get("spec", {}).get("replicas", 0),
            why=why_no_more(facts, endpoint, plan, decided.budgets) if plan else "",
            pods=status.get("replicas", 0),
            ready=status.get("readyReplicas", 0),
            updated=status.get("updatedReplicas", 0),
            observed=generation is not None and status.get("observedGeneration") == generation,
            outlook=decided.outlooks[endpoint],
        )

    async def _say(self, facts: Facts, raw: Object) -> None:
        """Write the status, and events, where something is to be said that was not said before."""
        status = pgpool_status(facts)
        if status == facts.pool.status:
            return
        written = await self._api.replace_status(PGPOOL, raw, as_json(status))
        self._store.put(PGPOOL, slim(PGPOOL, written))
        for event in status_events(facts, status.conditions):
            await events.post(self._api, raw, event.kind, event.reason, event.message)


def _decide(facts: PoolFacts, world: World, scaler: Scaler) -> _Decided:
    budgets, neighbours = {}, {}
    for server in facts.discovery.servers:
        claim = world.claim(server)
        if claim.claimed_by:
            continue
        drawing = world.drawing_on(claim.budget) if claim.budget else world.on_server(server.name)
        neighbours[server.name] = drawing
        found = size_of(server.name, drawing, claim.budget)
        if found is not None and found.cpu is not None:
            budgets[server.name] = found.connections
    peers = {
        pod.grant.peer_id: pod.address for pod in facts.pods if pod.grant and pod.address and not pod.ended
    }
    outlooks = scaler.look(facts, rooms(facts, neighbours, budgets))
    return _Decided(plans(facts, neighbours, budgets, asked(outlooks)), peers, budgets, outlooks)


def _budget(pool: PgPool, server: Server) -> Manifest:
    return {
        "apiVersion": PGBUDGET.api_version,
        "kind": PGBUDGET.name,
        "metadata": {
            "name": server.name,
            "namespace": pool.metadata.namespace,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
        },
        "spec": {"server": server.ref.model_dump(mode="json", exclude_none=True)},
    }


def _rejected(state: State) -> bool:
    """The pod has seen the newest files and cannot use them: it says why, a poke would not help."""
    return any(problem.reason == "EngineRejected" for problem in state.problems)


def replicas_changed_by_hand(desired: Manifest, live: Object) -> bool:
    """Somebody scaled the Deployment: it is as it was applied last, but for the number of pods."""
    applied = live["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION)
    unchanged = applied == desired["metadata"]["annotations"][APPLIED_ANNOTATION]
    return bool(unchanged and live["spec"].get("replicas") != desired["spec"]["replicas"])
