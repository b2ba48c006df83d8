"""The loop with a fake engine, on real files: what the kubelet writes in, what the pod reports out."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.drain import UNREADY_SECONDS
from pgpool_pooler.agent.enquiries import Enquiries
from pgpool_pooler.agent.hold import HOLD_SECONDS, UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.inputs import Inputs
from pgpool_pooler.agent.reach import FULL_SECONDS, Answer
from pgpool_pooler.agent.report import state, unready
from pgpool_pooler.agent.settings import Identity, Layout, Settings
from pgpool_pooler.agent.sockets import GIVEN_UP_SECONDS
from pgpool_pooler.agent.store import Store
from pgpool_pooler.agent.supervisor import BUSY_SECONDS, BUSY_TICK_SECONDS, LONG_TICK_SECONDS, Supervisor
from pgpool_pooler.contract import (
    Activity,
    Backends,
    ClientTls,
    Endpoint,
    Grant,
    Mode,
    Peers,
    Phase,
    PoolConfig,
    PoolMode,
    Problem,
    ServerIdentity,
    State,
    content_hash,
)
from pgpool_pooler.engines.base import EngineStatus, FailureKind, ServerFailure, Setup, User
from pgpool_pooler.engines.pgbouncer.config import Files, ini

from .builders import MONITOR, UID, config, database, grant
from .fakes import FakeClock, FakeEngine
from .kubelet import write_volume

DRAIN_SECONDS = 60


class SilentEnquiries(Enquiries):
    """Asks nobody; a test says what is known."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), 0, lambda _: (), FakeClock())
        self.probes = 0
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

    def probe(self, _setup: Setup, _answered: Callable[[Answer], None], _now: float) -> None:
        self.probes += 1


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


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


@pytest.fixture
async def serving(pod: Pod) -> Pod:
    pod.configure(config(database("app"), database("b")))
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3, "b": 1}))
    await pod.settle(1)
    pod.engine.told.clear()
    return pod


async def test_a_pod_without_a_grant_starts_no_engine(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    said = await pod.settle(5)
    assert pod.engine.told == []
    assert (said.phase, said.ready, said.generation) == (Phase.GATED, False, 0)
    assert pod.unready == "no grant yet: waiting for the operator"


async def test_a_granted_pod_serves_and_acknowledges_once_that_has_lasted(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    assert (await pod.settle()).acknowledged == 0
    said = await pod.settle(SETTLED_SECONDS + 0.1)
    assert pod.engine.told[0] == ("start", {"app": 3})
    assert (said.phase, said.ready, said.generation, said.acknowledged, said.cap) == (
        Phase.SERVING,
        True,
        1,
        1,
        3,
    )


async def test_the_grant_is_on_the_disk_before_the_engine_hears_of_it(pod: Pod) -> None:
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    persisted: list[Grant | None] = []
    pod.engine.refuses = lambda _: persisted.append(Store(pod.layout.data, pod.layout.run).grant()) or ""  # type: ignore[func-returns-value]
    await pod.settle()
    assert persisted[0] == grant({"app": 3})


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


async def test_a_shrink_is_not_acknowledged_before_the_connections_are_gone_for_a_while(
    serving: Pod,
) -> None:
    await shrunk(serving)
    assert (await serving.settle(60)).acknowledged == 1
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(SETTLED_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(0.2)).acknowledged == 2


async def test_a_shrink_is_not_acknowledged_while_the_server_has_not_noticed_what_was_closed(
    serving: Pod,
) -> None:
    serving.unconfirmed = 1
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    said = await serving.settle(5)
    assert (said.acknowledged, said.ready) == (1, True)
    serving.unconfirmed = 0
    assert (await serving.settle(SETTLED_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(1)).acknowledged == 2


async def test_the_sockets_are_looked_at_only_for_a_grant_that_could_be_acknowledged_otherwise(
    serving: Pod,
) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.socket_looks = 0
    await serving.settle(5)
    await shrunk(serving)
    await serving.settle(5)
    assert serving.socket_looks == 0
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(5)).acknowledged == 2
    assert 0 < serving.socket_looks < 20


async def given_up(pod: Pod) -> None:
    """The network to the server is cut for so long that the kernel gives up telling it what was closed."""
    pod.unconfirmed = 1
    await pod.settle(GIVEN_UP_SECONDS + 2)
    pod.unconfirmed = 0
    await pod.settle(2)


@pytest.mark.parametrize(("notices", "acknowledged"), [(True, 2), (False, 1)])
async def test_what_the_kernel_gave_up_telling_is_given_back_only_where_the_server_ends_it_by_itself(
    serving: Pod, *, notices: bool, acknowledged: int
) -> None:
    serving.enquiries.identity = identity(detects=notices)
    await serving.settle(1)
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    assert (await serving.settle(60)).acknowledged == acknowledged


async def test_what_the_kernel_gives_up_telling_is_seen_while_a_session_holds_up_the_rest(
    serving: Pod,
) -> None:
    await shrunk(serving)
    await given_up(serving)
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(60)).acknowledged == 1


async def test_a_server_that_was_left_and_never_answers_again_is_not_waited_for_for_ever(
    serving: Pod,
) -> None:
    serving.unconfirmed = 1
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    assert (await serving.settle(5)).acknowledged == 1
    await given_up(serving)
    assert (await serving.settle(1)).acknowledged == 2


async def test_what_was_given_up_on_a_server_that_was_left_says_nothing_of_the_next_one(serving: Pod) -> None:
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    serving.give(grant({"app": 3, "b": 1}, generation=3, host="10.0.0.2"))
    assert (await serving.settle(1)).acknowledged == 3
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run()


async def test_what_was_closed_towards_the_pools_own_pods_is_not_the_servers(serving: Pod) -> None:
    serving.configure(
        config(database("app"), database("b")), peers=Peers(addresses={1: "10.1.0.7", 2: "10.1.0.8"})
    )
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(1)
    assert serving.peers == ["10.1.0.7", "10.1.0.8"]


async def test_a_grant_that_was_left_by_a_step_is_acknowledged_only_after_the_whole_time_again(
    serving: Pod,
) -> None:
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(SETTLED_SECONDS - 0.1)
    serving.engine.open = {"app": 3, "b": 1}
    await serving.supervisor.tick()
    assert serving.engine.setup is not None
    assert serving.engine.setup.closing == {"app"}, "the look was followed by a step"
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(SETTLED_SECONDS - 0.1)).acknowledged == 1
    assert (await serving.settle(1)).acknowledged == 2


