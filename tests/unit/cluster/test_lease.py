"""Leadership: what happens to the Lease when its holder stops."""

import asyncio
import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1LeaseSpec, V1ObjectMeta

from pgpool_operator.cluster.lease import lead

LIBRARY_API = "kubernetes.aio.leaderelection.resourcelock.leaselock.client.CoordinationV1Api"


class FakeLeases:
    """One Lease; a write to an older version than the newest is refused."""

    def __init__(self) -> None:
        self._version = 1
        self._spec = V1LeaseSpec()

    @property
    def holder(self) -> str | None:
        return self._spec.holder_identity

    def hold(self, holder: str) -> None:
        now = datetime.now(UTC)
        self._spec = V1LeaseSpec(
            holder_identity=holder, lease_duration_seconds=15, acquire_time=now, renew_time=now
        )

    async def read_namespaced_lease(self, name: str, namespace: str) -> V1Lease:
        del namespace
        metadata = V1ObjectMeta(name=name, resource_version=str(self._version))
        return V1Lease(metadata=metadata, spec=copy.deepcopy(self._spec))

    async def replace_namespaced_lease(self, name: str, namespace: str, body: V1Lease) -> V1Lease:
        assert body.metadata is not None
        assert body.spec is not None
        if body.metadata.resource_version != str(self._version):
            raise ApiException(status=409)
        self._spec, self._version = copy.deepcopy(body.spec), self._version + 1
        return await self.read_namespaced_lease(name, namespace)


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> FakeLeases:
    fake = FakeLeases()

    def api(api_client: Any) -> FakeLeases:
        del api_client
        return fake

    monkeypatch.setattr(LIBRARY_API, api)
    return fake


async def test_a_leader_that_stops_ends_its_work_and_then_gives_the_lease_back(leases: FakeLeases) -> None:
    working, held_at_the_end = asyncio.Event(), []

    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            held_at_the_end.append(leases.holder)

    async with ApiClient() as client:
        leading = asyncio.create_task(lead(client, "system", "me", work))
        await working.wait()
        leading.cancel()
        await asyncio.wait((leading,))
    assert held_at_the_end == ["me"]
    assert leases.holder is None


async def test_a_replica_that_stops_does_not_take_the_lease_from_its_holder(leases: FakeLeases) -> None:
    leases.hold("other")

    async def work() -> None:
        raise AssertionError("it does not lead")

    async with ApiClient() as client:
        following = asyncio.create_task(lead(client, "system", "me", work))
        await asyncio.sleep(0)
        following.cancel()
        await asyncio.wait((following,))
    assert leases.holder == "other"
