import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pgpool_pooler.contract import Timeouts
from pgpool_pooler.engines.base import EngineError, EngineRejected, Setup, User
from pgpool_pooler.engines.pgbouncer.config import INI, Files
from pgpool_pooler.engines.pgbouncer.console import CommandRefused, Row
from pgpool_pooler.engines.pgbouncer.engine import PgBouncer
from pgpool_pooler.engines.pgbouncer.log import LogReader, parse

from .builders import config, database, material, setup
from .fakes import FakeConsole, FakeProcess
from .test_engine_status import db, pool

RUN = Path("/run/pgpool")


class World:
    """An engine with everything around it faked."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.full: set[str] = set()
        """Files that cannot be written."""
        self.console = FakeConsole(lambda: self.files[INI])
        self.process = FakeProcess()
        self.log = LogReader()
        files = Files(RUN, 5432)
        self.engine = PgBouncer(files, Path("pgbouncer"), self.console, self.process, self.log, self._write)

    def _write(self, path: Path, content: bytes) -> None:
        if path.name in self.full:
            raise OSError(28, "No space left on device")
        self.files[path.name] = content.decode()

    def commands(self) -> list[str]:
        """What was commanded since the last time, without looking."""
        said = [command for command in self.console.commands if not command.startswith("SHOW")]
        self.console.commands.clear()
        return said


def tuned(limit: int = 8, **parameters: Any) -> Setup:
    return setup({"app": limit}, material=material(config=config(parameters=parameters)))


async def started(limit: int = 8, **parameters: Any) -> World:
    world = World()
    await world.engine.start(tuned(limit, **parameters))
    world.commands()
    return world


async def test_a_start_writes_the_files_and_reads_back_what_pgbouncer_took() -> None:
    world = World()
    await world.engine.start(tuned())
    assert world.process.argv == ["pgbouncer", "/run/pgpool/pgbouncer.ini"]
    assert set(world.files) == {INI, "userlist.txt"}
    assert "SHOW CONFIG" in world.console.commands


async def test_a_pgbouncer_that_ends_at_its_start_is_told_in_its_own_words() -> None:
    world = World()
    world.process.dies_at_start = True
    world.log.read(parse("2026-11-24 20:50:24.894 UTC [1] FATAL cannot listen"))
    start = world.engine.start
    world.log.forget_errors = lambda: None  # type: ignore[method-assign]
    with pytest.raises(EngineRejected, match="cannot listen"):
        await start(tuned())


async def test_a_pgbouncer_that_falls_silent_while_it_starts_is_not_left_running() -> None:
    world = World()

    async def silent(command: str) -> list[Row]:
        if command == "SHOW CONFIG":
            raise EngineError("no answer")
        return []

    world.console.rows = silent  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        await world.engine.start(tuned())
    assert not world.engine.running


async def test_who_refuses_before_it_listens_has_opened_nothing_and_who_listens_otherwise_may_have() -> None:
    world = World()
    world.process.dies_at_start = True
    world.log.forget_errors = lambda: None  # type: ignore[method-assign]
    world.log.read(parse("2026-11-24 20:50:24.894 UTC [1] FATAL cannot listen"))
    with pytest.raises(EngineRejected) as refused:
        await world.engine.start(tuned())
    assert not refused.value.ran
    world = World()
    world.console.keeps["pool_mode"] = "session"
    with pytest.raises(EngineRejected) as refused:
        await world.engine.start(tuned())
    assert refused.value.ran


async def test_who_is_ended_at_the_start_without_a_word_has_refused_nothing() -> None:
    world = World()
    world.process.dies_at_start = True
    with pytest.raises(EngineError, match="ended at its start"):
        await world.engine.start(tuned())


async def test_who_does_not_come_to_answer_in_time_has_refused_nothing_and_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def not_yet(command: str) -> list[Row]:
        raise EngineError(f"{command}: no such file")

    world.console.rows = not_yet  # type: ignore[method-assign]
    monkeypatch.setattr("pgpool_pooler.engines.pgbouncer.engine._START_SECONDS", 0.05)
    with pytest.raises(EngineError, match="did not answer within"):
        await world.engine.start(tuned())
    assert not world.engine.running


async def test_new_limits_are_written_before_the_reload() -> None:
    world = await started()
    await world.engine.apply(tuned(2))
    assert "max_db_connections=2" in world.files[INI]
    assert world.commands() == ["RELOAD"]


async def test_a_file_that_was_written_before_another_could_not_be_counts_as_written() -> None:
    def with_password(text: str) -> Setup:
        return setup({"app": 8}, material=material(users=(User("app", password=text),)))

    world = World()
    await world.engine.start(with_password("old"))
    before = world.files["userlist.txt"]
    ini_first = replace(with_password("new"), limits={"app": 2})
    world.full.add("userlist.txt")
    with pytest.raises(OSError, match="No space left"):
        await world.engine.apply(ini_first)
    world.full.clear()
    await world.engine.apply(with_password("old"))
    assert "max_db_connections=8" in world.files[INI]
    assert world.files["userlist.txt"] == before


async def test_a_refused_reload_brings_the_old_file_back_and_says_pgbouncers_words() -> None:
    world = await started()
    before = world.files[INI]
    world.console.refuses["RELOAD"] = "RELOAD failed, see logs"

    async def reload_and_say(command: str) -> None:
        line = 'ERROR invalid value "-1" for parameter stats_period in configuration (/run/pgpool/pgbouncer.ini:9)'
        world.log.read(parse(f"2026-11-24 20:50:24.894 UTC [1] {line}"))
        refusal = world.console.refuses.pop("RELOAD", "")
        world.console.commands.append(command)
        if refusal:
            raise CommandRefused(refusal)

    world.console.run = reload_and_say  # type: ignore[method-assign]
    with pytest.raises(EngineRejected, match='invalid value "-1" for parameter stats_period'):
        await world.engine.apply(tuned(2))
    assert world.files[INI] == before
    assert world.commands() == ["RELOAD", "RELOAD"]


async def test_a_setting_that_pgbouncer_did_not_take_over_is_a_refusal() -> None:
    world = await started()
    world.console.keeps["max_client_conn"] = "100"
    with pytest.raises(EngineRejected, match="PgBouncer has max_client_conn = 100 instead of 700"):
        await world.engine.apply(tuned(max_client_conn=700))


async def test_a_parameter_out_of_range_is_refused_before_anything_is_written() -> None:
    world = await started()
    with pytest.raises(EngineRejected, match="max_packet_size: Input should be greater"):
        await world.engine.apply(tuned(max_packet_size=5))
    assert world.commands() == []


async def overdrawn(in_force: Setup, **users: int) -> frozenset[str]:
    """Where a user has too many, of the connections that users have to the database app."""
    world = World()
    await world.engine.start(in_force)
    world.console.shows = {
        "SHOW DATABASES": [db("app", sum(users.values()))],
        "SHOW POOLS": [pool("app", user, sv_active=count) for user, count in users.items()],
    }
    return (await world.engine.observe()).overdrawn


async def test_too_many_for_a_user_is_more_than_his_part_of_what_the_database_may_have() -> None:
    half = material(config=config(database("app", max_percent=50)))
    alone = setup({"app": 9}, material=half)
    assert await overdrawn(alone, app=5) == set()
    assert await overdrawn(alone, app=6) == {"app"}
    shared = replace(alone, crowd={"app": 2})
    assert await overdrawn(shared, app=2, report=2, third=2) == set()
    assert await overdrawn(shared, app=3, report=1) == {"app"}


async def test_what_is_rendered_to_close_faster_is_nobodys_part() -> None:
    app = frozenset({"app"})
    assert await overdrawn(setup({"app": 4}, closing=app, hurried=app), app=5) == app
    assert await overdrawn(setup({"app": 4}, closing=app, most_of_one={"app": 9}), app=5) == app


async def test_clients_that_log_in_during_a_pause_wait_as_long_as_a_query_may() -> None:
    world = World()
    times = Timeouts(login_seconds=15, queue_seconds=120)
    await world.engine.start(setup({"app": 1}, material=material(config=config(timeouts=times))))
    world.commands()
    await world.engine.pause()
    assert world.console.config["client_login_timeout"] == "120"
    await world.engine.resume()
    assert world.console.config["client_login_timeout"] == "15"
    assert not world.console.paused


async def test_an_engine_that_is_started_again_is_not_paused_any_more() -> None:
    world = World()
    await world.engine.start(setup({"app": 1}))
    await world.engine.pause()
    await world.engine.kill()
    await world.engine.start(setup({"app": 1}))
    await world.engine.apply(setup({"app": 2}))
    assert world.console.config["client_login_timeout"] == "15"


async def test_a_reload_during_a_pause_leaves_the_clients_their_patience_be_it_refused_or_not() -> None:
    def patient(seconds: int) -> Setup:
        times = Timeouts(login_seconds=15, queue_seconds=seconds)
        return setup({"app": 1}, material=material(config=config(timeouts=times)))

    world = World()
    await world.engine.start(patient(120))
    await world.engine.pause()
    world.commands()
    await world.engine.apply(patient(90))
    assert world.commands() == ["RELOAD"], "in between the timeout would have been the short one"
    assert world.console.config["client_login_timeout"] == "90"
    world.console.keeps["query_wait_timeout"] = "90"
    with pytest.raises(EngineRejected):
        await world.engine.apply(patient(60))
    assert world.console.config["client_login_timeout"] == "90"
    await world.engine.resume()
    await world.engine.apply(patient(90))
    assert world.console.config["client_login_timeout"] == "15"


async def test_pausing_what_is_paused_is_no_error_but_other_refusals_are() -> None:
    world = await started()
    world.console.refuses["PAUSE"] = "already suspended/paused"
    await world.engine.pause()
    world.console.refuses["PAUSE"] = "admin access needed"
    with pytest.raises(EngineError, match="admin access needed"):
        await world.engine.pause()


async def test_a_retired_database_takes_no_client_and_opens_nothing() -> None:
    world = await started()
    await world.engine.retire('my "db"')
    assert world.commands() == ['DISABLE "my ""db"""', 'PAUSE "my ""db"""']


