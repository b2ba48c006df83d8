"""Which servers answer at a ledger's address, and which ledgers are about one server. Pure.

A server is told by what it says of itself: address, port, and when it started; all three have to agree. What is
known of it may be old: after a restart or a failover, a pod learns who the server is at its next question. Two
things keep that apart from servers that are there side by side: the server's own clock (an answer from before a
start is of what ran before it), and that whoever is still there answers again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LINGER_SECONDS = 150.0
"""One of several servers that nobody has asked for so long is not there any more; pods ask once a minute."""

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Identity:
    """What tells one server from another."""

    address: str
    port: int
    started_at: datetime


@dataclass(frozen=True)
class Sighting:
    """An answer to a pod that has connections to the server, or one that was kept."""

    identity: Identity
    asked_at: datetime = NEVER
    """By the server's clock; NEVER: nobody knows any more."""


def outdated(old: Sighting, new: Sighting) -> bool:
    """What the server said before it started anew: the same place, and nobody heard the old one since."""
    was, now = old.identity, new.identity
    same_place = (was.address, was.port) == (now.address, now.port)
    return same_place and was.started_at < now.started_at and old.asked_at < now.started_at


def may_be_one(one: Sighting, other: Sighting) -> bool:
    """They are one server, or were until it started anew and only one of them has heard so."""
    return one.identity == other.identity or outdated(one, other) or outdated(other, one)


# Several servers at one address


@dataclass(frozen=True)
class Answer:
    """One of several servers at an address."""

    identity: Identity
    first_asked: datetime
    """When it was asked for what was the newest answer as the second one appeared."""
    asked_at: datetime
    heard: float
    """Seconds of the caller's clock, when it was seen to have answered anew."""


@dataclass(frozen=True)
class Answers:
    """The servers at one ledger's address, where there is not just one."""

    servers: tuple[Answer, ...] = ()
    said: bool = False
    """At least two of them are there side by side: each has answered again since the other appeared."""

    @property
    def disputed(self) -> bool:
        """Several have answered; some of that may be left over from before a failover."""
        return len(self.servers) > 1


def as_said(identities: Iterable[Identity], now: float) -> Answers:
    """What an operator that starts goes on with where its predecessor said that there are several servers."""
    return Answers(tuple(Answer(identity, NEVER, NEVER, now) for identity in sorted(identities)), said=True)


def answers(before: Answers, sightings: Iterable[Sighting], now: float) -> Answers:
    """The servers that answer now, from what the pods with connections were told last."""
    current = _fresh(_newest(sightings))
    kept = {
        known.identity: known.asked_at
        for known in before.servers
        if before.said and known.identity not in current and now - known.heard < LINGER_SECONDS
    }
    present = _without_outdated(kept | current)
    if len(present) < 2:
        return Answers()
    known = {answer.identity: answer for answer in before.servers}
    servers = tuple(
        _answer(known.get(identity), Sighting(identity, asked_at), now)
        for identity, asked_at in sorted(present.items())
    )
    again = sum(answer.asked_at > answer.first_asked for answer in servers)
    return Answers(servers, before.said or again > 1)


def identities(
    now: Answers, sightings: Iterable[Sighting], before: Iterable[Identity]
) -> tuple[Identity, ...]:
    """What is to be kept of the server: those that answer now, else what was known before."""
    answering = _without_outdated(_fresh(_newest(sightings)))
    present = {answer.identity for answer in now.servers} or set(answering)
    return tuple(sorted(present or set(before)))


def _newest(sightings: Iterable[Sighting]) -> dict[Identity, datetime]:
    found: dict[Identity, datetime] = {}
    for sighting in sightings:
        found[sighting.identity] = max(sighting.asked_at, found.get(sighting.identity, NEVER))
    return found


def _fresh(found: dict[Identity, datetime]) -> dict[Identity, datetime]:
    """Without those that only silent pods tell of: a pod that is heard has asked of late."""
    newest, linger = max(found.values(), default=NEVER), timedelta(seconds=LINGER_SECONDS)
    return {identity: asked_at for identity, asked_at in found.items() if newest - asked_at <= linger}


def _without_outdated(found: dict[Identity, datetime]) -> dict[Identity, datetime]:
    sightings = [Sighting(identity, asked_at) for identity, asked_at in found.items()]
    return {
        old.identity: old.asked_at for old in sightings if not any(outdated(old, new) for new in sightings)
    }


def _answer(before: Answer | None, now: Sighting, clock: float) -> Answer:
    if before is None:
        return Answer(now.identity, now.asked_at, now.asked_at, clock)
    anew = now.asked_at > before.asked_at
    return Answer(
        now.identity,
        before.first_asked,
        max(now.asked_at, before.asked_at),
        clock if anew else before.heard,
    )


# Several ledgers of one server


@dataclass(frozen=True)
class Party:
    """One ledger, as far as others about the same server are concerned."""

    key: str
    """namespace/name of its PgBudget."""
    created: str
    """creationTimestamp: the older one goes first."""
    sightings: tuple[Sighting, ...]
    reserved: int
    wanted: int | None
    """The B that its own pools and its own server's facts give; None while that is unknown."""
    aliases: tuple[str, ...] = ()
    """The other ledgers that its status tells of: since that was written, it reckons with them."""


@dataclass(frozen=True)
class Share:
    """What a ledger may have of a server that is not its alone."""

    aliases: tuple[str, ...] = ()
    """The other ledgers (namespace/name), the oldest first; none: the server is its own."""
    most: int | None = None
    """The most that it may reserve; None: all of its B."""
    only_shrinks: bool = False
    """Nobody may get more than it has, but for its floor: another ledger relies on that."""


def share(mine: Party, others: Sequence[Party]) -> Share:
    """How the ledgers of one server come back to its B together.

    The younger ones only shrink, each to an equal part at most; the oldest has what they do not reserve. So the sum
    returns to B, and stays there: what a younger one is believed to hold is never less than what it does. That is
    so once its status says that it knows of the oldest: a plan from before cannot be committed any more. Until then
    the oldest only shrinks, too.
    """
    aliases = sorted((other for other in others if _one_server(mine, other)), key=_age)
    if not aliases:
        return Share()
    group = (mine, *aliases)
    budget = min((party.wanted for party in group if party.wanted is not None), default=0)
    names = tuple(alias.key for alias in aliases)
    if _age(mine) > _age(aliases[0]):
        return Share(names, min(mine.reserved, budget // len(group)), only_shrinks=True)
    left = max(0, budget - sum(alias.reserved for alias in aliases))
    if all(mine.key in alias.aliases for alias in aliases):
        return Share(names, left)
    return Share(names, min(mine.reserved, left), only_shrinks=True)


def _one_server(mine: Party, other: Party) -> bool:
    return any(may_be_one(here, there) for here in mine.sightings for there in other.sightings)


def _age(party: Party) -> tuple[str, str]:
    return party.created, party.key