async def test_only_the_database_that_has_too_many_closes_and_opens_its_last_one_when_that_is_safe(
    serving: Pod,
) -> None:
    before = lines(serving)["b"]
    await shrunk(serving)
    assert " pool_size=2 max_db_connections=1 server_lifetime=1 " in lines(serving)["app"]
    assert lines(serving)["b"] == before
    serving.engine.open = {"app": 1, "b": 1}
    await serving.settle(SETTLED_SECONDS - 0.1)
    assert " pool_size=2 max_db_connections=1 connect" in lines(serving)["app"]
    await serving.settle(0.2)
    assert " pool_size=2 max_db_connections=2 connect" in lines(serving)["app"]
    assert lines(serving)["b"] == before


async def test_while_something_closes_the_loop_looks_often(serving: Pod) -> None:
    serving.engine.open, serving.engine.greedy = {"app": 3, "b": 1}, {"app"}
    await serving.settle(SETTLED_SECONDS + 1)
    assert await serving.supervisor.tick() < 0.1
    serving.engine.greedy.clear()
    await serving.settle(SETTLED_SECONDS + 0.1)
    assert await serving.supervisor.tick() == 1.0


async def test_where_something_closes_for_long_the_loop_looks_less_often_until_the_next_grant(
    serving: Pod,
) -> None:
    """A transaction or session that is in the way may last for hours, and each look costs the engine's CPU."""
    await shrunk(serving)
    await serving.settle(BUSY_SECONDS)
    assert await serving.supervisor.tick() == LONG_TICK_SECONDS
    serving.give(grant({"app": 1, "b": 1}, generation=3))
    await serving.settle(0.1)
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_after_a_calm_the_loop_looks_often_again(serving: Pod) -> None:
    await shrunk(serving)
    await serving.settle(BUSY_SECONDS)
    serving.engine.open = {"app": 2, "b": 1}
    await serving.settle(3)
    serving.engine.greedy = {"app"}
    await serving.settle(0.1)
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_every_client_waits_while_the_engine_is_paused_so_the_loop_never_looks_less_often(
    serving: Pod,
) -> None:
    serving.give(grant({"app": 3, "b": 1}, generation=2, mode=Mode.PAUSE))
    serving.engine.open = {"app": 3}
    await serving.settle(BUSY_SECONDS + 1)
    assert serving.engine.paused
    assert await serving.supervisor.tick() == BUSY_TICK_SECONDS


async def test_what_closed_just_before_a_late_look_counts_as_open_for_a_while(serving: Pod) -> None:
    serving.engine.open = {"app": 3, "b": 1}
    serving.give(grant({"app": 1, "b": 3}, generation=2))
    await serving.settle(BUSY_SECONDS + 1)
    serving.clock.time += await serving.supervisor.tick() + 0.001
    serving.engine.open = {"app": 1, "b": 1}
    closed_at = serving.clock.now()
    while serving.engine.setup is not None and serving.engine.setup.limits["b"] == 1:
        serving.clock.time += 0.001 + await serving.supervisor.tick()
    assert serving.clock.now() - closed_at >= SETTLED_SECONDS


