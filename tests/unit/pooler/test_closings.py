"""What the engine closed counts until the server has noticed: the loop with a fake engine."""

import asyncio

import pytest

from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.closings import LOOK_SECONDS
from pgpool_pooler.agent.hold import UNDETECTED_HOLD_SECONDS
from pgpool_pooler.agent.sockets import GIVEN_UP_SECONDS
from pgpool_pooler.contract import Peers, Phase, PoolMode

from .builders import config, database, grant
from .pod import Pod, drained, identity, shrunk


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


async def test_what_was_closed_towards_the_pools_own_pods_is_not_the_servers(serving: Pod) -> None:
    serving.configure(
        config(database("app"), database("b")), peers=Peers(addresses={1: "10.1.0.7", 2: "10.1.0.8"})
    )
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(1)
    assert serving.peers == ["10.1.0.7", "10.1.0.8"]


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


async def in_sessions(pod: Pod) -> None:
    """The pool is in session mode from now on."""
    pod.configure(config(database("app", PoolMode.SESSION), database("b")))
    await pod.settle(1)


@pytest.mark.parametrize(("notices", "acknowledged"), [(True, 2), (False, 1)])
async def test_what_the_kernel_gave_up_telling_is_given_back_only_where_the_server_ends_it_by_itself(
    serving: Pod, *, notices: bool, acknowledged: int
) -> None:
    await in_sessions(serving)
    serving.enquiries.identity = identity(detects=notices)
    await serving.settle(1)
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    assert (await serving.settle(60)).acknowledged == acknowledged


async def test_what_was_closed_after_session_mode_was_left_is_given_back_only_where_the_role_has_the_settings(
    serving: Pod,
) -> None:
    """Sessions may have undone on the connection what the engine had told the server."""
    await in_sessions(serving)
    serving.configure(config(database("app"), database("b")))
    await serving.settle(1)
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    assert (await serving.settle(60)).acknowledged == 1


async def test_the_server_ends_by_itself_what_the_engine_told_it_to_whatever_nobody_could_read(
    serving: Pod,
) -> None:
    """With verifiers only, for example, nobody ever asks the server."""
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    assert (await serving.settle(1)).acknowledged == 2


async def test_what_the_kernel_gives_up_telling_is_seen_while_a_session_holds_up_the_rest(
    serving: Pod,
) -> None:
    await in_sessions(serving)
    await shrunk(serving)
    await given_up(serving)
    serving.engine.open = {"app": 2, "b": 1}
    assert (await serving.settle(60)).acknowledged == 1


async def test_what_the_kernel_gives_up_telling_while_a_grant_is_obeyed_is_not_given_back_by_the_next(
    serving: Pod,
) -> None:
    await in_sessions(serving)
    await given_up(serving)
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    assert (await serving.settle(60)).acknowledged == 1


@pytest.mark.parametrize("sessions", [False, True])
async def test_a_server_that_was_left_and_never_answers_again_is_not_waited_for_for_ever(
    serving: Pod, *, sessions: bool
) -> None:
    if sessions:
        await in_sessions(serving)
    serving.unconfirmed = 1
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    assert (await serving.settle(5)).acknowledged == 1
    await given_up(serving)
    assert (await serving.settle(1)).acknowledged == 2


async def test_what_was_given_up_on_a_server_that_was_left_says_nothing_of_the_next_one(serving: Pod) -> None:
    await in_sessions(serving)
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await given_up(serving)
    serving.give(grant({"app": 3, "b": 1}, generation=3, host="10.0.0.2"))
    assert (await serving.settle(1)).acknowledged == 3
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    assert await serving.supervisor.run()


async def test_what_was_given_up_just_before_a_move_says_nothing_of_the_next_server(serving: Pod) -> None:
    await in_sessions(serving)
    serving.unconfirmed = 1
    serving.give(grant({"app": 2, "b": 1}, generation=2))
    await serving.settle(GIVEN_UP_SECONDS + 2)
    serving.unconfirmed = 0
    serving.give(grant({"app": 3, "b": 1}, generation=3, host="10.0.0.2"))
    assert (await serving.settle(1)).acknowledged == 3


async def test_what_is_first_seen_at_a_move_was_closed_on_the_server_that_was_left(serving: Pod) -> None:
    await in_sessions(serving)
    serving.clock.time += LOOK_SECONDS
    await serving.supervisor.tick()
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await given_up(serving)
    assert (await serving.settle(1)).acknowledged == 2


async def test_what_a_server_was_not_told_of_is_not_given_back_there_after_a_move_away_and_back(
    serving: Pod,
) -> None:
    await in_sessions(serving)
    await given_up(serving)
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle(SETTLED_SECONDS / 2)
    serving.give(grant({"app": 2, "b": 1}, generation=3))
    assert (await serving.settle(60)).acknowledged == 1


async def test_what_was_closed_at_a_move_is_judged_by_what_is_known_of_the_server_that_was_left(
    serving: Pod,
) -> None:
    await in_sessions(serving)
    serving.enquiries.identity = identity(detects=True)
    await serving.settle(1)
    serving.unconfirmed = 1
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle(1)
    serving.give(grant({"app": 2, "b": 1}, generation=3))
    await given_up(serving)
    assert (await serving.settle(1)).acknowledged == 3


async def test_a_pod_that_ends_in_a_move_may_have_left_what_the_old_server_was_not_told_of(
    serving: Pod,
) -> None:
    serving.unconfirmed = 1
    serving.give(grant({"app": 3, "b": 1}, generation=2, host="10.0.0.2"))
    await serving.settle(1)
    serving.supervisor.leave()
    await serving.settle()
    await drained(serving)
    await given_up(serving)
    assert not await serving.supervisor.run()


@pytest.mark.parametrize(
    ("host", "remembers", "acknowledged"),
    [("10.0.0.1", True, 0), ("10.0.0.1", False, 0), ("10.0.0.2", True, 2)],
)
async def test_the_first_start_in_a_container_forgets_what_was_given_up_before_it_only_on_another_server(
    serving: Pod, host: str, *, remembers: bool, acknowledged: int
) -> None:
    await in_sessions(serving)
    serving.give(grant({"app": 2, "b": 1}, generation=2, host=host))
    if not remembers:
        (serving.layout.data / "accepted.json").unlink()
    serving.boot()
    await given_up(serving)
    assert serving.engine.running
    assert (await serving.settle(60)).acknowledged == acknowledged


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
