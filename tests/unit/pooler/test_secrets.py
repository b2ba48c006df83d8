import pytest

from pgpool_pooler.agent.secrets import (
    SecretInvalid,
    parse_monitor_secret,
    parse_user_secret,
    read_users,
    secrets_version,
    tls_problems,
)
from pgpool_pooler.contract import ClientTls, Problem, ServerTls, ServerTlsMode
from pgpool_pooler.engines.base import User

from .builders import config

VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"


@pytest.mark.parametrize(
    ("files", "user"),
    [
        ({"username": b"app", "password": b"pw"}, User("app", "pw")),
        ({"user": b"app", "password": b"pw\n", "host": b"x"}, User("app", "pw")),
        ({"user": b"app", "password": b"pw", "verifier": VERIFIER.encode()}, User("app", "pw", VERIFIER)),
        ({"username": b"app", "verifier": VERIFIER.encode()}, User("app", "", VERIFIER)),
        ({"username": b"app", "password": VERIFIER.encode()}, User("app", "", VERIFIER)),
        ({"username": b"app", "password": b"md5" + b"a" * 32}, User("app", "", "md5" + "a" * 32)),
    ],
)
def test_the_usual_secrets_are_understood(files: dict[str, bytes], user: User) -> None:
    assert parse_user_secret(files, 0, "main-app", "shop") == (user,)


def test_a_userlist_names_many_users() -> None:
    content = b'; comment\n"app" "p""w"\n\n"other" "x"\n'
    assert parse_user_secret({"userlist.txt": content}, 3, "all", "shop") == (
        User("app", 'p"w', secret=3),
        User("other", "x", secret=3),
    )


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no Secret main-app in shop"),
        ({"username": b"app"}, "Secret main-app has no key password"),
        ({"username": b"app", "password": b""}, "Secret main-app has no key password"),
        ({"password": b"pw"}, "Secret main-app has no key username (or user, or userlist.txt)"),
        ({"userlist.txt": b"app pw\n"}, 'Secret main-app: userlist.txt line 1 is not "user" "password"'),
        ({"userlist.txt": b'"app" "pw'}, 'Secret main-app: userlist.txt line 1 is not "user" "password"'),
        ({"userlist.txt": b""}, "Secret main-app: userlist.txt names no user"),
        ({"username": b"a\nb", "password": b"pw"}, "Secret main-app: user 'a\\nb' has a line break"),
    ],
)
def test_a_useless_secret_is_told_in_words(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(SecretInvalid) as raised:
        parse_user_secret(files, 0, "main-app", "shop")
    assert str(raised.value).startswith(words)


def test_a_problem_names_the_field_and_does_not_hide_the_good_secrets() -> None:
    read = read_users([{"username": b"app", "password": b"pw"}], ["good", "bad"], "shop")
    assert read.users == {0: (User("app", "pw"),)}
    assert read.problems == (
        Problem(field="auth.userSecrets[1]", text="no Secret bad in shop", reason="SecretInvalid"),
    )


def test_the_version_depends_on_content_and_place_only() -> None:
    first = secrets_version([{"a": b"1"}, {}])
    assert first == secrets_version([{"a": b"1"}, {}])
    assert len({first, secrets_version([{"a": b"2"}, {}]), secrets_version([{}, {"a": b"1"}])}) == 3


def test_missing_certificates_are_told() -> None:
    pool = config(
        client_tls=ClientTls(mode="require"),
        server_tls=ServerTls(mode=ServerTlsMode.VERIFY_CA, has_secret=True),
    )
    problems = tls_problems(pool, {"tls.crt": b"x"}, {})
    assert [(p.field, p.text, p.reason) for p in problems] == [
        ("tls.client.secretName", "the Secret has no key tls.key", "CertificateInvalid"),
        ("tls.server.secretName", "no such Secret, or it is empty", "CertificateInvalid"),
    ]
    assert not tls_problems(config(), {}, {})


@pytest.mark.parametrize(
    "files",
    [{"username": b"seer", "password": b"sees"}, {"userlist.txt": b'"seer" "sees"'}],
)
def test_the_monitors_secret_is_like_a_users(files: dict[str, bytes]) -> None:
    assert parse_monitor_secret(files, "main-monitor", "shop") == User("seer", "sees")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no Secret main-monitor in shop"),
        ({"username": b"seer"}, "Secret main-monitor has no key password"),
        ({"userlist.txt": b'"a" "b"\n"c" "d"'}, "Secret main-monitor: userlist.txt names 2 users"),
        ({"username": b"seer", "password": VERIFIER.encode()}, "Secret main-monitor has no clear password"),
        ({"username": b'se"er', "password": b"x"}, "Secret main-monitor: the monitor 'se\"er' has a quote"),
    ],
)
def test_a_monitors_secret_that_nobody_could_log_in_with_is_told(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(SecretInvalid) as raised:
        parse_monitor_secret(files, "main-monitor", "shop")
    assert str(raised.value).startswith(words)