async def test_a_reload_in_the_middle_of_closing_does_not_end_it(serving: Pod) -> None:
    await shrunk(serving)
    serving.engine.told.clear()
    serving.secret(username="app", password="new")
    await serving.settle(0.1)
    assert serving.engine.told == [("apply", {"app": 2, "b": 1})]
    assert "server_lifetime=1" in lines(serving)["app"]


async def test_a_crash_in_the_middle_of_closing_is_told_and_the_next_engine_has_nothing_to_close(
    serving: Pod,
) -> None:
    await shrunk(serving)
    serving.engine.running, serving.engine.last_words, serving.engine.open = False, "out of memory", {}
    said = await serving.settle(0.5)
    assert ["out of memory" in problem.text for problem in said.problems] == [True]
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.told[-1] == ("start", {"app": 2, "b": 1})
    assert "server_lifetime" not in lines(serving)["app"]


async def test_a_pod_that_is_drained_in_the_middle_of_closing_rests(serving: Pod) -> None:
    await shrunk(serving)
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    said = await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert (said.phase, said.acknowledged, said.problems) == (Phase.STOPPED, 2, ())
    assert await serving.supervisor.tick() == 1.0


async def test_connections_move_between_databases_when_postgresql_has_ended_them(serving: Pod) -> None:
    serving.engine.open = {"app": 3, "b": 1}
    serving.give(grant({"app": 1, "b": 3}, generation=2))
    await serving.settle(0.1)
    serving.engine.open = {"app": 1, "b": 1}
    await serving.settle(SETTLED_SECONDS - 0.1)
    assert "max_db_connections=1 " in lines(serving)["b"]
    await serving.settle(0.2)
    assert "max_db_connections=3 " in lines(serving)["b"]


async def test_an_older_grant_an_altered_one_and_none_change_nothing_and_are_told(serving: Pod) -> None:
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle(1)
    for text, words in [
        (grant({"app": 9, "b": 1}, generation=1).model_dump_json(), "older"),
        (grant({"app": 9, "b": 1}, generation=2).model_dump_json(), "altered"),
        ("", "gone"),
        ("{}", "not a grant"),
        ("{", "not a grant"),
        (
            grant({"app": 9, "b": 1}, generation=3).model_copy(update={"uid": "a-twin"}).model_dump_json(),
            "a-twin",
        ),
    ]:
        serving.give(text)
        said = await serving.settle(1)
        assert (said.generation, said.cap) == (2, 2)
        assert [(words in problem.text, problem.reason) for problem in said.problems] == [
            (True, "GrantRefused")
        ]


async def test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant(
    serving: Pod,
) -> None:
    serving.give("")
    serving.boot()
    await serving.settle(UNDETECTED_HOLD_SECONDS - 0.1)
    assert serving.engine.told == []
    assert serving.unready == "waiting for backends of an earlier engine to end"
    said = await serving.settle(1)
    assert serving.engine.told[0] == ("start", {"app": 3, "b": 1})
    assert (said.generation, said.acknowledged, said.ready) == (1, 1, True)


async def test_a_pod_that_gives_up_everything_has_nothing_once_it_has_drained(serving: Pod) -> None:
    serving.engine.open = {"app": 2}
    serving.give(grant({"app": 0, "b": 0}, generation=2))
    said = await serving.settle(1)
    assert (said.acknowledged, said.servers[0].cap) == (1, 4)
    serving.engine.open = {}
    said = await serving.settle(1)
    assert (said.acknowledged, said.servers[0].cap) == (2, 0)


async def test_all_servers_that_answer_at_the_address_are_reported(serving: Pod) -> None:
    other = identity(detects=True).model_copy(update={"address": "10.0.0.2"})
    serving.enquiries.identity, serving.enquiries.others = identity(detects=True), (other,)
    [server] = (await serving.settle(1)).servers
    assert (server.identity, server.others) == (identity(detects=True), (other,))


async def test_the_wait_is_short_where_the_server_notices_dead_clients(serving: Pod) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.boot()
    await serving.settle(HOLD_SECONDS - 0.1)
    assert serving.engine.told == []
    await serving.settle(0.2)
    assert serving.engine.told


@pytest.mark.parametrize(
    ("mode", "host", "hold"),
    [
        (PoolMode.TRANSACTION, "10.0.0.1", HOLD_SECONDS),
        (PoolMode.SESSION, "10.0.0.1", UNDETECTED_HOLD_SECONDS),
        (PoolMode.TRANSACTION, "10.0.0.2", UNDETECTED_HOLD_SECONDS),
    ],
)
async def test_what_was_read_in_another_mode_or_of_another_server_makes_no_wait_short(
    serving: Pod, mode: PoolMode, host: str, hold: float
) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.configure(config(database("app", mode), database("b")))
    serving.give(grant({"app": 3, "b": 1}, generation=2, host=host))
    serving.boot()
    await serving.settle(HOLD_SECONDS + 1)
    serving.engine.running = False
    serving.engine.told.clear()
    await serving.settle(hold - 0.1)
    assert serving.engine.told == []
    await serving.settle(0.7)
    assert serving.engine.told == [("start", {"app": 3, "b": 1})]


