"""One run of a scenario."""

from random import Random

from .clock import Clock
from .control import Control, size_of
from .database import Server
from .pod import Pod
from .record import Moment, Run
from .scenario import Scenario
from .traffic import Traffic

MOMENT_SECONDS = 1.0


def simulate(scenario: Scenario, seed: int = 0) -> Run:
    """Play it; the same seed gives the same run."""
    return _World(scenario, seed).play()


class _World:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._run = Run(scenario, size_of(scenario.database).connections)
        self._clock = Clock()
        self._server = Server(self._clock, scenario.database)
        rng = Random(seed)
        self._traffic = Traffic(self._clock, rng, scenario.loads)
        self._ended = 0
        self._control = Control(self._clock, rng, self._run, self._create)

    def play(self) -> Run:
        self._clock.every(MOMENT_SECONDS, self._note)
        self._clock.run(self._run.scenario.seconds)
        self._run.peak, self._run.refused = self._server.peak, self._traffic.refused
        return self._run

    def _create(self) -> Pod:
        pods = self._traffic.pods
        pods.append(Pod(self._clock, self._server, self._run.scenario.poolers, len(pods)))
        return pods[-1]

    def _note(self) -> None:
        pods = [pod for pod in self._traffic.pods if pod.ended_at is None]
        ended = sum(pod.transactions for pod in self._traffic.pods)
        self._run.moments.append(
            Moment(
                at=self._clock.now,
                clients=self._traffic.clients,
                rate=(ended - self._ended) / MOMENT_SECONDS,
                waiting=sum(len(pod.queue) for pod in pods),
                longest_wait=max((pod.longest_wait for pod in pods), default=0.0),
                open=self._server.open,
                wanted=self._control.replicas,
                ready=sum(pod.ready for pod in pods),
                caps={pod.uid: pod.cap for pod in pods},
            )
        )
        self._ended = ended
