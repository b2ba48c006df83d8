"""PostgreSQL, watched through a whole scenario: by its connection log and by samples of pg_stat_activity."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.judge.connection_log import Verdict, judge
from e2e.judge.load import Result
from e2e.judge.pod_log import following
from e2e.judge.sampler import Sampler, Samples
from e2e.kube import eventually
from e2e.world import BUDGET, PRIMARY, USER, Postgres, query_at


@dataclass
class Watched:
    """What PostgreSQL said while it was watched."""

    samples: Samples
    users: frozenset[str]
    lines: list[str] = field(repr=False)
    """Of PostgreSQL's log, whole once it is watched no more."""
    first: int
    """The line from which on it is judged."""
    open_before: tuple[int, ...]
    """The pids of the sessions that were there then."""

    @property
    def log(self) -> Verdict:
        """What the log says so far."""
        return judge(self.lines[self.first :], self.users, self.open_before)


@contextmanager
def watched(database: Postgres, users: frozenset[str] = frozenset({USER})) -> Iterator[Watched]:
    """Follows the primary's connection log and samples pg_stat_activity while the block runs.

    Who is connected is asked once the log is seen to arrive: a session is among those or has a line, or both.
    """
    with following(database.kubectl, PRIMARY, "postgres") as lines:
        _wait_for_own_login("the log is followed", database, lines)
        asked_at = len(lines)
        rows = database.query("SELECT pid FROM pg_stat_activity WHERE usename = ANY(%s)", (list(users),))
        with Sampler(database.dsn(), sorted(users)) as samples:
            yield Watched(samples, users, lines, asked_at, tuple(pid for (pid,) in rows))
        # What was written before the end has arrived once a later login has.
        _wait_for_own_login("the log has arrived", database, lines)


def _wait_for_own_login(what: str, database: Postgres, lines: list[str]) -> None:
    """Wait until the log tells of a login that is made now, by a name that nobody else has."""
    name = f"watch-{uuid.uuid4()}"

    def told() -> bool:
        # Again each time: an earlier one may have been written before the log was followed.
        query_at(f"{database.dsn()} application_name={name}", "SELECT 1")
        return any(name in line for line in lines)

    eventually(what, told)


def report(title: str, seen: Watched, load: Result) -> None:
    """Print what the judges saw, and what the load got done."""
    log, samples = seen.log, seen.samples
    print(  # noqa: T201
        f"{title}: log peak {log.peak} at {log.at} of {log.opened} logins, {log.refused} refused; "
        f"sampled peak {samples.peak} in {samples.taken} looks, longest gap {samples.longest_gap:.3f} s; "
        f"pgbench {load.transactions} transactions, {load.failed} failed, {load.aborted} clients lost",
        *load.complaints(),
        *(("up to the peak PostgreSQL wrote:", *log.before) if log.peak > BUDGET else ()),
        sep="\n  ",
    )
