"""What becomes of looks, failures and probes: outages, moves, and what is told of the server."""

import pytest

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.hold import UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.pace import BUSY_SECONDS
from pgpool_pooler.agent.reach import FULL_SECONDS, Answer
from pgpool_pooler.agent.store import Store
from pgpool_pooler.contract import Activity, Backends, Mode, PoolMode, Problem
from pgpool_pooler.engines.base import FailureKind, ServerFailure

from .builders import config, database, grant
from .pod import Pod, as_monitor, identity, lines


async def test_an_outage_pauses_stays_ready_and_is_over_when_the_probe_says_so(serving: Pod) -> None:
    serving.supervisor.server_failed(ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed"))
    said = await serving.settle(1)
    assert serving.engine.told == ["pause"]
    assert said.ready
    assert (said.servers[0].reachable, said.servers[0].error) == (False, "connect failed")
    assert serving.enquiries.probes
    serving.enquiries.answer(Answer.ACCEPTS)
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
    serving.enquiries.answer(Answer.ACCEPTS)
    await serving.settle()
    assert serving.engine.told == ["pause", "resume"]


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


async def test_a_hanging_transaction_does_not_hold_up_a_move_for_ever(serving: Pod) -> None:
    serving.engine.open = {"app": 1}
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    said = await serving.settle(9)
    assert serving.engine.told == ["pause"]
    assert said.acknowledged == 1
    serving.clock.time += 30
    await serving.settle(1)
    assert serving.engine.told[1:] == ["abort busy", ("apply", {"app": 3, "b": 1}), "resume"]


async def test_nothing_is_waited_for_on_a_server_that_is_gone(serving: Pod) -> None:
    serving.engine.open = {"app": 1}
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle()
    serving.enquiries.answer(Answer.SILENT)
    await serving.settle(1)
    assert "abort busy" in serving.engine.told


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


async def test_connections_move_between_databases_when_postgresql_has_ended_them(serving: Pod) -> None:
    serving.engine.open = {"app": 3, "b": 1}
    serving.give(grant({"app": 1, "b": 3}, generation=2))
    await serving.settle(0.1)
    serving.engine.open = {"app": 1, "b": 1}
    await serving.settle(SETTLED_SECONDS - 0.1)
    assert "max_db_connections=1 " in lines(serving)["b"]
    await serving.settle(0.2)
    assert "max_db_connections=3 " in lines(serving)["b"]


async def test_all_servers_that_answer_at_the_address_are_reported(serving: Pod) -> None:
    other = identity(detects=True).model_copy(update={"address": "10.0.0.2"})
    serving.enquiries.identity, serving.enquiries.others = identity(detects=True), (other,)
    [server] = (await serving.settle(1)).servers
    assert (server.identity, server.others) == (identity(detects=True), (other,))


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
