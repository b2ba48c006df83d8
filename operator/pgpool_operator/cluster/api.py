"""Requests to the API server. Every write of the operator goes through here."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from itertools import chain, repeat
from typing import Any, TypeVar

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError

from .forever import EndedError
from .kinds import EVENT, POD, Kind, of

log = structlog.get_logger()

Object = dict[str, Any]
T = TypeVar("T")

FIELD_MANAGER = "pgpool-operator"
REQUEST_SECONDS = 30.0
"""No request of ours takes this long on a healthy API server."""


class Patience:
    """The pauses between tries of what must succeed some day, in seconds. They do not end.

    What is given up after some time is down for longer than the API server: a kubelet lets the operator wait
    before it starts it again.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1.0, 2.0, 4.0), repeat(5.0))


_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_PAGE = 500


class ApiError(Exception):
    """The API server refused a request: its HTTP status and its own words. Status 0: it gave no answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text

    @property
    def conflict(self) -> bool:
        """Somebody else wrote first: observe again and decide anew."""
        return self.status == 409

    @property
    def not_found(self) -> bool:
        """The object, or its namespace, is gone."""
        return self.status == 404

    @property
    def outdated(self) -> bool:
        """The object is not what it was when it was observed."""
        return self.conflict or self.not_found

    @property
    def forbidden(self) -> bool:
        """The operator's role does not allow it."""
        return self.status == 403

    @property
    def may_pass(self) -> bool:
        """The API server is not up to it now: the same request may succeed later."""
        return self.status in (0, 429) or self.status >= 500

    @property
    def invalid(self) -> bool:
        """What was asked for is not acceptable: the same request fails again."""
        return self.status in (400, 422)


async def patiently(what: str, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask until there is an answer, however long that takes. Raises EndedError if it is a refusal."""
    for seconds in Patience():
        try:
            return await request()
        except ApiError as error:
            if not error.may_pass:
                raise EndedError(f"cannot {what}: {error}") from error
            log.warning("ask again", what=what, seconds=seconds, error=str(error))
        await asyncio.sleep(seconds)
    raise AssertionError("patience has no end")


class Api:
    """A thin client that speaks dictionaries: list, get, apply, patch, replace, delete."""

    def __init__(self, client: ApiClient) -> None:
        self._dynamic = DynamicClient(client)  # type: ignore[no-untyped-call]

    async def _request(self, method: str, path: str, **params: Any) -> Object:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._dynamic.request(method, path, serialize=False, **params)
                body: Object = await response.json()
        except DynamicApiError as error:
            raise ApiError(int(error.status), _words(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(0, f"no answer from the API server: {error!r}") from error
        return body

    async def list(
        self, kind: Kind, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Object], str]:
        """All objects of a kind in one namespace (None: in all), and the list's resourceVersion."""
        items: list[Object] = []
        token: str | None = None
        while True:
            page = await self._request(
                "get", kind.path(namespace), limit=_PAGE, _continue=token, label_selector=selector
            )
            items += [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in page["items"]]
            token = page["metadata"].get("continue")
            if not token:
                return items, str(page["metadata"]["resourceVersion"])

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """One object, or None where there is none."""
        try:
            return await self._request("get", kind.path(namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def apply(self, manifest: Object) -> Object:
        """Server-side apply; fields of ours that others changed become ours again."""
        kind, meta = of(manifest), manifest["metadata"]
        return await self._request(
            "patch",
            kind.path(meta.get("namespace"), meta["name"]),
            body=manifest,
            content_type=_APPLY_PATCH,
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )

    async def annotate(self, pod: Object, annotations: Mapping[str, str]) -> Object:
        """Set annotations on exactly the pod that was observed: refused (409) if it changed since.

        The preconditions are what stops a deposed leader's late write.
        """
        meta = pod["metadata"]
        body = {
            "metadata": {
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
                "annotations": dict(annotations),
            }
        }
        return await self._request(
            "patch",
            POD.path(meta["namespace"], meta["name"]),
            body=body,
            content_type=_MERGE_PATCH,
            field_manager=FIELD_MANAGER,
        )

    async def replace_status(self, kind: Kind, live: Object, status: Object) -> Object:
        """Compare-and-swap of the status: refused (409) unless `live` is the newest version."""
        meta = live["metadata"]
        return await self._request(
            "put",
            kind.path(meta["namespace"], meta["name"], "status"),
            body={**live, "status": status},
            field_manager=FIELD_MANAGER,
        )

    async def delete(self, kind: Kind, live: Object) -> None:
        """Delete exactly the object that was observed; one that is gone already is fine."""
        meta = live["metadata"]
        preconditions = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        try:
            await self._request("delete", kind.path(meta["namespace"], meta["name"]), body=body)
        except ApiError as error:
            if not error.not_found:
                raise

    async def create_event(self, event: Object) -> None:
        """Post one core/v1 Event."""
        await self._request("post", EVENT.path(event["metadata"]["namespace"]), body=event)


def _words(error: DynamicApiError) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
