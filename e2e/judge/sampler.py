"""Samples pg_stat_activity every few milliseconds over one direct superuser connection."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import psycopg

PERIOD_SECONDS = 0.01

_COUNT = """SELECT count(*), count(*) FILTER (WHERE state <> 'idle')
FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = ANY(%s)"""


@dataclass
class Samples:
    """What the sampler saw."""

    peak: int = 0
    taken: int = 0
    longest_gap: float = 0.0
    """Seconds between two samples at most: what stayed unseen."""
    busy: list[int] = field(default_factory=list, repr=False)


class Sampler:
    """`with Sampler(dsn, users) as samples:` counts the users' backends until the block ends.

    The server may go away meanwhile (that is some tests' point): the sampler connects again, the gap shows.
    """

    def __init__(self, dsn: str, users: Sequence[str]) -> None:
        self._dsn = dsn
        self._users = list(users)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._samples = Samples()

    def __enter__(self) -> Samples:
        self._thread.start()
        return self._samples

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=3) as connection:
                    self._sample(connection)
            except psycopg.Error:
                self._stop.wait(0.1)

    def _sample(self, connection: "psycopg.Connection[tuple[int, int]]") -> None:
        last = time.monotonic()
        while not self._stop.wait(PERIOD_SECONDS):
            row = connection.execute(_COUNT, (self._users,)).fetchone()
            assert row is not None
            now = time.monotonic()
            seen = self._samples
            seen.taken += 1
            seen.longest_gap = max(seen.longest_gap, now - last)
            seen.peak = max(seen.peak, row[0])
            seen.busy.append(row[1])
            last = now