async def test_what_is_known_of_the_mode_before_is_not_said_of_the_next_one_during_an_outage(
    serving: Pod,
) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    await serving.settle(1)
    serving.configure(config(database("app", PoolMode.SESSION), database("b")))
    await serving.settle(1)
    accepted = Store(serving.layout.data, serving.layout.run).accepted()
    assert accepted is not None
    assert (accepted.config.databases[0].pool_mode, accepted.detects_dead_clients) == (
        PoolMode.SESSION,
        False,
    )


async def test_a_crashed_engine_is_started_again_after_the_hold_and_told(serving: Pod) -> None:
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.engine.running, serving.engine.last_words = False, "out of memory"
    said = await serving.settle()
    assert (said.ready, said.phase) == (False, Phase.GATED)
    assert ["out of memory" in problem.text for problem in said.problems] == [True]
    said = await serving.settle(HOLD_SECONDS + 0.5)
    assert (said.ready, said.problems) == (True, ())


async def test_no_engine_starts_while_the_server_has_not_noticed_the_end_of_the_earlier_one(
    serving: Pod,
) -> None:
    serving.engine.running, serving.unconfirmed = False, 4
    serving.engine.told.clear()
    said = await serving.settle(UNDETECTED_HOLD_SECONDS + 5)
    assert serving.engine.told == []
    assert (said.ready, said.phase) == (False, Phase.GATED)
    assert serving.unready == "waiting for backends of an earlier engine to end"
    serving.unconfirmed = 0
    await serving.settle(1)
    assert serving.engine.told == [("start", {"app": 3, "b": 1})]


async def test_a_configuration_waits_for_its_hash_because_the_kubelet_may_be_half_done(serving: Pod) -> None:
    before = (await serving.settle()).config_hash
    serving.annotate(config_hash="of-files-to-come")
    assert (await serving.settle(2)).config_hash == before
    serving.configure(config(database("app"), parameters={"max_client_conn": 8}), told=False)
    assert (await serving.settle(2)).config_hash == before
    serving.configure(config(database("app"), parameters={"max_client_conn": 9}))
    assert (await serving.settle(2)).config_hash not in (before, "of-files-to-come")


async def test_what_the_engine_refuses_is_told_and_the_old_configuration_serves_on(serving: Pod) -> None:
    before = (await serving.settle()).config_hash
    serving.engine.refuses = lambda setup: "bad" if setup.material.config.parameters else ""
    serving.configure(config(database("app"), database("b"), parameters={"max_client_conn": 9}))
    said = await serving.settle(3)
    assert said.config_hash == before
    assert [(p.field, p.text, p.reason) for p in said.problems] == [
        ("pgbouncer", "app-rw-6d4f-x2k4p: bad", "EngineRejected")
    ]
    assert len(serving.engine.told) == 1
    assert said.ready


async def test_what_the_engine_refused_and_then_took_is_not_told_any_more(pod: Pod) -> None:
    """A port that is taken, for example, until the engine before has gone."""
    refusals = ["cannot listen on unix:/run/pgpool"]
    pod.engine.refuses = lambda _: refusals.pop() if refusals else ""
    pod.configure(config())
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3}))
    assert [problem.reason for problem in (await pod.settle()).problems] == ["EngineRejected"]
    said = await pod.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert (said.ready, said.problems) == (True, ())


async def test_a_refused_parameter_does_not_stop_a_new_password_or_a_new_share(serving: Pod) -> None:
    serving.engine.refuses = lambda setup: "bad" if setup.material.config.parameters else ""
    serving.configure(config(database("app"), database("b"), parameters={"max_client_conn": 9}))
    await serving.settle(2)
    serving.secret(username="app", password="new")
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    said = await serving.settle(2)
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.users[0].password == "new"
    assert said.acknowledged == 2
    assert [problem.reason for problem in said.problems] == ["EngineRejected"]


async def test_a_first_rollout_with_a_wrong_secret_stays_unready_and_says_which(pod: Pod) -> None:
    pod.configure(config(user_secrets=("main-ap",)))
    pod.give(grant({"app": 3}))
    said = await pod.settle(2)
    assert pod.engine.told == []
    assert [(p.field, p.text, p.reason) for p in said.problems] == [
        ("auth.userSecrets[0]", "no Secret main-ap in shop", "SecretInvalid")
    ]
    assert pod.unready == "no Secret main-ap in shop"


