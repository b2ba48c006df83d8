"""The Deployment of an endpoint's pods.

The pod template changes only for what a running pod cannot take over: the image, what is mounted, the pod's
own settings, and drainSeconds. Parameters, timeouts, passwords, certificates, peers and grants reach it as it
runs.
"""

from pgpool_pooler.contract import CONFIG_HASH_ANNOTATION, GRANT_ANNOTATION, Endpoint

from ..api import PgPool
from ..api.base import ApiModel
from .common import EndpointPlan, Manifest, child, endpoint_name, foreign, labels, selector

CONTAINER = "pooler"
POSTGRES_PORT = 5432
HTTP_PORT = 9127

_USER = 65532
"""uid and gid of the image's user; fsGroup lets it read the mounted Secrets."""

_STOP_MARGIN_SECONDS = 30
"""Beyond drainSeconds, for the agent's last report. Where the network to the server is cut, for the 20 s after
which that ends what it hears nothing of: with the pod go the sockets that tell whether it knows."""

_PROGRESS_SECONDS = 600
"""Kubernetes' own default; a rollout pod may first have to wait until an old one has drained."""

_SECRET_MODE = 0o440
_TLS_CLIENT_KEYS = ("tls.crt", "tls.key", "ca.crt")
_TLS_SERVER_KEYS = ("ca.crt", "tls.crt", "tls.key")


def deployment(pool: PgPool, endpoint: Endpoint, plan: EndpointPlan, image: str) -> Manifest:
    """`<pool>-rw` or `<pool>-ro`; `image` is the agent's, unless the pool names its own."""
    content = {
        "spec": {
            "replicas": plan.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": _PROGRESS_SECONDS + pool.spec.timeouts.drain_seconds,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": plan.max_surge, "maxUnavailable": plan.max_unavailable},
            },
            "selector": {"matchLabels": selector(pool.metadata.name, endpoint)},
            "template": _template(pool, endpoint, image),
        }
    }
    name = endpoint_name(pool.metadata.name, endpoint)
    return child(pool, "apps/v1", "Deployment", name, content, endpoint=endpoint)


def _template(pool: PgPool, endpoint: Endpoint, image: str) -> Manifest:
    pods = pool.spec.pods
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "metadata": {
            "labels": foreign(dict(pods.labels)) | labels(pool.metadata.name, endpoint),
            "annotations": scraped | foreign(dict(pods.annotations)),
        },
        "spec": _pod(pool, endpoint, image),
    }


def _pod(pool: PgPool, endpoint: Endpoint, image: str) -> Manifest:
    pods = pool.spec.pods
    spec: Manifest = {
        "serviceAccountName": pool.metadata.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pool.spec.timeouts.drain_seconds + _STOP_MARGIN_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(pool, endpoint, image)],
        "volumes": _volumes(pool),
        "topologySpreadConstraints": _spread(pool, endpoint),
    }
    chosen = {
        "imagePullSecrets": [{"name": secret.name} for secret in pods.image_pull_secrets],
        "nodeSelector": pods.node_selector,
        "affinity": pods.affinity,
        "tolerations": [_plain(toleration) for toleration in pods.tolerations],
        "priorityClassName": pods.priority_class_name,
    }
    return spec | {field: value for field, value in chosen.items() if value}


def _container(pool: PgPool, endpoint: Endpoint, image: str) -> Manifest:
    return {
        "name": CONTAINER,
        "image": pool.spec.pods.image or image,
        "env": [
            _field_env("POD_UID", "metadata.uid"),
            _field_env("POD_NAME", "metadata.name"),
            _field_env("POD_NAMESPACE", "metadata.namespace"),
            {"name": "ENDPOINT", "value": endpoint.value},
            {"name": "DRAIN_SECONDS", "value": str(pool.spec.timeouts.drain_seconds)},
        ],
        "ports": [
            {"name": "postgres", "containerPort": POSTGRES_PORT, "protocol": "TCP"},
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz", period=1, timeout=1, failures=2),
        "livenessProbe": _probe("/livez", period=10, timeout=5, failures=6),
        "resources": _plain(pool.spec.pods.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(pool),
    }


def _mounts(pool: PgPool) -> list[Manifest]:
    writable = [
        {"name": "state", "mountPath": "/var/lib/pgpool"},
        {"name": "run", "mountPath": "/run/pgpool"},
    ]
    read_only = {"pod": "/etc/pgpool/pod", "config": "/etc/pgpool/config"}
    for number in range(len(pool.spec.auth.user_secrets)):
        read_only[f"users-{number}"] = f"/etc/pgpool/users/{number}"
    if pool.spec.auth.monitor:
        read_only["monitor"] = "/etc/pgpool/monitor"
    for side in _tls_secrets(pool):
        read_only[f"tls-{side}"] = f"/etc/pgpool/tls/{side}"
    return writable + [
        {"name": name, "mountPath": path, "readOnly": True} for name, path in read_only.items()
    ]


def _volumes(pool: PgPool) -> list[Manifest]:
    tls = [
        _secret_volume(f"tls-{side}", name, _TLS_CLIENT_KEYS if side == "client" else _TLS_SERVER_KEYS)
        for side, name in _tls_secrets(pool).items()
    ]
    users = [
        _secret_volume(f"users-{number}", secret.name)
        for number, secret in enumerate(pool.spec.auth.user_secrets)
    ]
    monitor = pool.spec.auth.monitor
    monitors = [_secret_volume("monitor", monitor.secret_ref.name)] if monitor else []
    return [
        {"name": "state", "emptyDir": {}},
        {"name": "run", "emptyDir": {"medium": "Memory"}},
        {
            "name": "pod",
            "downwardAPI": {
                "items": [
                    _annotation_file("grant", GRANT_ANNOTATION),
                    _annotation_file("config-hash", CONFIG_HASH_ANNOTATION),
                ]
            },
        },
        {"name": "config", "configMap": {"name": pool.metadata.name}},
        *users,
        *monitors,
        *tls,
    ]


def _tls_secrets(pool: PgPool) -> dict[str, str]:
    """The Secrets of spec.tls by side: client, server."""
    tls = pool.spec.tls
    names = {
        "client": tls.client.secret_name if tls.client else None,
        "server": tls.server.secret_name if tls.server else None,
    }
    return {side: name for side, name in names.items() if name}


def _secret_volume(volume: str, secret: str, keys: tuple[str, ...] = ()) -> Manifest:
    """Optional, keys included: a pod whose Secret is missing starts, and its agent says what is missing."""
    source: Manifest = {"secretName": secret, "optional": True, "defaultMode": _SECRET_MODE}
    if keys:
        source["items"] = [{"key": key, "path": key} for key in keys]
    return {"name": volume, "secret": source}


def _annotation_file(path: str, annotation: str) -> Manifest:
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}


def _field_env(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _spread(pool: PgPool, endpoint: Endpoint) -> list[Manifest]:
    """As the user says, else over nodes and zones, which never keeps a pod from starting."""
    own = {"matchLabels": selector(pool.metadata.name, endpoint)}
    chosen = [_plain(constraint) for constraint in pool.spec.pods.topology_spread_constraints]
    if chosen:
        return [{"labelSelector": own} | constraint for constraint in chosen]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": own,
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def _plain(model: ApiModel) -> Manifest:
    """A part of the spec whose type is Kubernetes' own, as it was written."""
    return model.model_dump(mode="json", exclude_none=True)
