"""What all the models of the API share: their base, quantities, names and CEL rules."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from .quantity import format_cpu, parse_cpu


class ApiModel(BaseModel):
    """A part of a resource: camelCase in JSON, immutable, unknown fields ignored (a newer CRD may have them).

    Docstrings below the fields become the CRD's descriptions.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for the API server to check, each with the message for a user who breaks it."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def map_by(*keys: str) -> dict[str, Any]:
    """A list with keys: duplicates are refused, and appliers may own single entries."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""A list of values that do not repeat."""


Cpu = Annotated[
    Decimal,
    BeforeValidator(parse_cpu),
    PlainSerializer(format_cpu, return_type=str),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": r"^[0-9]{1,6}(\.[0-9]{1,9})?m?$",
            "maxLength": 17,
            **rules(
                (
                    "type(self) == int ? self > 0 : "
                    "!isQuantity(self) || quantity(self).isGreaterThan(quantity('0'))",
                    'a number of CPUs above 0 is needed, such as 16, "1.5" or 500m',
                )
            ),
        }
    ),
]
"""A number of CPUs above 0: 16, "1.5" or 500m."""

_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
Quantity = Annotated[
    str,
    BeforeValidator(str),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY}),
]
"""Any Kubernetes quantity, as written (the pattern is the one of core/v1 types in CRDs)."""

Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=1, le=100)]

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of an object in the same namespace."""

HostName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$")
]
"""A host name or an IP address (IPv6 without brackets)."""

PostgresName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.$@+-]*$")]
"""The name of a database or user. No "*", quotes or blanks: it goes into pgbouncer.ini and its console."""
