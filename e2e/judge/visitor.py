"""Somebody who comes in by the Service again and again, and notes each time that nobody served."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import psycopg

PAUSE_SECONDS = 0.1


@dataclass
class Visits:
    """What the visitor saw."""

    served: int = 0
    failures: list[str] = field(default_factory=list)


class Visitor:
    """`with Visitor(lambda: pool.query("SELECT 1")) as visits:` comes until the block ends."""

    def __init__(self, query: Callable[[], object]) -> None:
        self._query = query
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visitor", daemon=True)
        self._visits = Visits()

    def __enter__(self) -> Visits:
        self._thread.start()
        return self._visits

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                self._query()
            except psycopg.Error as failed:
                self._visits.failures.append(str(failed))
            else:
                self._visits.served += 1