@pytest.mark.parametrize(
    "more",
    [
        {"user_secrets": ("main-app", "second")},
        {"client_tls": ClientTls(mode="require")},
        {"monitor": MONITOR},
    ],
    ids=["another user Secret", "a certificate", "a monitor"],
)
async def test_a_pod_that_was_not_made_for_a_secret_serves_on_and_blames_nobody(
    serving: Pod, more: dict[str, Any]
) -> None:
    before = await serving.settle(1)
    serving.configure(config(**more))
    said = await serving.settle(2)
    assert said.config_hash == before.config_hash
    assert said.problems == ()
    assert said.ready


async def test_a_secret_that_goes_bad_keeps_what_ran_also_over_a_restart(serving: Pod) -> None:
    serving.secret(username="app")
    said = await serving.settle(1)
    assert serving.engine.told == []
    assert [problem.text for problem in said.problems] == ["Secret main-app has no key password"]
    serving.boot()
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).ready


async def test_a_new_password_is_applied_and_shows_in_the_secrets_version(serving: Pod) -> None:
    before = (await serving.settle()).secrets_version
    serving.secret(username="app", password="new")
    said = await serving.settle(1)
    assert serving.engine.told == [("apply", {"app": 3, "b": 1})]
    assert said.secrets_version != before


async def test_a_user_that_leaves_the_secrets_is_revoked(serving: Pod) -> None:
    serving.secret(username="renamed", password="secret")
    await serving.settle(1)
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.revoked == {"app"}


async def test_an_outage_pauses_stays_ready_and_is_over_when_the_probe_says_so(serving: Pod) -> None:
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    said = await serving.settle(1)
    assert serving.engine.told == ["pause"]
    assert said.ready
    assert (said.servers[0].reachable, said.servers[0].error) == (False, "connect failed")
    assert serving.enquiries.probes
    serving.supervisor._probed(Answer.ACCEPTS)
    said = await serving.settle(1)
    assert serving.engine.told == ["pause", "resume"]
    assert said.problems == ()


@pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.2"])
async def test_an_engine_that_starts_on_another_server_knows_nothing_of_that_ones_outage(
    serving: Pod, host: str
) -> None:
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    await serving.settle(1)
    serving.engine.running = False
    serving.give(grant({"app": 3, "b": 1}, generation=2, host=host))
    said = await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    [server] = said.servers
    same = host == "10.0.0.1"
    assert (server.reachable, server.error) == ((False, "connect failed") if same else (None, ""))
    assert serving.engine.paused is same


async def test_while_ghosts_fill_the_limit_of_the_role_clients_wait_and_nobody_is_alarmed(
    serving: Pod,
) -> None:
    full = ServerFailure(FailureKind.FULL, "app", "app", 'too many connections for role "app"')
    serving.supervisor.server_failed(full)
    said = await serving.settle(FULL_SECONDS - 0.1)
    assert serving.engine.told == ["pause"]
    assert (said.ready, said.problems, serving.enquiries.probes) == (True, (), 0)
    assert await serving.supervisor.tick() < 0.2, "it looks as soon as there may be room"
    await serving.settle(0.1)
    assert serving.enquiries.probes
    serving.supervisor._probed(Answer.ACCEPTS)
    await serving.settle()
    assert serving.engine.told == ["pause", "resume"]


async def test_a_hanging_transaction_does_not_hold_up_a_move_for_ever(serving: Pod) -> None:
    serving.engine.open = {"app": 1}
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    said = await serving.settle(9)
    assert serving.engine.told == ["pause"]
    assert said.acknowledged == 1
    serving.clock.time += 30
    await serving.settle(1)
    assert serving.engine.told[1:] == ["abort busy", ("apply", {"app": 3, "b": 1}), "resume"]


@pytest.mark.parametrize(("notices", "hold"), [(True, HOLD_SECONDS), (False, UNDETECTED_HOLD_SECONDS)])
async def test_a_move_that_cut_queries_off_is_not_acknowledged_while_they_may_run(
    serving: Pod, *, notices: bool, hold: float
) -> None:
    await moved_with_force(serving, notices=notices)
    assert serving.engine.told[-1] == "resume", "clients are served by the new one meanwhile"
    assert (await serving.settle(hold - 1)).acknowledged == 1
    assert (await serving.settle(2)).acknowledged == 2


@pytest.mark.parametrize("notices", [True, False])
async def test_a_pod_that_cut_queries_off_to_move_may_have_left_something_where_that_is_not_noticed(
    serving: Pod, *, notices: bool
) -> None:
    await moved_with_force(serving, notices=notices)
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run() is notices


async def moved_with_force(pod: Pod, *, notices: bool) -> None:
    """A move for which a transaction was cut off, just now."""
    pod.enquiries.identity = identity(detects=notices)
    await pod.settle(1)
    pod.engine.open = {"app": 1}
    pod.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await pod.settle()
    pod.clock.time += 40
    await pod.settle(0.1)


