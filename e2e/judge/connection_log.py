"""How many connections PostgreSQL had at once, by its own connection log.

With log_connections and log_disconnections the server writes a line when a session is authorized and one when
it ends. The lines of one log are in the order in which they were written, so a walk over them gives the depth
at every instant: nothing can open and close unseen between two samples.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_AUTHORIZED = re.compile(r"^(?P<at>\S+ \S+ \S+) \[(?P<pid>\d+)\].*connection authorized: user=(?P<user>\S+)")
_GONE = re.compile(r"^(?P<at>\S+ \S+ \S+) \[(?P<pid>\d+)\].*disconnection: session time: ")
_REFUSED = re.compile(
    r"^\S+ \S+ \S+ \[(?P<pid>\d+)\].*FATAL: .*"
    r"(too many connections for (role|database)|too many clients|remaining connection slots)"
)
_VANISHED = re.compile(r"^\S+ \S+ \S+ \[(?P<pid>\d+)\].*FATAL: .*connection to client lost")
_STARTED = re.compile(r"^(?P<at>\S+ \S+ \S+) .*LOG:  database system is ready to accept connections")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_TOLD = 40
"""Lines that are kept up to a peak."""


@dataclass(frozen=True)
class Verdict:
    """What the log tells of one set of users."""

    peak: int
    """The most sessions that were open at once."""
    at: str
    """When that was first so, as the log has it."""
    opened: int
    refused: int
    """Logins that a CONNECTION LIMIT or max_connections turned away."""
    ghosts: int = 0
    """Sessions that PostgreSQL ended in their queries because nobody was there any more to hear the answer."""
    before: tuple[str, ...] = field(default=(), repr=False)
    """The last lines up to the one that made the peak: whose sessions came and went."""
    depths: tuple[tuple[datetime, int], ...] = field(default=(), repr=False)
    """How many sessions were open from each instant on at which that changed."""

    def peak_between(self, since: datetime, until: datetime) -> int:
        """The most sessions that were open at once from `since` to `until`, by PostgreSQL's clock."""
        before = [depth for at, depth in self.depths if at <= since]
        within = [depth for at, depth in self.depths if since < at <= until]
        return max(before[-1:] + within, default=0)


def judge(lines: Iterable[str], users: frozenset[str], open_before: Iterable[int] = ()) -> Verdict:
    """The verdict on the sessions of `users`; `open_before` are the pids of those that the log found open."""
    lines = list(lines)
    turned_away = _turned_away(lines)
    present = set(open_before)
    peak, at, opened, refused, ghosts, before = len(present), "start", 0, 0, 0, 0
    depths = [(_BEFORE_ALL, len(present))]
    for number, line in enumerate(lines):
        if number in turned_away:
            continue
        if _REFUSED.search(line):
            refused += 1
        elif match := _VANISHED.match(line):
            ghosts += int(match["pid"]) in present
        elif match := _STARTED.match(line):
            # A crash writes no line for the sessions that it ends; before this one nobody logs in.
            present.clear()
            depths.append((_instant(match["at"]), 0))
        elif (match := _AUTHORIZED.match(line)) and match["user"] in users:
            present.add(int(match["pid"]))
            opened += 1
            depths.append((_instant(match["at"]), len(present)))
            if len(present) > peak:
                peak, at, before = len(present), match["at"], number + 1
        elif match := _GONE.match(line):
            present.discard(int(match["pid"]))
            depths.append((_instant(match["at"]), len(present)))
    told = tuple(lines[max(0, before - _TOLD) : before])
    return Verdict(peak, at, opened, refused, ghosts, told, tuple(depths))


def _instant(words: str) -> datetime:
    """PostgreSQL's %m with log_timezone UTC: 2026-11-25 12:00:00.000 UTC."""
    return datetime.strptime(words, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)


def _turned_away(lines: Sequence[str]) -> frozenset[int]:
    """Numbers of the lines of logins that were authorized and then met a limit: they never were sessions.

    PostgreSQL looks at a CONNECTION LIMIT after it has logged that, and writes no line for their end.
    """
    refused: set[int] = set()
    found: set[int] = set()
    for number in range(len(lines) - 1, -1, -1):
        if match := _REFUSED.match(lines[number]):
            refused.add(int(match["pid"]))
        elif (match := _AUTHORIZED.match(lines[number])) and int(match["pid"]) in refused:
            refused.remove(int(match["pid"]))
            found.add(number)
    return frozenset(found)
