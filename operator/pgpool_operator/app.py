"""The running operator: watches, leadership, workers, health. Nothing is decided here."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, NoReturn

import kopf
import prometheus_client
import structlog
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient

from . import metrics
from .agents import Agents, Target
from .cluster.api import Api, ApiError, Patience, patiently
from .cluster.forever import EndedError, together, why
from .cluster.kinds import CHILDREN, NODE, OBSERVED, PGPOOL, POD, Kind
from .cluster.lease import lead
from .cluster.queue import WorkQueue
from .cluster.store import Change, Object, Store
from .health import Sweeper
from .reconcile import FINISHED, Deaths, Reconciler
from .watching import MANAGED_SELECTOR, Key, Router, may_hold, registry

log = structlog.get_logger()

WORKERS = 4
RESYNC_SECONDS = 300.0
STREAM_SECONDS = 60
"""For as long the API server sends a stream of events; the next one goes on where it has ended."""
DEAD_STREAM_SECONDS = 70.0
"""A stream that the API server has not ended by then is dead, and another one is asked for."""
EXIT_SECONDS = 20.0
"""The process is killed if kopf takes longer to end."""


@dataclass(frozen=True)
class Settings:
    """How the operator runs; the command line makes one."""

    namespace: str | None
    """The only namespace to serve; None: all of them."""
    lease_namespace: str
    pooler_image: str
    health_port: int
    metrics_port: int


@dataclass(frozen=True)
class _Parts:
    """What watches and workers share."""

    settings: Settings
    client: ApiClient
    api: Api
    store: Store
    queue: WorkQueue[Key]
    router: Router
    sweeper: Sweeper
    deaths: Deaths
    """Follows pods from the start, leading or not: a pod may end while nobody leads."""


async def run(settings: Settings) -> None:
    """Run until stopped (SIGTERM). Exits 1 if the operator cannot go on: its Lease is lost, the API server refuses
    what it needs, or its watches or its work have ended.
    """
    signalled = asyncio.Event()
    _on_signals(signalled)
    await _login()
    prometheus_client.start_http_server(settings.metrics_port)
    try:
        async with ApiClient() as client:
            await _run(settings, client, signalled)
    except EndedError as error:
        log.error("the operator ends", why=str(error))
        # Nothing is left to be done, and not all would end: where kopf has failed, what it has left of its tasks
        # waits for tasks that asyncio.run() would cancel first.
        os._exit(1)


async def _run(settings: Settings, client: ApiClient, signalled: asyncio.Event) -> None:
    stopped = asyncio.create_task(signalled.wait(), name="signals")
    starting = asyncio.create_task(_start(settings, client), name="start")
    await asyncio.wait((stopped, starting), return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        await _end(starting)
    else:
        await _serve(starting.result(), signalled, stopped)


async def _start(settings: Settings, client: ApiClient) -> _Parts:
    """Know the cluster; this waits for an API server that fails."""
    api, store, queue = Api(client), Store(), WorkQueue[Key]()
    nodes = await patiently("list nodes", partial(_may_see_nodes, api))
    deaths = Deaths(api, store, nodes)
    sweeper = Sweeper(api, store, (*OBSERVED, *((NODE,) if nodes else ())), settings.namespace)
    await sweeper.fill()
    log.info("caches filled", pools=sum(1 for _ in store.all(PGPOOL)), nodes=nodes)
    return _Parts(settings, client, api, store, queue, Router(store, queue), sweeper, deaths)


async def _serve(parts: _Parts, signalled: asyncio.Event, stopped: "asyncio.Task[Any]") -> None:
    leader = asyncio.create_task(_lead(parts), name="leader")
    others: tuple[asyncio.Task[Any], ...] = (
        asyncio.create_task(parts.sweeper.run(), name="sweeper"),
        asyncio.create_task(parts.deaths.follow(), name="deaths"),
        asyncio.create_task(_watch(parts, signalled), name="watches"),
    )
    done, _ = await asyncio.wait((stopped, leader, *others), return_when=asyncio.FIRST_COMPLETED)
    # The leader first: it gives the Lease back, and another replica goes on.
    for task in (leader, *others):
        await _end(task)
    if stopped not in done:
        why(done)


async def _end(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait((task,))


def _on_signals(signalled: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)


def _identity() -> str:
    """Of this process among the operator's replicas."""
    return f"{socket.gethostname()}_{os.getpid()}"


async def _login() -> None:
    try:
        kubernetes_config.load_incluster_config()  # type: ignore[no-untyped-call]
    except kubernetes_config.ConfigException:
        await kubernetes_config.load_kube_config()  # type: ignore[no-untyped-call]


async def _may_see_nodes(api: Api) -> bool:
    """A namespaced install may not: node facts are then unknown, and so is whether a node's pods are gone."""
    try:
        await api.list(NODE, None)
    except ApiError as error:
        if error.forbidden:
            return False
        raise
    return True


