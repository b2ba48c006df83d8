"""A pod with a fake engine, on real files: what the kubelet writes in, what the pod reports out."""

from collections.abc import Callable, Collection
from pathlib import Path

from pgpool_pooler.agent.enquiries import Enquiries
from pgpool_pooler.agent.inputs import Inputs
from pgpool_pooler.agent.reach import Answer
from pgpool_pooler.agent.report import state, unready
from pgpool_pooler.agent.settings import Identity, Layout, Settings
from pgpool_pooler.agent.store import Store
from pgpool_pooler.agent.supervisor import Supervisor
from pgpool_pooler.contract import (
    Activity,
    Backends,
    Endpoint,
    Grant,
    Peers,
    PoolConfig,
    ServerIdentity,
    State,
    content_hash,
)
from pgpool_pooler.engines.base import FailureKind, ServerFailure, Setup
from pgpool_pooler.engines.pgbouncer.config import Files, ini

from .builders import UID, grant
from .fakes import FakeClock, FakeEngine
from .kubelet import write_volume

DRAIN_SECONDS = 60


class SilentEnquiries(Enquiries):
    """Asks nobody; a test says what is known."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), 0, lambda _: (), FakeClock())
        self.probes = 0
        self.answer: Callable[[Answer], None] = lambda _: None
        """Lets the server answer the probe that was made last."""
        self.queues: list[frozenset[tuple[str, str]]] = []
        self.seen: Activity | None = None
        self.counted: Backends | None = None
        self.counts = 0
        self.warm = True

    def engine_started(self, _setup: Setup) -> None:
        return

    def identify(self, _setup: Setup, _at_work: frozenset[tuple[str, str]], _now: float) -> None:
        return

    def look(self, _setup: Setup, queues: frozenset[tuple[str, str]], _now: float) -> None:
        self.queues.append(queues)

    def activity(self, _now: float) -> Activity | None:
        return self.seen

    def count(self, _setup: Setup, _now: float) -> None:
        self.counts += 1

    def backends(self, _now: float) -> Backends | None:
        return self.counted

    def probe(self, _setup: Setup, answered: Callable[[Answer], None], _now: float) -> None:
        self.probes += 1
        self.answer = answered


class Pod:
    """A pod's directories, its engine and its loop."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(
            pod=root / "pod",
            config=root / "config",
            users=root / "users",
            monitor=root / "monitor",
            client_tls=root / "tls/client",
            server_tls=root / "tls/server",
            data=root / "data",
            run=root / "run",
        )
        for directory in (self.layout.data, self.layout.run, self.layout.users / "0"):
            directory.mkdir(parents=True)
        self.clock = FakeClock()
        self.unconfirmed = 0
        self.peers: list[str] = []
        self.socket_looks = 0
        self._versions = 0
        self._annotations = {"grant": "", "config-hash": ""}
        self.boot()

    def boot(self) -> None:
        """Start the agent's process (again)."""
        identity = Identity(UID, "app-rw-6d4f-x2k4p", "shop", Endpoint.WRITE)
        settings = Settings(
            identity, self.layout, DRAIN_SECONDS, 5432, 9127, Path("pgbouncer"), self.root / "termination-log"
        )
        store = Store(self.layout.data, self.layout.run)
        self.engine = FakeEngine()
        self.enquiries = SilentEnquiries()
        inputs = Inputs(identity, self.layout, store.accepted())
        self.supervisor = Supervisor(
            settings, store, inputs, self.engine, self.enquiries, self.clock, self._unconfirmed_ends
        )

    def _unconfirmed_ends(self, peers: Collection[str]) -> int:
        self.socket_looks += 1
        self.peers = list(peers)
        return self.unconfirmed

    def mount(self, path: Path, **files: str) -> None:
        self._versions += 1
        write_volume(
            path, {name.replace("_", "-"): text for name, text in files.items()}, str(self._versions)
        )

    def annotate(self, **values: str) -> None:
        self._annotations |= {name.replace("_", "-"): value for name, value in values.items()}
        self._versions += 1
        write_volume(self.layout.pod, self._annotations, str(self._versions))

    def give(self, offered: Grant | str) -> None:
        self.annotate(grant=offered if isinstance(offered, str) else offered.model_dump_json(by_alias=True))

    def configure(self, pool: PoolConfig, *, told: bool = True, peers: Peers | None = None) -> None:
        others = peers or Peers()
        files = {"config.json": pool.model_dump_json(), "peers.json": others.model_dump_json()}
        self._versions += 1
        write_volume(self.layout.config, files, str(self._versions))
        if told:
            self.annotate(config_hash=content_hash(files))

    def secret(self, number: int = 0, **files: str) -> None:
        self.mount(self.layout.users / str(number), **files)

    async def settle(self, seconds: float = 0.0) -> State:
        """Let the loop run for so long, and until it has nothing to do."""
        end = self.clock.now() + seconds
        for _ in range(2000):
            pause = await self.supervisor.tick()
            if pause and self.clock.now() >= end:
                break
            self.clock.time += min(pause, 0.05) if pause else 0.0
        return state(self.supervisor.facts())

    @property
    def unready(self) -> str:
        return unready(self.supervisor.facts())


def lines(pod: Pod) -> dict[str, str]:
    """What PgBouncer's file says of each database."""
    assert pod.engine.setup is not None
    text = ini(pod.engine.setup, Files(pod.layout.run, 5432)).split("[databases]\n")[1].split("\n\n")[0]
    return dict(line.split(" = ", 1) for line in text.splitlines())


async def shrunk(pod: Pod) -> None:
    """The database app is to shrink, and transactions hold on to what it has."""
    pod.engine.open = {"app": 3, "b": 1}
    pod.give(grant({"app": 2, "b": 1}, generation=2))
    await pod.settle(0.1)


async def drained(pod: Pod) -> None:
    """Let the drain that is under way come to its end."""
    task = pod.supervisor.ending.task
    assert task is not None
    await task
    await pod.settle()


def identity(*, detects: bool) -> ServerIdentity:
    return ServerIdentity(
        address="10.0.0.1",
        port=5432,
        started_at="2026-11-24T20:50:24Z",
        version="17.6",
        max_connections=100,
        reserved_connections=3,
        in_recovery=False,
        client_address="10.1.0.7",
        detects_dead_clients=detects,
    )


def as_monitor(kind: FailureKind) -> ServerFailure:
    return ServerFailure(kind, "pgpool_monitor", "seer", "password authentication failed")


async def moved_with_force(pod: Pod, *, notices: bool) -> None:
    """A move for which a transaction was cut off, just now."""
    pod.enquiries.identity = identity(detects=notices)
    await pod.settle(1)
    pod.engine.open = {"app": 1}
    pod.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await pod.settle()
    pod.clock.time += 40
    await pod.settle(0.1)