async def test_a_move_is_not_acknowledged_while_the_old_server_has_not_noticed_what_was_closed(
    serving: Pod,
) -> None:
    serving.unconfirmed = 1
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    said = await serving.settle(5)
    assert serving.engine.told[-1] == "resume", "clients are served by the new one meanwhile"
    assert said.acknowledged == 1
    serving.unconfirmed = 0
    assert (await serving.settle(1)).acknowledged == 2


async def test_nothing_is_waited_for_on_a_server_that_is_gone(serving: Pod) -> None:
    serving.engine.open = {"app": 1}
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle()
    serving.supervisor._probed(Answer.SILENT)
    await serving.settle(1)
    assert "abort busy" in serving.engine.told


async def test_a_parameter_of_the_start_restarts_the_engine_gently_and_after_the_hold(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await drained(serving)
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.told[-1] == ("start", {"app": 3, "b": 1})


async def test_a_pod_that_leaves_fails_readiness_first_and_then_drains(serving: Pod) -> None:
    serving.supervisor.leave()
    started = serving.clock.now()
    said = await serving.settle()
    assert (said.ready, said.phase) == (False, Phase.DRAINING)
    assert serving.engine.told == []
    await drained(serving)
    assert serving.clock.now() - started >= UNREADY_SECONDS
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.supervisor.run()


async def test_a_pod_whose_engine_ended_clean_has_left_nothing(serving: Pod) -> None:
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run()


async def test_a_pod_that_cut_a_query_off_may_have_left_something(serving: Pod) -> None:
    serving.engine.clean = False
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


@pytest.mark.parametrize("notices", [True, False])
async def test_a_pod_whose_engine_crashed_may_have_left_something_as_long_as_the_server_may_not_have_noticed(
    serving: Pod, *, notices: bool
) -> None:
    serving.enquiries.identity = identity(detects=notices)
    await serving.settle(1)
    serving.engine.running = False
    await serving.settle()
    serving.supervisor.leave()
    assert not await serving.supervisor.run()
    serving.clock.time += UNDETECTED_HOLD_SECONDS
    assert await serving.supervisor.run() is notices


async def test_a_clean_end_says_nothing_of_an_engine_that_crashed_before(serving: Pod) -> None:
    serving.engine.running = False
    await serving.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert serving.engine.running
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


async def test_a_pod_that_came_back_without_an_engine_may_have_left_something(serving: Pod) -> None:
    serving.boot()
    serving.supervisor.leave()
    assert not await serving.supervisor.run()


@pytest.mark.parametrize(("seconds", "told"), [(GIVEN_UP_SECONDS - 1, True), (GIVEN_UP_SECONDS + 1, False)])
async def test_what_a_pod_closed_and_the_kernel_may_have_given_up_telling_may_be_there(
    serving: Pod, seconds: float, *, told: bool
) -> None:
    serving.supervisor.leave()
    await serving.settle()
    serving.unconfirmed = 4
    await drained(serving)
    running = asyncio.create_task(serving.supervisor.run())
    await asyncio.sleep(0.1)
    serving.clock.time += seconds
    serving.unconfirmed = 0
    serving.supervisor.wake()
    assert await running is told


async def test_what_the_kernel_gives_up_telling_during_a_drain_is_not_forgotten_at_its_end(
    serving: Pod,
) -> None:
    serving.supervisor.leave()
    await serving.settle()
    await given_up(serving)
    await drained(serving)
    assert not await serving.supervisor.run()


async def test_what_the_kernel_gave_up_telling_of_an_engine_is_not_forgotten_by_the_next_ones_drain(
    serving: Pod,
) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await drained(serving)
    await given_up(serving)
    assert serving.engine.running, "what nobody can know holds up no engine"
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert not await serving.supervisor.run()


async def test_an_engine_that_ended_clean_is_followed_by_the_next_one_as_if_the_server_looked(
    serving: Pod,
) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    await drained(serving)
    await serving.settle(HOLD_SECONDS - 0.1)
    assert serving.engine.told == ["stop accepting", "finish"]
    await serving.settle(0.2)
    assert serving.engine.told[-1] == ("start", {"app": 3, "b": 1})


async def test_a_pod_that_leaves_stays_while_the_server_has_not_noticed_what_was_closed(serving: Pod) -> None:
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    serving.unconfirmed = 4
    serving.clock.time += UNDETECTED_HOLD_SECONDS + 1
    running = asyncio.create_task(serving.supervisor.run())
    await asyncio.sleep(0.2)
    assert not running.done()
    serving.unconfirmed = 0
    await running
    assert serving.engine.told == ["stop accepting", "finish"], "no engine starts in a pod that leaves"


async def test_a_pod_that_leaves_still_shrinks(serving: Pod) -> None:
    serving.supervisor.leave()
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle()
    assert ("apply", {"app": 1, "b": 1}) in serving.engine.told


async def pass_time(pod: Pod, seconds: float) -> None:
    """Let the loop, and what waits for the clock beside it, run for so long."""
    end = pod.clock.now() + seconds
    while pod.clock.now() < end:
        pod.clock.time += 0.25
        await pod.settle()
        async with pod.supervisor.changed:
            pod.supervisor.changed.notify_all()
        await asyncio.sleep(0)


@pytest.fixture
async def leaving(serving: Pod, monkeypatch: pytest.MonkeyPatch) -> Pod:
    """A pod that is out of its Service soon, and then loses its server."""

    async def sleep(seconds: float) -> None:
        end = serving.clock.now() + seconds
        async with serving.supervisor.changed:
            await serving.supervisor.changed.wait_for(lambda: serving.clock.now() >= end)

    monkeypatch.setattr(serving.clock, "sleep", sleep)
    serving.supervisor.leave()
    await pass_time(serving, UNREADY_SECONDS / 2)
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    await pass_time(serving, UNREADY_SECONDS * 2)
    assert serving.engine.told == ["pause"]
    return serving


async def test_a_pod_that_leaves_in_an_outage_lets_its_clients_wait_for_the_server(leaving: Pod) -> None:
    leaving.supervisor._probed(Answer.ACCEPTS)
    await pass_time(leaving, 2)
    assert leaving.engine.told == ["pause", "resume", "stop accepting", "finish"]


async def test_a_pod_that_leaves_waits_for_no_server_longer_than_a_drain_may_take(leaving: Pod) -> None:
    await pass_time(leaving, DRAIN_SECONDS - UNREADY_SECONDS * 2)
    assert leaving.engine.told == ["pause"]
    await pass_time(leaving, UNREADY_SECONDS)
    assert leaving.engine.told[:2] == ["pause", "stop accepting"]
    assert not leaving.engine.running


async def test_an_engine_that_drains_for_a_restart_still_shrinks(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    serving.give(grant({"app": 1, "b": 1}, generation=2))
    await serving.settle()
    assert serving.engine.told == [("apply", {"app": 1, "b": 1})]


async def test_an_engine_that_stays_mute_is_ended(serving: Pod) -> None:
    serving.engine.mute = True
    said = await serving.settle(1)
    assert [problem.reason for problem in said.problems] == ["EngineFailed"]
    serving.clock.time += 31
    await serving.settle()
    assert "kill" in serving.engine.told


async def test_a_failure_of_the_agent_itself_is_told_and_does_not_end_process_1(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Any:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(serving.engine, "observe", broken)
    assert await serving.supervisor._safe_tick() > 0
    assert [problem.text for problem in state(serving.supervisor.facts()).problems] == [
        "the agent failed: RuntimeError: unforeseen"
    ]
    monkeypatch.undo()
    await serving.supervisor._safe_tick()
    assert state(serving.supervisor.facts()).problems == ()


async def test_a_failure_of_the_agent_that_has_passed_is_not_told_of_a_pod_without_an_engine(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "read", lambda _: 1 / 0)
        await pod.supervisor._safe_tick()
    assert [problem.reason for problem in state(pod.supervisor.facts()).problems] == ["EngineFailed"]
    await pod.supervisor._safe_tick()
    assert state(pod.supervisor.facts()).problems == ()


async def test_that_an_engine_crashed_is_not_told_any_more_once_none_is_wanted(serving: Pod) -> None:
    serving.engine.running = False
    serving.give(grant({}, generation=2, cap=0))
    assert [problem.reason for problem in (await serving.settle(1)).problems] == ["EngineFailed"]
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).problems == ()


async def test_an_engine_that_did_not_answer_and_has_drained_is_no_problem(serving: Pod) -> None:
    serving.configure(config(database("app"), database("b"), parameters={"pkt_buf": 8192}))
    await serving.settle()
    serving.engine.mute = True
    await serving.settle(1)
    serving.engine.mute = False
    await drained(serving)
    assert state(serving.supervisor.facts()).problems == ()


async def drained(pod: Pod) -> None:
    """Let the drain that is under way come to its end."""
    task = pod.supervisor._drain
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


@pytest.fixture
async def watched(pod: Pod) -> Pod:
    """A pod that serves, with a monitor."""
    pod.configure(config(database("app"), monitor=MONITOR))
    pod.secret(username="app", password="secret")
    pod.mount(pod.layout.monitor, username="seer", password="sees")
    pod.give(grant({"app": 3, "pgpool_monitor": 1}))
    await pod.settle(1)
    return pod


def as_monitor(kind: FailureKind) -> ServerFailure:
    return ServerFailure(kind, "pgpool_monitor", "seer", "password authentication failed")


async def test_the_monitors_connection_is_the_servers_and_its_entry_none_of_the_clients_databases(
    watched: Pod,
) -> None:
    watched.engine.open = {"app": 2, "pgpool_monitor": 1}
    said = await watched.settle(1)
    assert watched.engine.told == [("start", {"app": 3, "pgpool_monitor": 1})]
    assert said.acknowledged == 1
    assert [state.name for state in said.databases] == ["app"]
    assert said.servers[0].open == 3
    watched.give(grant({"app": 3}, generation=2))
    assert (await watched.settle(1)).acknowledged == 1


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({}, "no Secret main-monitor in shop"),
        ({"username": "seer"}, "Secret main-monitor has no key password"),
    ],
)
async def test_without_a_good_monitor_the_pod_serves_all_the_same_and_says_what_is_wrong(
    pod: Pod, secret: dict[str, str], words: str
) -> None:
    pod.mount(pod.layout.monitor, **secret)
    pod.configure(config(monitor=MONITOR))
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3, "pgpool_monitor": 1}))
    said = await pod.settle(1)
    assert pod.engine.told == [("start", {"app": 3})]
    assert (said.ready, said.acknowledged) == (True, 1)
    assert said.problems == (Problem(field="auth.monitor.secretRef", text=words, reason="SecretInvalid"),)