async def test_only_clients_that_hold_a_connection_are_cut_off() -> None:
    world = await started()
    clients: list[Row] = [{"id": 1, "link": ""}, {"id": 2, "link": "0x1"}, {"id": 3, "link": "0x2"}]
    world.console.shows["SHOW CLIENTS"] = clients
    await world.engine.abort_busy()
    assert world.commands() == ["KILL_CLIENT 2", "KILL_CLIENT 3"]


async def test_leaving_stops_listening_and_hangs_up_between_transactions_also_after_a_reload() -> None:
    world = await started()
    await world.engine.stop_accepting()
    assert world.process.signals == [signal.SIGTERM]
    assert world.console.config["client_idle_timeout"] == "0.01"
    await world.engine.apply(tuned(2))
    assert world.console.config["client_idle_timeout"] == "0.01"


async def test_finishing_sends_no_second_signal_and_leaves_no_console_open() -> None:
    world = await started()
    await world.engine.stop_accepting()
    await world.engine.finish()
    assert world.process.signals == [signal.SIGTERM]
    assert world.commands()[-1] == "SHUTDOWN WAIT_FOR_SERVERS"
    assert world.console.closed


CLOSED = (
    "2026-11-24 20:50:24.894 UTC [1] LOG {side}-0x55c5: app/app@10.0.0.7:5432 closing because: {why} (age=9s)"
)


