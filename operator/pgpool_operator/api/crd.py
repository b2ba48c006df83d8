"""The CustomResourceDefinitions, made from the models."""

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from .pgbudget import PgBudget, PgBudgetSpec, PgBudgetStatus
from .pgpool import PgPool, PgPoolSpec
from .pgpool_status import PgPoolStatus
from .schema import structural_schema

GROUP = "pgpool.dev"
VERSION = "v1alpha1"
PGPOOLS = "pgpools"
PGBUDGETS = "pgbudgets"
KUSTOMIZATION = "kustomization.yaml"

_HEADER = "# Made by `pgpool-operator crds` from operator/pgpool_operator/api: change the models there.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; wide ones only with -o wide."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""

    def manifest(self) -> dict[str, Any]:
        """As a CRD spells it."""
        column = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            column["description"] = self.description
        return column | ({"priority": 1} if self.wide else {})


def _ready(part: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{part}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

_PGPOOL_COLUMNS = (
    Column("Ready", _ready("status"), description="Whether the current spec serves clients"),
    Column("Reason", _ready("reason"), description="Why"),
    Column("Write", ".status.summary.write", description="Ready and desired pods to the primary"),
    Column("Read", ".status.summary.read", description="Ready and desired pods to the replicas"),
    Column("Budget", ".status.summary.budget", description="Reserved by this pool / budget, on the primary"),
    Column("Endpoint", ".status.summary.endpoint", description="Where clients connect"),
    _AGE,
    Column("Mode", ".spec.poolMode", wide=True, description="When a backend goes back to the pool"),
    Column("Message", _ready("message"), wide=True, description="Why, in a sentence"),
)

_PGBUDGET_COLUMNS = (
    Column("Role", ".status.role", description="primary or replica"),
    Column("CPU", ".status.cpu", description="The server's CPUs"),
    Column("Source", ".status.cpuSource", description="Where the number of CPUs is from"),
    Column("Budget", ".status.connections", "integer", description="What all grants together may reserve"),
    Column("Reserved", ".status.reserved", "integer", description="What all grants together reserve"),
    Column("Unknown", ".status.unknown", "integer", description="The part that silent pods hold"),
    Column("Ready", _ready("status"), description="Whether the budget is in use"),
    Column("Reason", _ready("reason"), description="Why"),
    _AGE,
    Column("Address", ".status.address", wide=True, description="Host and port that pods connect to"),
    Column("Message", _ready("message"), wide=True, description="Why, in a sentence"),
)

_PGPOOL_METADATA = {
    "type": "object",
    "properties": {
        "name": {
            "type": "string",
            "maxLength": 50,
            "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$",
        }
    },
}
"""A PgPool's name becomes the Services <name>-rw and <name>-ro."""

_PGPOOL_SCALE = {
    "specReplicasPath": ".spec.write.replicas",
    "statusReplicasPath": ".status.write.replicas",
    "labelSelectorPath": ".status.write.selector",
}


def pgpool_crd() -> dict[str, Any]:
    """The CRD of PgPool."""
    schema = _object_schema(PgPool.__doc__ or "", PgPoolSpec, PgPoolStatus)
    schema["properties"]["metadata"] = _PGPOOL_METADATA
    return _crd("PgPool", PGPOOLS, ["pgp"], schema, _PGPOOL_COLUMNS, {"scale": _PGPOOL_SCALE})


def pgbudget_crd() -> dict[str, Any]:
    """The CRD of PgBudget."""
    schema = _object_schema(PgBudget.__doc__ or "", PgBudgetSpec, PgBudgetStatus)
    return _crd("PgBudget", PGBUDGETS, ["pgb"], schema, _PGBUDGET_COLUMNS, {})


def render() -> dict[str, str]:
    """File name -> YAML: both CRDs, and a kustomization over them."""
    manifests = {f"{GROUP}_{PGPOOLS}.yaml": pgpool_crd(), f"{GROUP}_{PGBUDGETS}.yaml": pgbudget_crd()}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(manifests),
    }
    return {name: _yaml(manifest) for name, manifest in {**manifests, KUSTOMIZATION: kustomization}.items()}


def _crd(
    kind: str,
    plural: str,
    short_names: list[str],
    schema: dict[str, Any],
    columns: tuple[Column, ...],
    subresources: dict[str, Any],
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short_names,
                "categories": ["poolers"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}, **subresources},
                    "additionalPrinterColumns": [column.manifest() for column in columns],
                }
            ],
        },
    }


def _object_schema(description: str, spec: type[BaseModel], status: type[BaseModel]) -> dict[str, Any]:
    status_schema = structural_schema(status) | {"default": {"observedGeneration": -1}}
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of this schema."},
            "kind": {"type": "string", "description": "The kind of object."},
            "metadata": {"type": "object"},
            "spec": structural_schema(spec),
            "status": status_schema,
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out in full: a manifest is for people, who do not follow YAML's anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the name is PyYAML's)
        return True


def _yaml(manifest: dict[str, Any]) -> str:
    return _HEADER + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
