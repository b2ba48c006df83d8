"""Our resources on a real API server, with every field checked."""

from typing import Any, cast

from kubernetes import client

from pgpool_operator.api import crd

Manifest = dict[str, Any]


class Resources:
    """One kind of our resources in one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str, plural: str, kind: str) -> None:
        self._api = client.CustomObjectsApi(api)
        self._where: dict[str, Any] = {
            "group": crd.GROUP,
            "version": crd.VERSION,
            "namespace": namespace,
            "plural": plural,
        }
        self._kind = kind

    def try_to_create(self, manifest: Manifest) -> Manifest:
        """What the object would be; nothing is stored."""
        return self._create(manifest, dry_run="All")

    def create(self, manifest: Manifest) -> Manifest:
        return self._create(manifest)

    def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply, as kubectl and GitOps tools do it."""
        return cast(
            Manifest,
            self._api.patch_namespaced_custom_object(
                name=manifest["metadata"]["name"],
                body=self._body(manifest),
                field_manager="someone",
                force=True,
                _content_type="application/apply-patch+yaml",
                **self._strict,
            ),
        )

    def get(self, name: str) -> Manifest:
        return cast(Manifest, self._api.get_namespaced_custom_object(name=name, **self._where))

    def merge(self, name: str, patch: Manifest) -> Manifest:
        return cast(Manifest, self._api.patch_namespaced_custom_object(name=name, body=patch, **self._strict))

    def merge_status(self, name: str, status: Manifest) -> None:
        self._patch_status(name, status)

    def try_status(self, name: str, status: Manifest) -> Manifest:
        """What the object would be with this status; nothing is stored."""
        return self._patch_status(name, status, dry_run="All")

    def try_columns(self, name: str, status: Manifest) -> Manifest:
        """What `kubectl get -o wide` would show with this status: column -> value."""
        as_table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        table = self._patch_status(name, status, dry_run="All", _headers=as_table)
        (row,) = table["rows"]
        return dict(zip((column["name"] for column in table["columnDefinitions"]), row["cells"], strict=True))

    def get_scale(self, name: str) -> Manifest:
        return cast(Manifest, self._api.get_namespaced_custom_object_scale(name=name, **self._where))

    def scale(self, name: str, replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        self._api.patch_namespaced_custom_object_scale(name=name, body=body, **self._where)

    def replace_scale(self, name: str, replicas: int) -> None:
        """As an HPA does it: the whole scale as it was read, with another number."""
        body = {**self.get_scale(name), "spec": {"replicas": replicas}}
        self._api.replace_namespaced_custom_object_scale(name=name, body=body, **self._where)

    def delete(self, name: str) -> None:
        self._api.delete_namespaced_custom_object(name=name, **self._where)

    @property
    def _strict(self) -> Manifest:
        return {**self._where, "field_validation": "Strict"}

    def _create(self, manifest: Manifest, **options: Any) -> Manifest:
        body = self._body(manifest)
        return cast(Manifest, self._api.create_namespaced_custom_object(body=body, **self._strict, **options))

    def _patch_status(self, name: str, status: Manifest, **options: Any) -> Manifest:
        patch = self._api.patch_namespaced_custom_object_status
        return cast(Manifest, patch(name=name, body={"status": status}, **self._strict, **options))

    def _body(self, manifest: Manifest) -> Manifest:
        return {"apiVersion": f"{crd.GROUP}/{crd.VERSION}", "kind": self._kind, **manifest}
