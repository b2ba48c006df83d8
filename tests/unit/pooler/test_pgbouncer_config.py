"""The files that PgBouncer reads, whole. Regenerate with `GOLDEN=write pytest tests/unit/pooler`."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pgpool_pooler.contract import (
    ClientTls,
    Endpoint,
    Peers,
    PoolMode,
    ServerTls,
    ServerTlsMode,
    Timeouts,
    UserRule,
)
from pgpool_pooler.engines.base import Setup, User
from pgpool_pooler.engines.pgbouncer.config import Files, Unrenderable, ini, render, settings
from pgpool_pooler.engines.pgbouncer.parameters import PgBouncerParameters

from .builders import APP, MONITOR, SEER, config, database, material, monitored, setup

GOLDEN = Path(__file__).parents[2] / "golden" / "pgbouncer"
FILES = Files(Path("/run/pgpool"), 5432)


def minimal() -> Setup:
    return setup({"app": 8}, material=material("app"))


def two_users_and_a_crowd() -> Setup:
    rules = (
        UserRule(name="report", pool_mode=PoolMode.SESSION, max_percent=25),
        UserRule(name="stranger", max_percent=1),
    )
    pool = config(
        database("app"), database("reports", PoolMode.SESSION, dbname="app_v2", max_percent=50), users=rules
    )
    users = (User("app", "secret"), User("report", "secret"))
    return setup(
        {"app": 7, "reports": 3},
        material=material(config=pool, users=users),
        crowd={"app": 3},
    )


def everything() -> Setup:
    pool = config(
        database("app"),
        database("my db", dbname="it's"),
        pool_mode=PoolMode.STATEMENT,
        client_tls=ClientTls(mode="verify-full"),
        server_tls=ServerTls(mode=ServerTlsMode.VERIFY_FULL, has_secret=True),
        parameters={
            "max_client_conn": 900,
            "ignore_startup_parameters": "search_path,options",
            "log_connections": True,
            "log_disconnections": False,
            "tcp_keepidle": 30,
            "server_lifetime": 1200,
        },
        timeouts=Timeouts(
            connect_seconds=5,
            login_seconds=10,
            queue_seconds=0,
            query_seconds=60,
            idle_in_transaction_seconds=30,
            client_idle_seconds=600,
            dead_peer_seconds=40,
        ),
    )
    files = {"tls.crt": b"crt", "tls.key": b"key", "ca.crt": b"ca"}
    return setup(
        {"app": 5, "my db": 0},
        host="db1.example.com",
        port=6000,
        material=material(
            config=pool,
            peers=Peers(addresses={7: "10.1.0.7", 2: "10.1.0.2"}),
            client_tls=files,
            server_tls={"ca.crt": b"ca"},
        ),
    )


def section(name: str, given: Setup) -> dict[str, str]:
    """The lines of one section of the file."""
    text = ini(given, FILES).split(f"[{name}]\n")[1].split("\n\n")[0]
    return dict(line.split(" = ", 1) for line in text.splitlines())


def users(given: Setup) -> dict[str, str]:
    """What the file says of users."""
    return section("users", given)


@pytest.mark.parametrize(
    "case", [minimal, two_users_and_a_crowd, everything], ids=lambda case: str(case.__name__)
)
def test_the_ini_is_as_checked_in(case: Callable[[], Setup]) -> None:
    text = ini(case(), FILES)
    path = GOLDEN / f"{case.__name__}.ini"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_a_limit_of_0_is_never_rendered_because_it_means_unlimited() -> None:
    text = ini(everything(), FILES)
    assert "pool_size=0 " not in text
    assert "max_db_connections=0" not in text


def test_pool_size_divides_the_share_among_the_users_that_have_clients() -> None:
    assert "pool_size=4 " in ini(setup({"app": 8}, crowd={"app": 2}), FILES)
    assert "pool_size=1 " in ini(setup({"app": 2}, crowd={"app": 5}), FILES)


def test_a_database_has_at_most_its_percentage_of_the_cap_rounded_up() -> None:
    pool = config(database("app", max_percent=30))
    assert setup({"app": 7}, material=material(config=pool)).database_limit("app") == 3


def test_what_closes_in_one_database_lives_a_second_and_leaves_the_others_line_as_it_was() -> None:
    calm = setup({"app": 8, "b": 3})
    closing = replace(calm, closing=frozenset({"app"}), held_back={"app": 1})
    before, after = section("databases", calm), section("databases", closing)
    assert "server_lifetime" not in before["app"]
    assert " pool_size=8 max_db_connections=7 server_lifetime=1 " in after["app"]
    assert after["b"] == before["b"]


def test_what_hurries_closes_every_20_ms() -> None:
    """PgBouncer divides the lifetime by the pool's size."""
    database = frozenset({"app"})
    hurried = setup({"app": 8, "b": 3}, closing=database, hurried=database, held_back={"app": 7})
    assert " pool_size=50 max_db_connections=1 server_lifetime=1 " in section("databases", hurried)["app"]
    assert " pool_size=3 max_db_connections=3 " in section("databases", hurried)["b"]


