"""Records a timeline while a scenario runs: from the API server, the pods' agents and PostgreSQL.

Each of them may break meanwhile, which is the point of it: it is tried again until the end.
"""

import json
import threading
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from kubernetes import config
from kubernetes.client import ApiException, CoreV1Api, CustomObjectsApi
from kubernetes.watch import Watch
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from e2e.faults.moments import (
    Acknowledged,
    Backends,
    Blind,
    GrantSeen,
    GrantWritten,
    LedgerGone,
    LedgerSeen,
    Moment,
    PodGone,
    PodSeen,
    Silent,
    Timeline,
)
from e2e.kube import Kubectl, KubectlError, Object
from pgpool_pooler.contract import GRANT_ANNOTATION, Grant, State

_PAUSE_SECONDS = 0.3
"""Before what failed is tried again."""
_POOLERS = "app.kubernetes.io/managed-by=pgpool-operator"
_AGENT_PORT = 9127
_ASK_SECONDS = 1.0
"""Between two questions to an agent."""
_ANSWER_SECONDS = 0.8
"""How long an agent has for its answer."""
_ASKERS = 4
_LOOK_SECONDS = 0.02
"""Between two looks at PostgreSQL."""
_BLIND_SECONDS = 0.5
"""A look that takes longer is told: what was so meanwhile is not known."""
_FRESH_SECONDS = 3.0
"""How often the way to the database is asked for while it does not answer: kubectl is dear."""
_WATCH_SECONDS = 30
"""After this all is listed again: a watch may have died without a word, and a cluster may be set back."""

_COUNT = """SELECT coalesce(host(client_addr), 'local'), count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename = ANY(%s) GROUP BY 1 ORDER BY 1"""
_TIMEOUTS = " tcp_user_timeout=2000 keepalives_idle=1 keepalives_interval=1 keepalives_count=2"


class Recorder:
    """`with Recorder(kubectl, kubeconfig, database.dsn, users) as timeline:` records until the block ends.

    `dsn` leads a superuser straight to the server; `users` are those whose backends count.
    """

    def __init__(
        self, kubectl: Kubectl, kubeconfig: Path, dsn: Callable[[], str], users: Sequence[str]
    ) -> None:
        self._timeline = Timeline()
        self._stop = threading.Event()
        namespace = kubectl.namespace
        api: Any = config.new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
        list_budgets = partial(
            CustomObjectsApi(api).list_namespaced_custom_object,
            "pgpool.dev",
            "v1alpha1",
            namespace,
            "pgbudgets",
        )
        list_pods = partial(CoreV1Api(api).list_namespaced_pod, namespace, label_selector=_POOLERS)
        budgets = _Watched(self._timeline, self._stop, list_budgets, changes_of_ledger, LedgerGone)
        pods = _Watched(self._timeline, self._stop, list_pods, changes_of_pod, PodGone)
        self._watched = (budgets, pods)
        agents = _Agents(self._timeline, self._stop, pods.objects)
        looks = _Looks(self._timeline, self._stop, dsn, list(users))
        self._threads = [
            threading.Thread(target=source.run, name=f"recorder-{type(source).__name__}", daemon=True)
            for source in (budgets, pods, agents, looks)
        ]

    def __enter__(self) -> Timeline:
        for thread in self._threads:
            thread.start()
        return self._timeline

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for watched in self._watched:
            watched.stop()
        for thread in self._threads:
            thread.join(timeout=5)  # Longer only where a server hangs; then the thread ends by itself later.


