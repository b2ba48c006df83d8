"""PostgreSQL, watched through a whole scenario: by its connection log and by samples of pg_stat_activity."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.judge.connection_log import Verdict, judge
from e2e.judge.load import Result, follow_log
from e2e.judge.sampler import Sampler, Samples
from e2e.world import USER, Postgres


@dataclass
class Watched:
    """What PostgreSQL said while it was watched."""

    samples: Samples
    log: Verdict | None = None


@contextmanager
def watched(database: Postgres, users: frozenset[str] = frozenset({USER})) -> Iterator[Watched]:
    """Follows the primary's connection log and samples pg_stat_activity while the block runs."""
    rows = database.query("SELECT pid FROM pg_stat_activity WHERE usename = ANY(%s)", (list(users),))
    lines: list[str] = []
    with follow_log(database.kubectl, "main-a-0") as follower:
        reader = threading.Thread(target=lambda: lines.extend(follower.stdout or ()))
        reader.start()
        try:
            with Sampler(database.dsn(), sorted(users)) as samples:
                seen = Watched(samples)
                yield seen
        finally:
            follower.terminate()
            reader.join()
    seen.log = judge(lines, users, [pid for (pid,) in rows])


def report(title: str, seen: Watched, load: Result) -> None:
    """Print what the judges saw, and what the load got done."""
    assert seen.log is not None
    log, samples = seen.log, seen.samples
    print(  # noqa: T201
        f"{title}: log peak {log.peak} at {log.at} of {log.opened} logins, {log.refused} refused; "
        f"sampled peak {samples.peak} in {samples.taken} looks, longest gap {samples.longest_gap:.3f} s; "
        f"pgbench {load.transactions} transactions, {load.failed} failed, {load.aborted} clients lost"
    )
