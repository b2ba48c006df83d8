"""The database: CPUs and a disk that its backends share, and one lock."""

from collections import deque
from functools import partial

from pgpool_pooler.contract import Activity

from .clock import Action, Clock, Shared
from .scenario import Database
from .transaction import Transaction


class Server:
    """Counts its backends as PostgreSQL would."""

    def __init__(self, clock: Clock, spec: Database) -> None:
        self.open = 0
        self.peak = 0
        self.monitors = 0
        self.holding = 0
        """Backends that are idle in a transaction."""
        self._cpu = Shared(clock, spec.cpus)
        self._disk = Shared(clock, spec.disks)
        self._holder: Transaction | None = None
        self._lock_queue: deque[tuple[Transaction, Action]] = deque()

    def opened(self, backends: int) -> None:
        """A pooler logged in (or, below 0, left)."""
        self.open += backends
        self.peak = max(self.peak, self.open)

    def query(self, transaction: Transaction, answered: Action) -> None:
        """Run the transaction's query on its backend."""
        if not transaction.locks:
            self._read(transaction, answered)
        elif self._holder is None:
            self._holder = transaction
            self._read(transaction, answered)
        else:
            self._lock_queue.append((transaction, answered))

    def end(self, transaction: Transaction) -> None:
        """COMMIT: what it locked is free."""
        if self._holder is transaction:
            self._holder = None
            if self._lock_queue:
                self._holder, answered = self._lock_queue.popleft()
                self._read(self._holder, answered)

    def activity(self) -> Activity:
        """What a look at pg_stat_activity finds of the pool's backends, the monitors' own not among them."""
        cpu, io, lock = len(self._cpu), len(self._disk), len(self._lock_queue)
        idle = self.open - self.monitors - cpu - io - lock - self.holding
        return Activity(age_seconds=0.0, cpu=cpu, io=io, lock=lock, held=self.holding, idle=idle)

    def _read(self, transaction: Transaction, answered: Action) -> None:
        if transaction.io:
            self._disk.start(transaction.io, partial(self._cpu.start, transaction.cpu, answered))
        else:
            self._cpu.start(transaction.cpu, answered)
