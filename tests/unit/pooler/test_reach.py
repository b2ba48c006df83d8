import pytest

from pgpool_pooler.agent.reach import (
    FRESH_SECONDS,
    FULL_SECONDS,
    LASTING_SECONDS,
    STARVED_SECONDS,
    Answer,
    Reachability,
    failure_problems,
    matters,
)
from pgpool_pooler.engines.base import DatabaseLoad, EngineStatus, FailureKind, ServerFailure, User

from .builders import material, monitored, status

REFUSED = ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed")
WAITING = EngineStatus(databases={"app": DatabaseLoad(clients=1, waiting=1)})
NOTHING = EngineStatus()
FULL = ServerFailure(FailureKind.FULL, "app", "app", 'too many connections for role "app"')


def test_a_failed_login_without_a_connection_left_is_an_outage() -> None:
    reach = Reachability()
    reach.failed(REFUSED, 0)
    reach.observed(NOTHING, 0)
    assert reach.outage
    assert reach.reachable is False
    assert reach.error == "connect failed"


def test_a_failed_login_beside_working_connections_is_no_outage() -> None:
    reach = Reachability()
    reach.failed(REFUSED, 0)
    reach.observed(status({"app": 1}), 0)
    assert not reach.outage
    assert reach.reachable


def test_a_login_that_failed_while_the_last_connections_were_closing_counts_when_they_are_gone() -> None:
    reach = Reachability()
    reach.failed(REFUSED, 0)
    reach.observed(status({"app": 1}), 0.01)
    reach.observed(NOTHING, 0.02)
    assert reach.outage


def test_an_old_failure_does_not_count() -> None:
    reach = Reachability()
    reach.failed(REFUSED, 0)
    reach.observed(status({"app": 1}), 0.01)
    reach.observed(NOTHING, FRESH_SECONDS)
    assert not reach.outage


def test_a_refused_password_never_pauses_the_others() -> None:
    reach = Reachability()
    reach.failed(ServerFailure(FailureKind.LOGIN, "app", "app", "password authentication failed"), 0)
    reach.observed(NOTHING, 0)
    assert not reach.outage


def test_who_finds_the_server_full_and_has_no_connection_left_waits_until_ghosts_are_gone_and_then_looks() -> (
    None
):
    reach = Reachability()
    reach.observed(status({"app": 1}), 0)
    reach.failed(FULL, 10)
    reach.observed(NOTHING, 10.01)
    assert reach.outage
    assert not reach.needs_probe(10 + FULL_SECONDS - 0.01)
    assert reach.needs_probe(10 + FULL_SECONDS)
    reach.probed(Answer.ACCEPTS)
    assert not reach.outage


def test_who_loses_the_last_connection_when_there_is_room_again_does_not_wait() -> None:
    reach = Reachability()
    reach.failed(FULL, 10)
    reach.observed(status({"app": 1}), 10.01)
    reach.observed(NOTHING, 10 + FULL_SECONDS)
    assert not reach.outage


def test_a_server_that_is_full_for_a_moment_is_reachable_and_no_problem() -> None:
    reach = Reachability()
    reach.observed(status({"app": 1}), 0)
    reach.failed(FULL, 10)
    reach.observed(NOTHING, 10.01)
    assert (reach.reachable, reach.error, reach.failures) == (True, "", {})


def test_a_server_that_stays_full_is_told_in_its_own_words() -> None:
    reach = Reachability()
    for second in range(int(LASTING_SECONDS) + 1):
        reach.failed(FULL, second)
    (problem,) = failure_problems(reach.failures.values(), material("app"))
    assert (problem.field, problem.text, problem.reason) == ("auth.userSecrets[0]", FULL.text, "LoginFailed")
    logged_in = EngineStatus(logged_in=frozenset({("app", "app")}))
    reach.observed(logged_in, LASTING_SECONDS + 1)
    assert reach.failures == {}
    reach.failed(FULL, LASTING_SECONDS + 2)
    assert reach.failures == {}, "it is full anew"


def test_a_server_that_is_full_for_more_connections_makes_nobody_wait_who_has_one() -> None:
    reach = Reachability()
    reach.failed(FULL, 0)
    reach.observed(status({"app": 1}), 0.01)
    assert not reach.outage


def test_losing_the_last_connection_is_a_reason_to_look_before_a_client_finds_out() -> None:
    reach = Reachability()
    reach.observed(status({"app": 2}), 0)
    assert not reach.needs_probe(0)
    reach.observed(NOTHING, 1)
    assert reach.needs_probe(1)
    reach.probed(Answer.REJECTS)
    assert reach.outage


def test_a_pause_that_closes_the_connections_is_no_loss() -> None:
    reach = Reachability()
    reach.observed(status({"app": 2}), 0)
    reach.observed(EngineStatus(paused=True), 1)
    assert not reach.needs_probe(1)


