"""The grant: the servers that one pod may connect to, and with how many connections."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from ._wire import Wire

CONTRACT_VERSION = 1
"""Raised when an older reader would misunderstand a message."""


class Mode(StrEnum):
    """What the pod does with its clients."""

    SERVE = "serve"
    PAUSE = "pause"


class ServerGrant(Wire):
    """One server: `cap` bounds the pod's connections to it, `shares` divides the cap over the databases."""

    host: str = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)]
    cap: Annotated[int, Field(ge=0)]
    shares: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shares_fit_the_cap(self) -> Self:
        total = sum(self.shares.values())
        if total > self.cap:
            raise ValueError(f"shares sum to {total}, above the cap {self.cap}")
        return self


class Grant(Wire):
    """What one pod (`uid`) may do. A higher `generation` replaces a lower one, never the other way round.

    Two grants of one generation are equal, or one of them was tampered with.
    """

    version: int = CONTRACT_VERSION
    uid: str = Field(min_length=1)
    generation: Annotated[int, Field(ge=1)]
    servers: tuple[ServerGrant, ...] = Field(min_length=1)
    mode: Mode = Mode.SERVE
    peer_id: Annotated[int, Field(ge=1, le=16383)]
    """PgBouncer's peer_id, unique in the pool; its range is what fits in a cancel key."""