@pytest.mark.parametrize(("limit", "most", "size"), [(2, 24, 13), (2, 5, 3), (8, 9, 8), (8, 0, 8)])
def test_whoever_has_more_than_he_may_can_still_cancel(limit: int, most: int, size: int) -> None:
    """PgBouncer sends no cancel request for a user who has twice pool_size."""
    closing = setup({"app": limit}, closing=frozenset({"app"}), most_of_one={"app": most})
    assert f" pool_size={size} " in section("databases", closing)["app"]
    assert most < 2 * size


@pytest.mark.parametrize(
    ("limit", "percent", "held", "left"),
    [(8, None, 1, 7), (8, 50, 1, 3), (8, None, 7, 1), (2, None, 1, 1), (1, None, 1, 1), (0, None, 1, 1)],
)
def test_places_are_held_back_of_what_a_database_may_have_but_never_the_only_one(
    limit: int, percent: int | None, held: int, left: int
) -> None:
    pool = config(database("app", max_percent=percent))
    given = setup({"app": limit}, material=material(config=pool), held_back={"app": held})
    assert f" max_db_connections={left} " in section("databases", given)["app"]


@pytest.mark.parametrize(
    "name",
    [
        *("log_connections", "log_stats", "max_prepared_statements"),
        *("tcp_keepalive", "tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl"),
    ],
)
def test_a_parameter_is_described_with_the_default_that_the_agent_gives_it(name: str) -> None:
    said = (PgBouncerParameters.model_fields[name].description or "").rpartition("Default: ")[2].rstrip(".")
    words = {"false": "0", "true": "1", "timeouts.deadPeerSeconds": str(Timeouts().dead_peer_seconds)}
    assert words.get(said, said) == settings(minimal(), FILES)[name]


def test_what_the_user_may_not_choose_beats_the_parameters() -> None:
    pool = config(parameters={"log_disconnections": False})
    chosen = settings(setup({"app": 1}, material=material(config=pool)), FILES)
    assert chosen["log_disconnections"] == "1"


def test_a_database_that_left_the_configuration_keeps_its_place_until_it_is_closed() -> None:
    assert "gone = host=10.0.0.1" in ini(setup({"app": 1, "gone": 1}, material=material("app")), FILES)


@pytest.mark.parametrize("name", ["a\nb", 'a"b', "a'b"])
def test_a_name_that_the_file_cannot_hold_is_refused_and_named(name: str) -> None:
    pool = config(database(name))
    with pytest.raises(Unrenderable, match="quote or line break"):
        ini(setup({name: 1}, material=material(config=pool)), FILES)


def test_a_session_database_gets_no_connect_query_because_discard_all_undoes_it() -> None:
    pool = config(database("app", PoolMode.SESSION))
    assert "connect_query" not in ini(setup({"app": 1}, material=material(config=pool)), FILES)


def test_certificates_are_copied_so_that_a_bad_secret_cannot_stop_a_restart() -> None:
    rendered = render(everything(), FILES, "x")
    assert rendered["client-tls.key"] == b"key"
    assert rendered["server-ca.crt"] == b"ca"


def test_the_userlist_holds_passwords_and_verifiers() -> None:
    users = (User("app", 'it"s'), User("only", verifier="SCRAM-SHA-256$4096:x$y:z"))
    text = render(setup({"app": 1}, material=material("app", users=users)), FILES, "x")[
        "userlist.txt"
    ].decode()
    assert text == '"app" "it""s"\n"only" "SCRAM-SHA-256$4096:x$y:z"\n'


