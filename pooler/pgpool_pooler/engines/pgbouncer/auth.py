"""PgBouncer's auth_file, from the users of the pool."""

from collections.abc import Iterable

from pgpool_pooler.contract import Endpoint, PoolConfig
from pgpool_pooler.engines.base import Material, User


def userlist(material: Material, lockout: str) -> str:
    """The auth_file. Who may not log in here keeps a line, with a password that nobody knows.

    Deleting a line does not revoke a SCRAM login that PgBouncer has cached (seen in 1.26.1); overwriting does.

    Args:
        material: of the pod.
        lockout: a random text that is known to nobody else.

    """
    allowed = {user.name: user for user in (*allowed_users(material), *_monitor(material))}
    refused = ({user.name for user in material.logins} | material.revoked) - set(allowed)
    lines = [_line(user.name, user.password or user.verifier) for user in allowed.values()]
    lines += [_line(name, lockout) for name in sorted(refused)]
    return "".join(lines)


def allowed_users(material: Material) -> tuple[User, ...]:
    """Users that may use this endpoint; of two Secrets with one user the first counts."""
    barred = _barred(material.config, material.endpoint)
    allowed: dict[str, User] = {}
    for user in material.users:
        if user.name not in barred:
            allowed.setdefault(user.name, user)
    return tuple(allowed.values())


def _monitor(material: Material) -> tuple[User, ...]:
    """The monitor, unless it is one of the pool's users, which their rules may bar."""
    monitor = material.monitor
    known = {user.name for user in material.users}
    return (monitor,) if monitor is not None and monitor.name not in known else ()


def _barred(config: PoolConfig, endpoint: Endpoint) -> frozenset[str]:
    return frozenset(rule.name for rule in config.users if endpoint not in rule.endpoints)


def _line(*fields: str) -> str:
    return " ".join(_quote(fields)) + "\n"


def _quote(fields: Iterable[str]) -> Iterable[str]:
    return ('"' + text.replace('"', '""') + '"' for text in fields)
