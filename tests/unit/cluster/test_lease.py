"""Leadership: what happens to the Lease when its holder stops."""

import asyncio
import copy
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1LeaseSpec, V1ObjectMeta

from pgpool_operator.cluster.forever import EndedError
from pgpool_operator.cluster.lease import RENEW_DEADLINE_SECONDS, lead

LIBRARY = "kubernetes.aio.leaderelection"
LIBRARY_API = f"{LIBRARY}.resourcelock.leaselock.client.CoordinationV1Api"


class FakeLeases:
    """One Lease; a write to an older version than the newest is refused."""

    def __init__(self) -> None:
        self._version = 1
        self._spec = V1LeaseSpec()
        self.refusals = 0
        """How many of the next writes are refused, whatever they are based on."""

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
        refused, self.refusals = self.refusals > 0, max(0, self.refusals - 1)
        if refused or body.metadata.resource_version != str(self._version):
            raise ApiException(status=409, reason="Conflict")
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


class Time:
    """Passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self._sleep = asyncio.sleep

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await self._sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(f"{LIBRARY}.leaderelection.time", clock)
    monkeypatch.setattr("asyncio.sleep", clock.sleep)
    return clock


async def test_a_leader_that_loses_its_lease_ends_its_work_and_says_so(
    leases: FakeLeases, clock: Time
) -> None:
    ended: list[float] = []

    async def work() -> None:
        leases.hold("other")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(clock.now)

    before = clock.now
    async with ApiClient() as client:
        with pytest.raises(EndedError, match="the Lease system/pgpool-operator is lost"):
            await lead(client, "system", "me", work)
    [at] = ended
    assert RENEW_DEADLINE_SECONDS <= at - before < 15
    assert leases.holder == "other"


async def ends() -> None:
    """Work that should never end."""


async def fails() -> None:
    raise ValueError("broken")


async def is_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("work", "error"), [(ends, EndedError), (fails, ValueError), (is_cancelled, EndedError)]
)
@pytest.mark.usefixtures("clock")
async def test_nobody_leads_without_working(leases: FakeLeases, work: Any, error: type[Exception]) -> None:
    async with ApiClient() as client:
        with pytest.raises(error):
            await lead(client, "system", "me", work)
    assert leases.holder is None


@pytest.mark.usefixtures("clock")
async def test_a_refused_write_is_tried_again_and_leaves_one_line_without_a_traceback(
    leases: FakeLeases, caplog: pytest.LogCaptureFixture
) -> None:
    leases.refusals = 2
    with structlog.testing.capture_logs() as logs:
        async with ApiClient() as client:
            with pytest.raises(EndedError):
                await lead(client, "system", "me", ends)
    assert [(entry["log_level"], entry["error"]) for entry in logs] == [("warning", "409: Conflict")] * 2
    assert not any(record.exc_info or "failed" in record.message for record in caplog.records)