def test_a_user_of_the_other_endpoint_or_of_yesterday_is_locked_out_not_left_out() -> None:
    rules = (UserRule(name="report", endpoints=(Endpoint.READ,)),)
    pool = config(users=rules)
    users = (User("app", "secret"), User("report", "known"))
    given = material(config=pool, users=users, revoked=frozenset({"old"}))
    text = render(setup({"app": 1}, material=given), FILES, "nobody-knows")["userlist.txt"].decode()
    assert text == '"app" "secret"\n"old" "nobody-knows"\n"report" "nobody-knows"\n'


def test_of_two_secrets_with_one_user_the_first_counts() -> None:
    users = (User("app", "first"), User("app", "second", secret=1))
    text = render(setup({"app": 1}, material=material("app", users=users)), FILES, "x")[
        "userlist.txt"
    ].decode()
    assert text == '"app" "first"\n'


def test_the_monitor_has_an_entry_with_one_connection_and_no_user_forced_on_it() -> None:
    given = setup({"app": 4, "pgpool_monitor": 3}, material=monitored("app"), crowd={"pgpool_monitor": 2})
    (line,) = [line for line in ini(given, FILES).splitlines() if line.startswith("pgpool_monitor = ")]
    assert line.startswith(
        "pgpool_monitor = host=10.0.0.1 port=5432 dbname=postgres pool_mode=transaction pool_size=1 "
        "max_db_connections=1 connect_query="
    )
    assert "user=" not in line
    assert "password=" not in line


def test_the_monitor_shares_connections_in_a_session_pool_too() -> None:
    pool = config(database("app", PoolMode.SESSION), pool_mode=PoolMode.SESSION, monitor=MONITOR)
    text = ini(
        setup({"app": 1, "pgpool_monitor": 1}, material=material(config=pool, monitor=SEER)),
        FILES,
    )
    assert "dbname=postgres pool_mode=transaction pool_size=1" in text


def test_who_knows_the_monitors_password_gets_one_backend_and_no_more() -> None:
    assert users(setup({"app": 4}, material=monitored("app")))["seer"] == "max_user_connections=1"


def test_a_user_without_a_rule_has_a_line_because_pgbouncer_would_keep_the_rule_that_he_had() -> None:
    def app(*rules: UserRule) -> str:
        return users(setup({"app": 8}, material=material(config=config(users=rules))))["app"]

    assert app(UserRule(name="app", max_percent=25)) == "max_user_connections=2"
    assert app(UserRule(name="app", pool_mode=PoolMode.SESSION)) == "pool_mode=session"
    assert app() == "max_user_connections=0"


def test_a_name_that_the_file_cannot_hold_may_be_a_users_who_has_no_rule() -> None:
    given = material("app", users=(APP, User('it"s', "secret")))
    assert users(setup({"app": 8}, material=given)) == {"app": "max_user_connections=0"}


def test_a_monitor_that_is_a_user_of_the_pool_keeps_the_users_rules_and_password() -> None:
    given = setup({"app": 4}, material=monitored("app", monitor=User("app", "other")))
    assert users(given) == {"app": "max_user_connections=0"}
    assert render(given, FILES, "x")["userlist.txt"].decode() == '"app" "secret"\n'


def test_the_monitor_may_log_in_but_not_where_it_is_a_user_who_is_barred() -> None:
    given = setup({"app": 1}, material=monitored("app"))
    assert render(given, FILES, "x")["userlist.txt"].decode() == '"app" "secret"\n"seer" "sees"\n'
    rules = (UserRule(name="seer", endpoints=(Endpoint.READ,)),)
    barred = material(
        config=config(users=rules, monitor=MONITOR), users=(APP, User("seer", "own")), monitor=SEER
    )
    text = render(setup({"app": 1}, material=barred), FILES, "nobody-knows")["userlist.txt"].decode()
    assert text == '"app" "secret"\n"seer" "nobody-knows"\n'


def test_the_entry_of_a_monitor_that_is_gone_can_still_be_written_until_it_is_closed() -> None:
    text = ini(setup({"app": 1, "pgpool_monitor": 1}, material=material("app")), FILES)
    assert "pgpool_monitor = host=10.0.0.1" in text
    assert "max_db_connections=1" in text
