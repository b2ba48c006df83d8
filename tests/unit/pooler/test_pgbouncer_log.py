"""Lines as PgBouncer 1.25 and 1.26 write them."""

import pytest

from pgpool_pooler.engines.base import FailureKind, ServerFailure
from pgpool_pooler.engines.pgbouncer.log import LogReader, parse

STAMP = "2026-11-24 20:50:24.894 UTC [13970] "
REFUSED = STAMP + "LOG S-0x55c594c3d880: app/app@127.0.0.1:6000 closing because: connect failed (age=0s)"
LOGIN = (
    STAMP + 'WARNING server login failed: FATAL password authentication failed for user "app"',
    STAMP + "LOG C-0x55c594c344e8: app/app@127.0.0.1:46120 closing because: "
    'password authentication failed for user "app" (age=30s)',
    STAMP + "LOG S-0x55c594c3de50: app/app@127.0.0.1:6000 closing because: "
    'password authentication failed for user "app" (age=0s)',
)
STARTING = (
    STAMP + "WARNING server login failed: FATAL the database system is starting up",
    STAMP
    + "LOG S-0x55c594c3de50: app/app@127.0.0.1:6000 closing because: the database system is starting up (age=0s)",
)
TLS = (
    STAMP + "WARNING TLS handshake error: handshake failed: certificate verify failed",
    STAMP + "LOG S-0x55c594c3de50: app/app@127.0.0.1:6000 closing because: connect failed (age=0s)",
)

UNTRUSTED = (
    STAMP
    + "LOG TLS handshake error: handshake failed: error:0A000086:SSL routines::certificate verify failed",
    STAMP + "LOG S-0x55931e6a6f20: app/app@10.0.0.7:5432 closing because: server conn crashed? (age=0s)",
)
CLIENT_WITHOUT_TRUST = (
    STAMP + "LOG TLS handshake error: handshake failed: tlsv1 alert unknown ca",
    STAMP
    + "LOG C-0x55931e6a6f20: (nodb)/(nouser)@10.0.0.9:5432 closing because: client unexpected eof (age=0s)",
)


def read(*lines: str) -> list[ServerFailure]:
    reader = LogReader()
    return [failure for line in lines if (failure := reader.read(parse(line))) is not None]


def test_a_refused_connection_means_that_the_server_is_unreachable() -> None:
    assert read(REFUSED) == [ServerFailure(FailureKind.UNREACHABLE, "app", "app", "connect failed")]


def test_a_refused_login_is_told_in_the_servers_words() -> None:
    words = 'password authentication failed for user "app"'
    assert read(*LOGIN) == [ServerFailure(FailureKind.LOGIN, "app", "app", words)]


def test_a_server_that_starts_is_not_reachable_yet() -> None:
    assert [failure.kind for failure in read(*STARTING)] == [FailureKind.UNREACHABLE]


@pytest.mark.parametrize(
    "words",
    [
        'too many connections for role "app"',
        'too many connections for database "app"',
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_a_server_without_a_free_place_is_full(words: str) -> None:
    login = f"WARNING server login failed: FATAL {words}"
    closed = f"LOG S-0x55c594c3de50: app/app@127.0.0.1:6000 closing because: {words} (age=0s)"
    assert read(STAMP + login, STAMP + closed) == [ServerFailure(FailureKind.FULL, "app", "app", words)]


def test_a_failed_handshake_is_told_as_such() -> None:
    assert [(failure.kind, "certificate" in failure.text) for failure in read(*TLS)] == [
        (FailureKind.TLS, True)
    ]


def test_a_server_whose_certificate_is_not_trusted_is_told_as_such() -> None:
    assert [failure.kind for failure in read(*UNTRUSTED)] == [FailureKind.TLS]


def test_a_clients_failed_handshake_says_nothing_of_the_server() -> None:
    assert read(*CLIENT_WITHOUT_TRUST, UNTRUSTED[1]) == []


@pytest.mark.parametrize("reason", ["server lifetime over", "server idle timeout", "pause mode", "evicted"])
def test_an_ordinary_end_of_a_connection_is_no_failure(reason: str) -> None:
    assert read(REFUSED.replace("connect failed", reason)) == []


def test_a_client_that_leaves_says_nothing_of_the_server() -> None:
    line = parse(REFUSED.replace("S-0x", "C-0x"))
    assert line.about_client
    assert LogReader().read(line) is None


def test_a_connection_that_the_server_ended_is_worth_a_look() -> None:
    assert parse(REFUSED.replace("connect failed", "server conn crashed?")).about_lost_server
    assert not parse(REFUSED.replace("connect failed", "server lifetime over")).about_lost_server


def test_the_words_for_a_refused_file_are_the_errors_that_are_not_about_clients() -> None:
    reader = LogReader()
    reader.read(parse(STAMP + 'ERROR invalid value "x" for parameter pkt_buf in configuration (f:3)'))
    reader.read(parse(STAMP + "ERROR C-0x55: app/app@127.0.0.1:1 password authentication failed"))
    assert reader.errors() == 'invalid value "x" for parameter pkt_buf in configuration (f:3)'
    reader.forget_errors()
    assert reader.errors() == ""


def test_a_line_of_another_form_is_passed_on() -> None:
    assert parse("something else").text == "something else"
