"""Names of ledgers for servers that this Kubernetes does not run."""

import hashlib
import re

MAX_LENGTH = 63
"""What a label's value may hold, so that a ledger's name can be one."""

Address = tuple[str, int]
"""Host and port, spelled in one way."""

_NOT_ALLOWED = re.compile(r"[^a-z0-9.-]+")
_LABEL_EDGES = re.compile(r"-*\.+-*")


def address_of(host: str, port: int) -> Address:
    """Where a server is, however the host was written: host names know no case and may end with a dot."""
    return host.lower().rstrip("."), port


def ledger_name(host: str, port: int) -> str:
    """`<host>-<port>` as an object's name; a hash keeps names apart that had to be changed or cut."""
    server = "{}-{}".format(*address_of(host, port))
    name = _LABEL_EDGES.sub(".", _NOT_ALLOWED.sub("-", server)).strip("-.")
    if name == server and len(name) <= MAX_LENGTH:
        return name
    digest = hashlib.sha256(server.encode()).hexdigest()[:8]
    return f"{name[: MAX_LENGTH - len(digest) - 1].rstrip('-.')}-{digest}"
