"""Which grant counts: rule R5, generations never go back."""

from dataclasses import dataclass

from pydantic import ValidationError

from pgpool_pooler.contract import CONTRACT_VERSION, Grant
from pgpool_pooler.errors import first_error


@dataclass(frozen=True)
class Accepted:
    """A grant that is newer than what the pod has; it has to be persisted before it is applied."""

    grant: Grant


@dataclass(frozen=True)
class Unchanged:
    """What the pod has already, or nothing yet."""


@dataclass(frozen=True)
class Refused:
    """The pod keeps what it has; `why` is for a person."""

    why: str


Verdict = Accepted | Unchanged | Refused


def judge(text: str, held: Grant | None, uid: str) -> Verdict:
    """Decide about the text of the grant file, given the grant that this pod (`uid`) has persisted.

    An empty file is no revocation: the annotation may have been removed by hand, and the ledger still counts
    what the pod holds. Only a newer generation takes something away.
    """
    if not text.strip():
        return Unchanged() if held is None else Refused("the grant is gone; the pod keeps the one it has")
    try:
        offered = Grant.model_validate_json(text)
    except ValidationError as error:
        return Refused(f"not a grant: {first_error(error)}")
    if offered.version > CONTRACT_VERSION:
        return Refused(
            f"contract version {offered.version}, but this pod's image speaks {CONTRACT_VERSION}: "
            "use a newer pooler image"
        )
    if offered.uid != uid:
        return Refused(f"made for pod {offered.uid}, this is {uid}")
    return _against_held(offered, held)


def may_have_been_followed(first: Grant) -> bool:
    """Whether the first grant that the agent remembers is perhaps not the pod's first: its memory was lost.

    A new pod is granted generation 1, and nothing more before it has acknowledged that or somebody else needs it.
    """
    return first.generation > 1


def takes_away(new: Grant, held: Grant) -> bool:
    """Whether no server is granted more than before: a pod that runs nothing obeys it already."""
    before = {(server.host, server.port): server.cap for server in held.servers}
    return all(server.cap <= before.get((server.host, server.port), 0) for server in new.servers)


def _against_held(offered: Grant, held: Grant | None) -> Verdict:
    if held is None or offered.generation > held.generation:
        return Accepted(offered)
    if offered.generation < held.generation:
        return Refused(f"generation {offered.generation} is older than {held.generation}, which is in force")
    if offered != held:
        return Refused(f"generation {held.generation} was altered after it was accepted")
    return Unchanged()