EXITS = "2026-11-24 20:50:24.894 UTC [1] LOG {whose} connections dropped, exiting"


@pytest.mark.parametrize(
    ("side", "why", "clean"),
    [
        pytest.param("S", "pause mode", True, id="free"),
        pytest.param("S", "server lifetime over", True, id="old"),
        pytest.param(
            "S", "terminating connection due to administrator command", True, id="ended by PostgreSQL"
        ),
        pytest.param("S", "successfully sent cancel request", True, id="no backend"),
        pytest.param("C", "client disconnect", True, id="a client that left by itself"),
        pytest.param("S", "client disconnect while server was not ready", False, id="in a transaction"),
        pytest.param("S", "client disconnected with query in progress", False, id="in a query"),
        pytest.param("S", "query timeout", False, id="in a query that takes too long"),
        pytest.param("S", "server conn crashed?", False, id="cut off by the network"),
        pytest.param("S", "words of a later version", False, id="not known"),
    ],
)
async def test_it_ends_clean_if_no_connection_was_closed_that_a_query_may_have_run_on(
    side: str, why: str, *, clean: bool
) -> None:
    world = await started()
    world.engine.expect_end()
    world.log.read(parse(CLOSED.format(side=side, why=why)))
    world.log.read(parse(EXITS.format(whose="server")))
    world.process.end(0)
    assert await world.engine.ended_clean() is clean


@pytest.mark.parametrize("whose", ["client", "server"])
async def test_whose_clients_vanished_before_it_was_asked_to_end_ends_clean(whose: str) -> None:
    world = await started()
    world.log.read(parse(CLOSED.format(side="S", why="client disconnect while server was not ready")))
    world.engine.expect_end()
    world.log.read(parse(EXITS.format(whose=whose)))
    world.process.end(0)
    assert await world.engine.ended_clean()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(0, "SHUTDOWN command issued", id="hurried"),
        pytest.param(-signal.SIGKILL, EXITS.format(whose="server"), id="killed"),
        pytest.param(0, CLOSED.format(side="S", why="pause mode"), id="without a word"),
    ],
)
async def test_it_ends_clean_only_if_it_waited_until_it_could_exit(status: int, said: str) -> None:
    world = await started()
    world.engine.expect_end()
    world.log.read(parse(said))
    world.process.end(status)
    assert not await world.engine.ended_clean()


async def test_only_what_pgbouncer_reads_at_its_start_needs_a_restart() -> None:
    world = World()
    assert world.engine.needs_restart(tuned(), tuned(pkt_buf=8192))
    assert not world.engine.needs_restart(tuned(), tuned(max_client_conn=700))
    assert not world.engine.needs_restart(tuned(), tuned(max_packet_size=-1))


async def test_the_most_clients_are_those_of_the_setup_in_force() -> None:
    world = await started()
    assert (await world.engine.observe()).max_clients == 5000
    await world.engine.apply(tuned(max_client_conn=700))
    assert (await world.engine.observe()).max_clients == 700
    world.console.refuses["RELOAD"] = "RELOAD failed"
    with pytest.raises(EngineRejected):
        await world.engine.apply(tuned(max_client_conn=900))
    assert (await world.engine.observe()).max_clients == 700