async def _watch(parts: _Parts, signalled: asyncio.Event) -> NoReturn:
    """Watch for ever; raises EndedError as soon as any part of kopf has ended.

    kopf itself would first wait for all its other parts, and for tasks that are not its own, while the leader
    leads without watches.
    """
    sweeper = parts.sweeper
    handlers = registry(parts.store, sweeper.started, nodes=parts.deaths.nodes_visible)

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.scanning.disabled = True
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.watching.chunk_size = 500
        settings.watching.server_timeout = STREAM_SECONDS
        settings.watching.client_timeout = DEAD_STREAM_SECONDS
        # It strikes wherever the watch is. While that does not wait for the stream, it ends for good, unnoticed.
        settings.watching.inactivity_timeout = inf
        settings.networking.error_backoffs = Patience()
        settings.process.ultimate_exiting_timeout = EXIT_SECONDS
        for kind in CHILDREN:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = MANAGED_SELECTOR

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)  # type: ignore[arg-type]

    @kopf.on.probe(registry=handlers, id="watches")
    async def probe(**_: object) -> str:
        if sweeper.stale:
            raise kopf.PermanentError(f"stale watches: {', '.join(sweeper.stale)}")
        return "fresh"

    tasks = await kopf.spawn_tasks(
        registry=handlers,
        clusterwide=parts.settings.namespace is None,
        namespaces=[parts.settings.namespace] if parts.settings.namespace else [],
        standalone=True,
        identity=_identity(),  # type: ignore[arg-type]
        liveness_endpoint=f"http://0.0.0.0:{parts.settings.health_port}/healthz",
    )
    # kopf has just taken the signals for itself, and would end the watches while the leader still works.
    _on_signals(signalled)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    raise EndedError(f"kopf ended: {', '.join(sorted(_last_word(task) for task in done))}")


def _last_word(task: "asyncio.Task[Any]") -> str:
    error = None if task.cancelled() else task.exception()
    return f"{task.get_name()} ({error!r})" if error else task.get_name()


async def _lead(parts: _Parts) -> NoReturn:
    await lead(parts.client, parts.settings.lease_namespace, _identity(), partial(_work, parts))


async def _work(parts: _Parts) -> NoReturn:
    log.info("leading", workers=WORKERS)
    metrics.LEADER.set(1)
    metrics.QUEUE_DEPTH.set_function(lambda: len(parts.queue))
    async with Agents(parts.router.heard) as agents:
        image = parts.settings.pooler_image
        reconciler = Reconciler(parts.api, parts.store, agents, parts.queue, parts.deaths, image)
        agents.follow(_targets(parts.store))
        await agents.all_asked()
        parts.router.everything()
        workers = (_worker(parts.queue, reconciler) for _ in range(WORKERS))
        await together(
            (
                asyncio.create_task(_follow(parts.store, agents), name="agents"),
                asyncio.create_task(_resync(parts.router), name="resync"),
                *(asyncio.create_task(worker, name=f"worker {i}") for i, worker in enumerate(workers)),
            )
        )


async def _worker(queue: WorkQueue[Key], reconciler: Reconciler) -> None:
    while True:
        key = await queue.take()
        kind = key.kind.name
        try:
            with metrics.RECONCILE_SECONDS.labels(kind).time():
                await reconciler.reconcile(key)
        except ApiError as error:
            delay = queue.failed(key)
            result = "conflict" if error.conflict else "error"
            metrics.RECONCILES.labels(kind, result).inc()
            log.info(
                "reconcile again",
                kind=kind,
                name=key.name,
                namespace=key.namespace,
                seconds=delay,
                error=str(error),
            )
        except Exception:
            delay = queue.failed(key)
            metrics.RECONCILES.labels(kind, "error").inc()
            log.exception(
                "reconcile failed", kind=kind, name=key.name, namespace=key.namespace, seconds=delay
            )
        else:
            queue.done(key)
            metrics.RECONCILES.labels(kind, "done").inc()


def _targets(store: Store) -> Iterator[Target]:
    """Every pooler pod that can be asked."""
    for pod in store.all(POD):
        meta, status = pod["metadata"], pod.get("status", {})
        address = None if status.get("phase") in FINISHED else status.get("podIP")
        if may_hold(meta) and address:
            yield Target(meta["uid"], meta["namespace"], meta["name"], address)


async def _follow(store: Store, agents: Agents) -> None:
    """Keep the followed pods what the store says they are."""
    changed = asyncio.Event()

    def listen(kind: Kind, obj: Object, _change: Change) -> None:
        if kind is POD and may_hold(obj["metadata"]):
            changed.set()

    store.listen(listen)
    while True:
        agents.follow(_targets(store))
        await changed.wait()
        changed.clear()


async def _resync(router: Router) -> None:
    while True:
        await asyncio.sleep(RESYNC_SECONDS)
        router.everything()
