"""Which server each pod of a pool connects to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pgpool_pooler.contract import Endpoint

from ..api import ServerRole
from .model import Server

TargetSessionAttrs = Literal["prefer-standby", "standby", "any"]
"""libpq's target_session_attrs, as spec.read.targetSessionAttrs has it."""


def assign(
    pods: Mapping[str, Endpoint],
    servers: Sequence[Server],
    current: Mapping[str, str],
    read_from: TargetSessionAttrs = "prefer-standby",
) -> dict[str, str]:
    """Server name by pod uid, from the pods' endpoints and the servers they have now.

    Write pods go to the primary. Read pods are spread evenly over the servers that `read_from` allows, and as
    few of them move as that takes. While there is no server for a pod it keeps the one it has, except a read
    pod whose server may no longer be read from; pods that are not in the result have none.
    """
    primary = [server.name for server in servers if server.role is ServerRole.PRIMARY]
    write = sorted(uid for uid, endpoint in pods.items() if endpoint is Endpoint.WRITE)
    read = sorted(uid for uid, endpoint in pods.items() if endpoint is Endpoint.READ)
    readable = _readable(servers, read_from)
    kept = {uid: current[uid] for uid in write if uid in current}
    placed = dict.fromkeys(write, primary[0]) if primary else kept
    if readable:
        return placed | _spread(read, readable, current)
    known = {server.name for server in servers}
    return placed | {uid: current[uid] for uid in read if uid in current and current[uid] not in known}


def _readable(servers: Sequence[Server], read_from: TargetSessionAttrs) -> list[str]:
    replicas = sorted(server.name for server in servers if server.role is ServerRole.REPLICA)
    everyone = sorted(server.name for server in servers)
    if read_from == "any":
        return everyone
    return replicas or (everyone if read_from == "prefer-standby" else [])


def _spread(pods: Sequence[str], names: Sequence[str], current: Mapping[str, str]) -> dict[str, str]:
    """Every name gets `pods / names` pods, rounded up for those that have the most now."""
    present = Counter(current[uid] for uid in pods if current.get(uid) in names)
    share, extra = divmod(len(pods), len(names))
    fullest = sorted(names, key=lambda name: (-present[name], name))
    room = {name: share + (rank < extra) for rank, name in enumerate(fullest)}
    placed: dict[str, str] = {}
    for uid in pods:
        name = current.get(uid)
        if name is not None and room.get(name, 0) > 0:
            placed[uid] = name
            room[name] -= 1
    free = [name for name in names for _ in range(room[name])]
    homeless = [uid for uid in pods if uid not in placed]
    return placed | dict(zip(homeless, free, strict=True))