class _Changes:
    """Passes moments on to the timeline, each only if it says something new."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._last: dict[tuple[str, type[Moment]], Moment] = {}

    def tell(self, name: str, moment: Moment) -> None:
        key, said = (name, type(moment)), replace(moment, at=0.0)
        if self._last.get(key) != said:
            self._last[key] = said
            self._timeline.add(moment)

    def forget(self, name: str) -> None:
        """The next moment about it is new whatever it says."""
        self._last = {key: said for key, said in self._last.items() if key[0] != name}


class _Watched:
    """Follows all objects of a kind; lists them again whenever a watch has ended."""

    def __init__(
        self,
        timeline: Timeline,
        stop: threading.Event,
        request: Callable[..., Any],
        told: Callable[[float, Object], Sequence[Moment]],
        gone: Callable[[float, str], Moment],
    ) -> None:
        self._timeline, self._stop = timeline, stop
        self._request, self._told, self._gone = request, told, gone
        self._changes = _Changes(timeline)
        self._watch: Any = Watch(return_type="object")  # type: ignore[no-untyped-call]
        self.objects: dict[str, Object] = {}

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow(self._list())
            except (ApiException, HTTPError, OSError, ValueError):
                self._stop.wait(_PAUSE_SECONDS)

    def stop(self) -> None:
        self._watch.stop()

    def _list(self) -> str:
        found = json.loads(self._request(_preload_content=False, _request_timeout=(2, 5)).data)
        items = {str(item["metadata"]["name"]): item for item in found["items"]}
        for name in set(self.objects) - set(items):
            self._remove(name)
        for item in items.values():
            self._see(item)
        return str(found["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        options = {"timeout_seconds": _WATCH_SECONDS, "_request_timeout": (2, _WATCH_SECONDS + 5)}
        for event in self._watch.stream(self._request, resource_version=version, **options):
            item = event["raw_object"]
            if event["type"] == "DELETED":
                self._remove(str(item["metadata"]["name"]))
            else:
                self._see(item)

    def _see(self, item: Object) -> None:
        name = str(item["metadata"]["name"])
        self.objects[name] = item
        for moment in self._told(self._timeline.now(), item):
            self._changes.tell(name, moment)

    def _remove(self, name: str) -> None:
        del self.objects[name]
        self._changes.forget(name)
        self._timeline.add(self._gone(self._timeline.now(), name))


def changes_of_ledger(at: float, budget: Object) -> tuple[LedgerSeen]:
    """What a PgBudget says at a time."""
    status = budget.get("status", {})
    grants = tuple(
        GrantSeen(
            grant["pod"], grant["uid"], grant["cap"], grant["reserved"], grant["generation"], grant["state"]
        )
        for grant in status.get("grants", ())
    )
    return (
        LedgerSeen(
            at,
            budget["metadata"]["name"],
            connections=status.get("connections", 0),
            reserved=status.get("reserved", 0),
            unknown=status.get("unknown", 0),
            recovering=status.get("recovering", False),
            grants=grants,
            committed=status.get("observedGeneration", -1) >= 0,
        ),
    )


def changes_of_pod(at: float, pod: Object) -> tuple[Moment, ...]:
    """What a pooler pod says at a time: itself, and its grant if it has one."""
    meta, status = pod["metadata"], pod.get("status", {})
    name = meta["name"]
    seen = PodSeen(
        at,
        name,
        address=status.get("podIP", ""),
        node=pod["spec"].get("nodeName", ""),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())),
        restarts=sum(c["restartCount"] for c in status.get("containerStatuses", ())),
        leaving="deletionTimestamp" in meta,
    )
    text = meta.get("annotations", {}).get(GRANT_ANNOTATION)
    if text is None:
        return (seen,)
    try:
        grant = Grant.model_validate_json(text)
    except ValidationError:
        return (seen, GrantWritten(at, name, generation=0, cap=0))
    return seen, GrantWritten(at, name, grant.generation, sum(server.cap for server in grant.servers))


class _Agents:
    """Asks each pod's agent once a second."""

    def __init__(self, timeline: Timeline, stop: threading.Event, pods: dict[str, Object]) -> None:
        self._timeline, self._stop, self._pods = timeline, stop, pods
        self._changes = _Changes(timeline)
        self._answering: set[str] = set()

    def run(self) -> None:
        with ThreadPoolExecutor(_ASKERS, thread_name_prefix="recorder-agents") as askers:
            while not self._stop.wait(_ASK_SECONDS):
                pods = [pod for pod in self._pods.copy().values() if pod.get("status", {}).get("podIP")]
                for pod, state in zip(pods, askers.map(_ask, pods), strict=True):
                    self._hear(pod["metadata"]["name"], state)

    def _hear(self, name: str, state: State | None) -> None:
        at = self._timeline.now()
        if state is not None:
            self._answering.add(name)
            opened = sum(server.open for server in state.servers)
            said = (state.generation, state.acknowledged, state.cap, opened, state.phase.value)
            self._changes.tell(name, Acknowledged(at, name, *said))
        elif name in self._answering:
            self._answering.remove(name)
            self._changes.forget(name)
            self._timeline.add(Silent(at, name))


def _ask(pod: Object) -> State | None:
    """None if the agent does not answer, or another pod answers in its place."""
    url = f"http://{pod['status']['podIP']}:{_AGENT_PORT}/v1/state"
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
            state = State.model_validate_json(answer.read())
    except (OSError, ValueError):
        return None
    return state if state.uid == pod["metadata"]["uid"] else None


class _Looks:
    """Counts the users' backends on one connection, which is opened again when it breaks."""

    def __init__(
        self, timeline: Timeline, stop: threading.Event, dsn: Callable[[], str], users: list[str]
    ) -> None:
        self._timeline, self._stop, self._users = timeline, stop, users
        self._ask_dsn, self._dsn, self._asked = dsn, "", -_FRESH_SECONDS
        self._last: dict[str, int] | None = None
        self._looked = 0.0

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._way(), autocommit=True) as connection:
                    self._look(connection)
            except psycopg.Error:
                self._forget()
                self._stop.wait(_PAUSE_SECONDS)

    def _way(self) -> str:
        """It may have changed if the last one failed; not to be had while the API server is down."""
        if self._timeline.now() - self._asked >= _FRESH_SECONDS:
            self._asked = self._timeline.now()
            try:
                self._dsn = self._ask_dsn() + _TIMEOUTS
            except (KubectlError, AssertionError, KeyError):
                if not self._dsn:
                    raise psycopg.OperationalError("no way to the database is known yet") from None
        return self._dsn

    def _look(self, connection: "psycopg.Connection[tuple[str, int]]") -> None:
        self._looked = self._timeline.now()
        while not self._stop.wait(_LOOK_SECONDS):
            rows = connection.execute(_COUNT, (self._users,)).fetchall()
            now = self._timeline.now()
            if now - self._looked > _BLIND_SECONDS:
                self._forget()
            self._looked = now
            by_address = dict(rows)
            if by_address != self._last:
                self._last = by_address
                self._timeline.add(Backends(now, sum(by_address.values()), by_address))

    def _forget(self) -> None:
        """Nothing is known from the last look on."""
        if self._last is not None:
            self._last = None
            self._timeline.add(Blind(self._looked))
