"""Leadership by a coordination Lease: one replica writes, the others keep their caches warm."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

log = structlog.get_logger()

LEASE_NAME = "pgpool-operator"
LEASE_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
RETRY_SECONDS = 2.0
"""The values of client-go's leader election."""

_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class _Lock(LeaseLock):
    """A LeaseLock for which an API server that does not answer is a failed try, not an exception."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(RETRY_SECONDS * 2):
                return await super().get(name, namespace)
        except _UNREACHABLE as error:
            return False, _NoAnswerError(repr(error))

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        try:
            async with asyncio.timeout(RETRY_SECONDS * 2):
                return bool(await super().update(name, namespace, updated_record))
        except _UNREACHABLE:
            return False


class _NoAnswerError(Exception):
    @property
    def reason(self) -> str:
        return str(self)


async def lead(
    client: ApiClient, namespace: str, identity: str, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Wait for the Lease, then run `work` until it is lost. Returns when it was lost: the caller exits."""

    async def lost() -> None:
        log.error("leadership lost", lease=f"{namespace}/{LEASE_NAME}", identity=identity)

    lock = _Lock(LEASE_NAME, namespace, identity, client)
    config = Config(lock, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, work, lost)
    await LeaderElection(config).run()
