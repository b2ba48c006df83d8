"""What the mounted Secrets say: users, certificates, and what is wrong with them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pgpool_pooler.contract import PoolConfig, Problem, ServerTlsMode
from pgpool_pooler.engines.base import User

SECRET_INVALID: Final = "SecretInvalid"
"""The reason of a problem with a Secret. A refused monitor is one too: the clients' logins go on, so the database
is not called unreachable."""
MONITOR_FIELD: Final = "auth.monitor.secretRef"
USERLIST_KEY: Final = "userlist.txt"
_SCRAM_PREFIX: Final = "SCRAM-SHA-256$"
_CLIENT_TLS_KEYS: Final = ("tls.crt", "tls.key")
_VERIFYING: Final = frozenset({"verify-ca", "verify-full"})


class SecretInvalid(Exception):  # noqa: N818
    """A Secret cannot be used; the text says why, the caller knows which."""


@dataclass(frozen=True)
class ReadUsers:
    """The users of all Secrets in order, and a problem for each Secret that cannot be used."""

    users: Mapping[int, tuple[User, ...]]
    problems: tuple[Problem, ...]


def read_users(secrets: Sequence[Mapping[str, bytes]], names: Sequence[str], namespace: str) -> ReadUsers:
    """Read the user Secrets; `secrets[i]` are the files of the Secret `names[i]`."""
    users: dict[int, tuple[User, ...]] = {}
    problems = []
    for number, name in enumerate(names):
        files = secrets[number] if number < len(secrets) else {}
        try:
            users[number] = parse_user_secret(files, number, name, namespace)
        except SecretInvalid as error:
            field = f"auth.userSecrets[{number}]"
            problems.append(Problem(field=field, text=str(error), reason=SECRET_INVALID))
    return ReadUsers(users, tuple(problems))


def parse_user_secret(files: Mapping[str, bytes], number: int, name: str, namespace: str) -> tuple[User, ...]:
    """Users of one Secret: username|user + password[, verifier], or userlist.txt. Raises SecretInvalid."""
    if not files:
        raise SecretInvalid(f"no Secret {name} in {namespace}")
    if USERLIST_KEY in files:
        return _parse_userlist(files[USERLIST_KEY], number, name)
    user = _value(files, "username") or _value(files, "user")
    if not user:
        raise SecretInvalid(f"Secret {name} has no key username (or user, or {USERLIST_KEY})")
    password, verifier = _value(files, "password"), _value(files, "verifier")
    if not password and not verifier:
        raise SecretInvalid(f"Secret {name} has no key password")
    return (_user(user, password, verifier, number, name),)


def parse_monitor_secret(files: Mapping[str, bytes], name: str, namespace: str) -> User:
    """The one user of the monitor's Secret; the agent itself logs in with it. Raises SecretInvalid."""
    users = parse_user_secret(files, 0, name, namespace)
    if len(users) > 1:
        raise SecretInvalid(f"Secret {name}: {USERLIST_KEY} names {len(users)} users, the monitor is one")
    if not users[0].password:
        raise SecretInvalid(
            f"Secret {name} has no clear password, and the pods log in as the monitor with it"
        )
    if any(quote in users[0].name for quote in "\"'"):
        raise SecretInvalid(f"Secret {name}: the monitor {users[0].name!r} has a quote in its name")
    return users[0]


def _parse_userlist(content: bytes, number: int, name: str) -> tuple[User, ...]:
    users = []
    for row, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        fields = _quoted_fields(line)
        if len(fields) != 2:
            raise SecretInvalid(f'Secret {name}: {USERLIST_KEY} line {row} is not "user" "password"')
        users.append(_user(fields[0], fields[1], "", number, name))
    if not users:
        raise SecretInvalid(f"Secret {name}: {USERLIST_KEY} names no user")
    return tuple(users)


def _quoted_fields(line: str) -> list[str]:
    """The fields of PgBouncer's userlist format: in double quotes, a quote doubled."""
    fields: list[str] = []
    rest = line.strip()
    while rest.startswith('"'):
        end = 1
        while (end := rest.find('"', end)) != -1 and rest[end + 1 : end + 2] == '"':
            end += 2
        if end == -1:
            return []
        fields.append(rest[1:end].replace('""', '"'))
        rest = rest[end + 1 :].lstrip()
    return [] if rest else fields


def _user(name: str, password: str, verifier: str, number: int, secret: str) -> User:
    if any(character in text for text in (name, password, verifier) for character in "\n\r\0"):
        raise SecretInvalid(f"Secret {secret}: user {name!r} has a line break in its name or password")
    if password.startswith(_SCRAM_PREFIX) or _is_md5(password):
        return User(name, "", verifier or password, number)
    return User(name, password, verifier, number)


def _is_md5(text: str) -> bool:
    return text.startswith("md5") and len(text) == 35 and all(c in "0123456789abcdef" for c in text[3:])


def _value(files: Mapping[str, bytes], key: str) -> str:
    return files.get(key, b"").decode(errors="replace").rstrip("\r\n")


def tls_problems(
    config: PoolConfig, client: Mapping[str, bytes], server: Mapping[str, bytes]
) -> tuple[Problem, ...]:
    """What is missing in the mounted certificates."""
    problems = []
    if config.client_tls is not None:
        needed = (*_CLIENT_TLS_KEYS, "ca.crt") if config.client_tls.mode in _VERIFYING else _CLIENT_TLS_KEYS
        problems += _missing("tls.client.secretName", needed, client)
    verifies = config.server_tls.mode in (ServerTlsMode.VERIFY_CA, ServerTlsMode.VERIFY_FULL)
    if config.server_tls.has_secret and verifies:
        problems += _missing("tls.server.secretName", ("ca.crt",), server)
    return tuple(problems)


def _missing(field: str, needed: Sequence[str], files: Mapping[str, bytes]) -> list[Problem]:
    if not files:
        return [Problem(field=field, text="no such Secret, or it is empty", reason="CertificateInvalid")]
    return [
        Problem(field=field, text=f"the Secret has no key {key}", reason="CertificateInvalid")
        for key in needed
        if not files.get(key)
    ]


def secrets_version(mounts: Sequence[Mapping[str, bytes]]) -> str:
    """A hash over all mounted Secrets: equal on all pods once all have seen the newest."""
    digest = hashlib.sha256()
    for number, files in enumerate(mounts):
        for name in sorted(files):
            for part in (str(number).encode(), name.encode(), files[name]):
                digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