async def test_a_monitor_whose_secret_goes_bad_looks_on_also_over_a_restart(watched: Pod) -> None:
    watched.mount(watched.layout.monitor, username="seer")
    said = await watched.settle(1)
    assert [problem.reason for problem in said.problems] == ["SecretInvalid"]
    watched.boot()
    await watched.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert watched.engine.told == [("start", {"app": 3, "pgpool_monitor": 1})]


async def test_a_new_password_of_the_monitor_is_applied_and_shows_in_the_secrets_version(
    watched: Pod,
) -> None:
    before = (await watched.settle()).secrets_version
    watched.supervisor.server_failed(as_monitor(FailureKind.LOGIN))
    watched.mount(watched.layout.monitor, username="seer", password="new")
    said = await watched.settle(1)
    assert watched.engine.told[1:] == [("apply", {"app": 3, "pgpool_monitor": 1})]
    assert watched.engine.setup is not None
    assert watched.engine.setup.material.monitor == User("seer", "new")
    assert said.secrets_version != before
    assert said.problems == ()


async def test_a_monitor_that_has_another_name_now_is_revoked(watched: Pod) -> None:
    watched.mount(watched.layout.monitor, username="other", password="sees")
    await watched.settle(1)
    assert watched.engine.setup is not None
    assert watched.engine.setup.material.revoked == {"seer"}


