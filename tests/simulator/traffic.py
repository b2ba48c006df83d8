"""Clients: closed ones that think and ask, open ones that come and go, behind a Service that knows no load."""

from functools import partial
from random import Random

from .clock import Clock
from .pod import Pod
from .scenario import Load
from .transaction import draw

RETRY_SECONDS = 1.0
"""Pause of a closed client that no pod took."""


class Traffic:
    """All clients of the scenario; pods are chosen at random, as a Service does."""

    def __init__(self, clock: Clock, rng: Random, loads: tuple[Load, ...]) -> None:
        self.clock = clock
        self.rng = rng
        self.load = Load(at=0.0)
        self.pods: list[Pod] = []
        """All that there ever were, oldest first."""
        self.era = 0
        """Raised when all clients are to reconnect."""
        self.refused = 0
        self.open = 0
        self._closed: list[Client] = []
        self._phase = 0
        for load in loads:
            clock.after(load.at, partial(self._change, load))

    @property
    def clients(self) -> int:
        """Clients that there are now, connected or not."""
        return len(self._closed) + self.open

    def choose(self) -> Pod | None:
        """A pod for a new connection; None: there is none, or it takes no more clients."""
        ready = [pod for pod in self.pods if pod.ready]
        if not ready:
            return None
        weights = [self._weight(pod) for pod in ready]
        chosen = self.rng.choices(ready, weights)[0] if any(weights) else self.rng.choice(ready)
        return chosen if chosen.connect() else None

    def _weight(self, pod: Pod) -> float:
        weights = self.load.weights
        return weights[pod.number] if pod.number < len(weights) else 1.0

    def _change(self, load: Load) -> None:
        if load.weights != self.load.weights:
            self.era += 1
        self.load = load
        self._phase += 1
        while len(self._closed) > load.clients:
            self._closed.pop().leave()
        while len(self._closed) < load.clients:
            client = Client(self)
            self._closed.append(client)
            client.think()
        self._expect_next(self._phase)

    def _expect_next(self, phase: int) -> None:
        if self.load.rate > 0:
            self.clock.after(self.rng.expovariate(self.load.rate), partial(self._arrive, phase))

    def _arrive(self, phase: int) -> None:
        if phase == self._phase:
            self.open += 1
            Client(self, once=True).ask()
            self._expect_next(phase)


class Client:
    """One client; `once`: it comes for a single transaction."""

    def __init__(self, traffic: Traffic, *, once: bool = False) -> None:
        self._traffic = traffic
        self._once = once
        self._leaves = once
        self._pod: Pod | None = None
        self._era = 0
        self._until = 0.0

    def leave(self) -> None:
        """Go after the transaction that is under way."""
        self._leaves = True

    def think(self) -> None:
        """Ask later."""
        mean = self._traffic.load.think
        self._traffic.clock.after(self._traffic.rng.expovariate(1 / mean), self._thought)

    def ask(self) -> None:
        """Run a transaction, on a new connection if the old one is not to be kept."""
        traffic = self._traffic
        if not self._connected():
            traffic.refused += 1
            self._give_up()
            return
        assert self._pod is not None
        self._pod.submit(draw(traffic.load.work, traffic.rng, self._ended, self._refused))

    def _thought(self) -> None:
        if self._leaves:
            self._disconnect()
        else:
            self.ask()

    def _connected(self) -> bool:
        traffic, now = self._traffic, self._traffic.clock.now
        stale = self._era != traffic.era or now >= self._until
        if self._pod is not None and (stale or self._pod.leaving):
            self._disconnect()
        if self._pod is None:
            self._pod = traffic.choose()
            self._era, self._until = traffic.era, now + traffic.rng.expovariate(1) * traffic.load.stay
        return self._pod is not None

    def _disconnect(self) -> None:
        if self._pod is not None:
            self._pod.disconnect()
            self._pod = None

    def _give_up(self) -> None:
        """No pod took it: a closed one tries again."""
        if self._once:
            self._traffic.open -= 1
        else:
            self._traffic.clock.after(RETRY_SECONDS, self._thought)

    def _refused(self) -> None:
        self._disconnect()
        self.ask()

    def _ended(self) -> None:
        if not self._leaves:
            self.think()
            return
        self._disconnect()
        if self._once:
            self._traffic.open -= 1
