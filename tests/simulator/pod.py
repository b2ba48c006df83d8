"""A pooler pod: one thread, a queue of clients, and backends as its grant allows."""

from collections import deque
from functools import partial
from pathlib import Path

from pgpool_operator.budget import Order, PodFacts
from pgpool_pooler.agent.acknowledge import SETTLED_SECONDS
from pgpool_pooler.agent.activity import Looks
from pgpool_pooler.agent.sql import Access
from pgpool_pooler.contract import MONITOR_DATABASE, DatabaseState, Phase, ServerState, State
from pgpool_pooler.engines.base import User

from .clock import Action, Clock
from .database import Server
from .scenario import Poolers
from .transaction import Transaction

HOST, PORT = "db", 5432
_MONITOR = Access(Path("/"), 0, User(name="monitor"), MONITOR_DATABASE)


class Pod:
    """Its object, its agent and its engine."""

    def __init__(self, clock: Clock, server: Server, spec: Poolers, number: int) -> None:
        self.uid = f"pod-{number:02}"
        self.number = number
        self.annotation: Order | None = None
        self.running = False
        self.ended_at: float | None = None
        self.leaving = False
        self.clients = 0
        self.queue: deque[Transaction] = deque()
        self.active = 0
        self.transactions = 0
        self._clock = clock
        self._server = server
        self._spec = spec
        self._grant: Order | None = None
        self._acknowledged = 0
        self._open = 0
        self._monitor = 0
        self._looks = Looks()
        self._free_at = 0.0
        self._cpu_seconds = self._busy_seconds = self._query_seconds = 0.0
        clock.after(spec.start, self._start)

    @property
    def cap(self) -> int:
        """Of the grant that is in force."""
        return self._grant.cap if self._grant else 0

    @property
    def limit(self) -> int:
        """Backends for clients."""
        return self.cap - self._monitor

    @property
    def ready(self) -> bool:
        """It takes new clients."""
        return self.running and self._grant is not None and not self.leaving

    @property
    def longest_wait(self) -> float:
        """Seconds that the first client in the queue has waited."""
        return self._clock.now - self.queue[0].queued_at if self.queue else 0.0

    @property
    def facts(self) -> PodFacts:
        """The object, as the API server has it."""
        ended = self.ended_at is not None
        return PodFacts(
            exists=not ended,
            node="node",
            deleted=self.leaving,
            finished=ended,
            ended=ended,
            grace_seconds=90,
        )

    def connect(self) -> bool:
        """A client comes; False: it is refused."""
        if not self.ready or self.clients >= self._spec.max_clients:
            return False
        self.clients += 1
        return True

    def disconnect(self) -> None:
        """A client goes."""
        self.clients -= 1

    def submit(self, transaction: Transaction) -> None:
        """A client's query; the pooler reads it before it looks for a backend."""
        self._compute(transaction.pooler / 2, partial(self._seek_backend, transaction))

    def deliver(self, order: Order) -> None:
        """The kubelet has written the grant into the pod; older ones are refused."""
        if self.running and (self._grant is None or order.generation > self._grant.generation):
            self._grant = order
            self._close_idle()
            self._log_monitor_in()
            self._serve()
            self._acknowledge_later()

    def delete(self) -> None:
        """Whoever waits is sent away, whoever is served may end the transaction."""
        self.leaving = True
        waiting, self.queue = self.queue, deque()
        for transaction in waiting:
            transaction.refused()
        self._end_if_empty()

    def state(self) -> State:
        """What the agent says of itself."""
        now, generation = self._clock.now, self._grant.generation if self._grant else 0
        self._look(now)
        database = DatabaseState(
            name="app",
            limit=self.limit,
            open=self._open,
            active=self.active,
            clients=self.clients,
            waiting=len(self.queue),
            max_wait_seconds=self.longest_wait,
        )
        here = ServerState(
            host=HOST,
            port=PORT,
            cap=self.cap,
            open=self._open + self._monitor,
            active=self.active,
            reachable=True,
            activity=self._looks.activity(now),
        )
        return State(
            uid=self.uid,
            pod=self.uid,
            phase=Phase.SERVING if self._grant else Phase.GATED,
            ready=self.ready,
            generation=generation,
            acknowledged=self._acknowledged,
            cap=self.cap,
            servers=(here,) if self._grant else (),
            databases=(database,) if self._grant else (),
            clients=self.clients,
            waiting=len(self.queue),
            max_clients=self._spec.max_clients,
            transactions=self.transactions,
            busy_seconds=self._busy_seconds,
            query_seconds=self._query_seconds,
            cpu_seconds=self._cpu_seconds,
            cpu_available=self._spec.cpu_available,
        )

    def _start(self) -> None:
        if not self.leaving:
            self.running = True
            if self.annotation is not None:
                self.deliver(self.annotation)

    # A transaction's way

    def _compute(self, seconds: float, done: Action) -> None:
        """The engine's one thread: first come, first served."""
        self._free_at = max(self._clock.now, self._free_at) + seconds / self._spec.cpu_available

        def computed() -> None:
            self._cpu_seconds += seconds
            done()

        self._clock.after(self._free_at - self._clock.now, computed)

    def _seek_backend(self, transaction: Transaction) -> None:
        if self.leaving:
            transaction.refused()
            return
        transaction.queued_at = self._clock.now
        self.queue.append(transaction)
        self._serve()

    def _serve(self) -> None:
        while self.queue and self.active < self.limit:
            transaction = self.queue.popleft()
            transaction.began_at = self._clock.now
            self.active += 1
            if self.active > self._open:
                self._open += 1
                self._server.opened(1)
            self._server.query(transaction, partial(self._answered, transaction))

    def _answered(self, transaction: Transaction) -> None:
        self._compute(transaction.pooler / 2, partial(self._handed_on, transaction))

    def _handed_on(self, transaction: Transaction) -> None:
        if transaction.hold:
            self._server.holding += 1
            self._clock.after(transaction.hold, partial(self._held, transaction))
        else:
            self._release(transaction)

    def _held(self, transaction: Transaction) -> None:
        self._server.holding -= 1
        self._release(transaction)

    def _release(self, transaction: Transaction) -> None:
        self._server.end(transaction)
        busy = self._clock.now - transaction.began_at
        self.transactions += 1
        self._busy_seconds += busy
        self._query_seconds += busy - transaction.hold
        self.active -= 1
        self._close_idle()
        self._serve()
        transaction.ended()
        self._end_if_empty()

    # Backends and grants

    def _close_idle(self) -> None:
        """Idle backends above the limit go at once, busy ones when their transactions end."""
        keep = max(self.active, self.limit)
        if self._open > keep:
            self._server.opened(keep - self._open)
            self._open = keep
            self._acknowledge_later()

    def _log_monitor_in(self) -> None:
        if self._spec.monitor and not self._monitor and self.cap > 1 and self._open < self.cap:
            self._monitor = 1
            self._server.monitors += 1
            self._server.opened(1)

    def _acknowledge_later(self) -> None:
        if self._grant is not None and self._open + self._monitor <= self.cap:
            self._clock.after(SETTLED_SECONDS, partial(self._acknowledge, self._grant))

    def _acknowledge(self, grant: Order) -> None:
        if grant is self._grant and self._open + self._monitor <= self.cap:
            self._acknowledged = grant.generation

    def _look(self, now: float) -> None:
        if self._monitor and self._looks.due(_MONITOR, now, waiting=bool(self.queue)):
            self._looks.began(_MONITOR, now)
            self._looks.took(_MONITOR, self._server.activity(), now)

    def _end_if_empty(self) -> None:
        if self.leaving and not self.active and self.ended_at is None:
            self.ended_at = self._clock.now
            self._server.opened(-self._open - self._monitor)
            self._server.monitors -= self._monitor
            self._open = self._monitor = 0
            self.running = False