@pytest.mark.parametrize("kind", [FailureKind.LOGIN, FailureKind.UNREACHABLE, FailureKind.FULL])
async def test_a_monitor_that_the_server_refuses_never_makes_clients_wait(
    watched: Pod, kind: FailureKind
) -> None:
    watched.supervisor.server_failed(as_monitor(kind))
    said = await watched.settle(5)
    assert "pause" not in watched.engine.told
    assert watched.enquiries.probes == 0
    assert (said.ready, said.servers[0].reachable, said.servers[0].error) == (True, None, "")


async def test_a_monitor_that_the_server_refuses_is_told_with_the_servers_words(watched: Pod) -> None:
    watched.supervisor.server_failed(as_monitor(FailureKind.LOGIN))
    said = await watched.settle(1)
    assert said.problems == (
        Problem(
            field="auth.monitor.secretRef", text="password authentication failed", reason="SecretInvalid"
        ),
    )


async def test_what_the_backends_do_is_part_of_the_servers_state(serving: Pod) -> None:
    assert (await serving.settle()).servers[0].activity is None
    serving.enquiries.seen = Activity(age_seconds=1, cpu=2)
    assert (await serving.settle()).servers[0].activity == Activity(age_seconds=1, cpu=2)


async def test_what_the_monitor_counted_is_reported_of_the_server_that_is_in_force(serving: Pod) -> None:
    serving.enquiries.counted = Backends(age_seconds=1, complete=True, by_address={"10.0.2.9": 2})
    assert (await serving.settle()).servers[0].backends == serving.enquiries.counted
    assert serving.enquiries.counts > 0


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_pod_that_is_paused_or_leaves_does_not_look(serving: Pod, *, leaves: bool) -> None:
    assert serving.enquiries.queues
    if leaves:
        serving.supervisor.leave()
    else:
        serving.give(grant({"app": 3, "b": 1}, generation=2, mode=Mode.PAUSE))
    await serving.supervisor.tick()
    serving.enquiries.queues.clear()
    await serving.settle(1)
    assert serving.enquiries.queues == []


async def test_what_scaling_has_to_know_is_in_the_state(
    serving: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgpool_pooler.agent.supervisor.cpu_available", lambda threads: 0.1 * threads)
    serving.supervisor._status = EngineStatus(
        max_clients=5000, transactions=7, busy_seconds=3.0, query_seconds=2.0
    )
    said = state(serving.supervisor.facts())
    assert (said.max_clients, said.transactions, said.busy_seconds, said.query_seconds) == (5000, 7, 3.0, 2.0)
    assert said.cpu_available == 0.1