def test_clients_that_starve_without_a_word_in_the_log_are_a_reason_to_look() -> None:
    reach = Reachability()
    reach.observed(WAITING, 0)
    assert not reach.needs_probe(0)
    assert reach.needs_probe(STARVED_SECONDS)


def test_a_server_that_shuts_down_takes_no_client_but_may_still_finish_what_runs() -> None:
    reach = Reachability()
    reach.probed(Answer.REJECTS)
    assert (reach.outage, reach.silent) == (True, False)
    reach.probed(Answer.SILENT)
    assert (reach.outage, reach.silent) == (True, True)


def test_connections_that_hang_do_not_hide_a_silent_server() -> None:
    reach = Reachability()
    reach.probed(Answer.SILENT)
    reach.observed(status({"app": 1}), 0)
    assert reach.silent


def test_an_outage_is_over_when_the_server_answers() -> None:
    reach = Reachability()
    reach.failed(REFUSED, 0)
    reach.observed(NOTHING, 0)
    assert reach.needs_probe(0)
    reach.probed(Answer.ACCEPTS)
    assert (reach.outage, reach.reachable, reach.error, reach.failures) == (False, True, "", {})


def test_a_failure_is_forgotten_when_that_login_works_or_the_secrets_change() -> None:
    failure = ServerFailure(FailureKind.LOGIN, "app", "app", "no")
    reach = Reachability()
    reach.failed(failure, 0)
    reach.observed(EngineStatus(logged_in=frozenset({("app", "other")})), 0)
    assert reach.failures
    reach.observed(EngineStatus(logged_in=frozenset({("app", "app")})), 0)
    assert not reach.failures
    reach.failed(failure, 0)
    reach.retry_logins()
    assert not reach.failures


def test_failures_are_told_in_terms_of_the_users_fields() -> None:
    given = material("app", "reports", users=(User("app", "x"), User("report", "x", secret=2)))
    failures = [
        REFUSED,
        ServerFailure(FailureKind.LOGIN, "app", "report", "password authentication failed"),
        ServerFailure(FailureKind.LOGIN, "reports", "app", 'database "nosuch" does not exist'),
        ServerFailure(FailureKind.TLS, "app", "app", "certificate verify failed"),
    ]
    assert [(p.field, p.reason) for p in failure_problems(failures, given)] == [
        ("database", "Unreachable"),
        ("auth.userSecrets[2]", "LoginFailed"),
        ("databases[1].dbname", "LoginFailed"),
        ("tls.server", "TLSFailed"),
    ]


def test_many_pools_of_one_user_are_one_problem() -> None:
    failures = [ServerFailure(FailureKind.LOGIN, name, "app", "no") for name in ("app", "reports")]
    assert len(failure_problems(failures, material("app", "reports"))) == 1


AS_MONITOR = ServerFailure(FailureKind.LOGIN, "pgpool_monitor", "seer", "password authentication failed")


def test_a_monitor_that_is_refused_is_told_at_its_field_and_is_no_error_of_the_server() -> None:
    reach = Reachability()
    reach.failed(AS_MONITOR, 0)
    reach.observed(NOTHING, 0)
    assert (reach.outage, reach.needs_probe(60), reach.reachable, reach.login_error) == (
        False,
        False,
        None,
        "",
    )
    (problem,) = failure_problems(reach.failures.values(), monitored("app"))
    assert (problem.field, problem.reason) == ("auth.monitor.secretRef", "SecretInvalid")


def test_only_the_clients_databases_say_whether_the_server_is_there() -> None:
    reach = Reachability()
    alone = status({"pgpool_monitor": 1})
    reach.failed(REFUSED, 0)
    reach.observed(alone, 0)
    assert reach.outage
    quiet = Reachability()
    quiet.observed(alone, 0)
    quiet.observed(NOTHING, 1)
    assert not quiet.needs_probe(1)


@pytest.mark.parametrize(
    ("database", "user", "kind", "counts"),
    [
        ("pgpool_monitor", "seer", FailureKind.LOGIN, True),
        ("pgpool_monitor", "seer", FailureKind.TLS, True),
        ("pgpool_monitor", "seer", FailureKind.UNREACHABLE, False),
        ("pgpool_monitor", "app", FailureKind.LOGIN, False),
        ("app", "seer", FailureKind.LOGIN, False),
        ("app", "app", FailureKind.LOGIN, True),
        ("app", "app", FailureKind.UNREACHABLE, True),
    ],
)
def test_a_failure_counts_where_the_pool_needs_that_login(
    database: str, user: str, kind: FailureKind, counts: bool
) -> None:
    assert matters(ServerFailure(kind, database, user, "no"), monitored("app")) is counts


def test_without_a_monitor_its_entry_concerns_nobody_and_one_that_is_a_user_concerns_both() -> None:
    assert not matters(AS_MONITOR, material("app"))
    both = monitored("app", users=(User("seer", "sees"),))
    assert matters(AS_MONITOR, both)
    assert matters(ServerFailure(FailureKind.LOGIN, "app", "seer", "no"), both)
