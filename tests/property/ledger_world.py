"""A world around the real `plan`: pods, two servers with their ledgers, two operators with old copies of it all.

The network delivers any grant that was ever written, at any time, in any order, again, or never. `Mutant`s take a
rule of the protocol away, to show that the world would notice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto
from fractions import Fraction

from pgpool_operator.budget import Ledger, Life, Plan, PodView, Report, Size, plan
from pgpool_pooler.contract import Endpoint

SERVERS = ("x", "y")
OPERATORS = (0, 1)
MOST_PODS = 5
NOW = datetime(2026, 11, 20, tzinfo=UTC)
LONG = 1e9
"""Seconds after which every hold is over."""

Planner = Callable[[Ledger, Size, Sequence[PodView]], Plan]


class Mutant(Enum):
    """A rule that is not kept (names as in the Promela model)."""

    NOCAS = auto()
    """Ledgers are written without comparing the version."""
    NOFENCE = auto()
    """Pods accept older generations."""
    NOGATE = auto()
    """A restarted container does not wait for its ghosts."""
    ACK_CONFIG = auto()
    """A grant is acknowledged as soon as it is in force, before it is drained."""
    OBJGONE = auto()
    """A pod counts as dead when its object is gone."""
    NOGHOST = auto()
    """What the dead held is freed while their backends are still there."""
    FORGET = auto()
    """A restarted container has forgotten its generation."""
    OVERLOOK = auto()
    """A ledger that was lost finds only the pods of pools that use its server, not all that are granted it."""
    EDITED = auto()
    """A ledger that somebody edited is taken for what it says."""
    EARLY_COUNT = auto()
    """A count of the backends from before the pod was known to be dead frees what it held."""
    BLIND_COUNT = auto()
    """So does the count of somebody who does not see all of them."""
    REFUSED = auto()
    """A pod that its kubelet refused counts as dead, although nothing was said of its containers."""
    ABORT = auto()
    """A pooler drops busy backends and no longer counts them."""


class ViolationError(AssertionError):
    """The promise is broken."""


def real_plan(ledger: Ledger, size: Size, pods: Sequence[PodView]) -> Plan:
    return plan(ledger, size, pods, NOW, server_seen=True)


@dataclass(frozen=True)
class Grant:
    generation: int
    server: str
    cap: int
    content: int = 0
    """Everything else that a grant says."""

    def at(self, server: str) -> int:
        return self.cap if server == self.server else 0


@dataclass(frozen=True)
class Count:
    """A server's backends by address, as the agent of a pod saw them."""

    time: int
    complete: bool
    by_address: Mapping[str, int]


@dataclass
class Pod:
    """The object, and the process with its connections."""

    uid: str
    assigned: str
    """Its server; empty once its PgPool is deleted."""
    address: str
    noticed: bool
    """The server notices in time that the pod has vanished."""
    exists: bool = True
    version: int = 1
    annotation: Grant | None = None
    was_ready: bool = False
    """The object says so."""
    written: list[Grant] = field(default_factory=list)
    """All that was ever in the annotation."""
    deleted: bool = False
    refused: bool = False
    """Its kubelet has given it a final phase, without a word on its containers."""
    silent: bool = False
    """Its node does not answer."""
    running: bool = True
    end_reported: bool = False
    proven: set[int] = field(default_factory=set)
    """The operators that have seen its kubelet live for long enough, or its node declared out of service."""
    persisted: Grant | None = None
    in_force: Grant | None = None
    gated: bool = True
    acknowledged: int = 0
    conns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SERVERS, 0))
    ghosts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SERVERS, 0))
    counted: dict[str, Count] = field(default_factory=dict)
    """What its agent counted last, by server."""

    def vanish(self) -> None:
        """The process is gone; the server has not noticed."""
        for server in SERVERS:
            self.ghosts[server] += self.conns[server]
            self.conns[server] = 0
        self.in_force, self.gated, self.acknowledged = None, True, 0

    @property
    def going(self) -> bool:
        """Its kubelet, where it can, ends it."""
        return self.deleted or self.refused

    def verdict(self, number: int) -> Life:
        """Of one operator."""
        if self.exists and not self.going:
            return Life.ALIVE
        if self.end_reported:
            return Life.DEAD_REPORTED
        if number in self.proven:
            return Life.DEAD_INFERRED
        return Life.TERMINATING if self.exists and not self.silent else Life.UNKNOWN

    @property
    def drained(self) -> bool:
        """In force, and no connection above it."""
        force = self.in_force
        return force is not None and all(self.conns[server] <= force.at(server) for server in SERVERS)

    def report(self, server: str) -> Report:
        held = self.persisted
        force = self.in_force if self.in_force and self.in_force.server == server else held
        return Report(
            generation=held.generation if held else 0,
            acknowledged=self.acknowledged,
            cap_here=force.at(server) if force else 0,
            open_here=self.conns[server],
        )


@dataclass(frozen=True)
class Sight:
    """A pod as one operator saw it."""

    uid: str
    assigned: str
    exists: bool
    version: int
    annotation: Grant | None
    was_ready: bool
    refused: bool
    life: Life
    holds_over: Mapping[str, bool]
    dead_since: int
    """When this operator first saw it dead."""


@dataclass
class Operator:
    """What one operator believes."""

    ledgers: dict[str, tuple[int, Ledger]]
    pods: dict[str, Sight] = field(default_factory=dict)
    reports: dict[str, dict[str, Report]] = field(default_factory=dict)
    counts: dict[str, dict[str, Count]] = field(default_factory=dict)
    unsent: dict[str, tuple[int, Grant]] = field(default_factory=dict)
    """Grants by pod, with the version of the pod that they were made for."""


class World:
    """The truth. Every method but `check` and `calm_down` is one step that may happen; impossible ones are none."""

    def __init__(self, budget: int = 3, mutant: Mutant | None = None, planner: Planner = real_plan) -> None:
        self.mutant = mutant
        self.planner = planner
        self.budget = dict.fromkeys(SERVERS, budget)
        self.limit = dict.fromkeys(SERVERS, budget)
        """The B that is in force: what the server must never see exceeded."""
        self.content = 0
        self.version = 1
        self.time = 0
        self.released = False
        """A person has released all pods."""
        empty = Ledger(budget)
        self.ledgers = dict.fromkeys(SERVERS, (1, empty))
        self.sound = dict.fromkeys(SERVERS, True)
        """The ledger is as an operator has left it."""
        self.past: dict[str, list[Ledger]] = {server: [empty] for server in SERVERS}
        self.pods: dict[str, Pod] = {}
        self.operators = [Operator(dict(self.ledgers)) for _ in OPERATORS]
        for server in (SERVERS[0], SERVERS[0], SERVERS[1]):
            self.create(server)

    # The promise

    def check(self) -> None:
        for server in SERVERS:
            used = sum(pod.conns[server] + pod.ghosts[server] for pod in self.pods.values())
            ledger = self.ledgers[server][1]
            if used > self.limit[server]:
                raise ViolationError(f"{server} has {used} connections, of {self.limit[server]}")
            if ledger.reserved > ledger.connections:
                raise ViolationError(f"{server}: {ledger.reserved} reserved, of {ledger.connections}")

    def check_shared(self) -> None:
        """Of a calm world: who belongs to a server shares all of it, and follows what the ledger says."""
        for server in SERVERS:
            ledger, budget = self.ledgers[server][1], self.budget[server]
            caps = {uid: (e.cap, e.reserved) for uid, e in ledger.reservations.items()}
            said = {uid: (cap, cap) for uid in caps for cap in [self._in_force(uid, server)]}
            there = {uid: pod for uid, pod in self.pods.items() if pod.exists and not pod.refused}
            here = {uid for uid, pod in there.items() if pod.assigned == server}
            room = budget - sum(e.reserved for uid, e in ledger.reservations.items() if uid not in here)
            fed = sum(self._in_force(uid, server) > 0 for uid in here)
            if ledger.recovering or ledger.connections != budget or caps != said:
                raise ViolationError(f"{server} has no rest: {ledger}, B is {budget}")
            if (here and ledger.reserved != budget) or fed != min(len(here), room):
                raise ViolationError(f"{server} is not shared: {ledger}, of {budget}, by {here}")

    def _in_force(self, uid: str, server: str) -> int:
        force = self.pods[uid].in_force
        return force.at(server) if force else 0

    # Pods and their nodes

    def create(self, server: str) -> None:
        """Addresses are used again. Every other pod is one that the server does not notice to have vanished."""
        if len(self.pods) < MOST_PODS:
            number = len(self.pods)
            free = [pod.address for pod in self.pods.values() if not pod.exists]
            address = free[0] if free else f"a{number}"
            self.pods[f"p{number}"] = Pod(f"p{number}", server, address, noticed=number % 2 == 0)

    def move(self, pod: Pod, server: str) -> None:
        if pod.assigned:
            pod.assigned = server

    def orphan(self, pod: Pod) -> None:
        """Its PgPool is deleted, or cannot be read any more."""
        pod.assigned = ""

    def strip(self, pod: Pod) -> None:
        """Somebody takes the grant off a pod, which the kubelet has reported to be Ready with it."""
        if pod.annotation is not None and pod.was_ready:
            pod.annotation = None
            pod.version += 1

    def delete(self, pod: Pod) -> None:
        pod.deleted = True
        pod.version += 1

    def remove(self, pod: Pod) -> None:
        """The object goes: the kubelet has said that it ended, or somebody forces it."""
        if pod.deleted:
            pod.exists = False

    def end(self, pod: Pod) -> None:
        """The process of a deleted pod ends; the kubelet says so if it can. Of one that it refused it does not."""
        if pod.going and pod.running:
            pod.vanish()
            pod.running = False
            pod.end_reported = pod.exists and not pod.silent and not pod.refused

    def refuse(self, pod: Pod) -> None:
        """The kubelet refuses a pod, which it may have run until then."""
        if pod.exists and not pod.going and not pod.silent:
            pod.refused = True
            pod.version += 1

    def prove(self, pod: Pod) -> None:
        """The node is heard for long enough, or declared out of service."""
        if pod.going and not pod.running:
            pod.proven = set(OPERATORS)

    def silence(self, pod: Pod) -> None:
        pod.silent = not pod.silent

    def crash(self, pod: Pod) -> None:
        """The container restarts, with what is on its disk."""
        if pod.running:
            pod.vanish()
            if self.mutant is Mutant.FORGET:
                pod.persisted = None

    def deliver(self, pod: Pod, which: int) -> None:
        if not pod.running or not pod.written:
            return
        grant = pod.written[which % len(pod.written)]
        newer = pod.persisted is None or grant.generation > pod.persisted.generation
        if newer or self.mutant is Mutant.NOFENCE:
            pod.persisted = grant

    def apply(self, pod: Pod) -> None:
        ghosts = any(pod.ghosts.values()) and self.mutant is not Mutant.NOGATE
        if pod.running and pod.persisted is not None and not (pod.gated and ghosts):
            pod.in_force, pod.gated = pod.persisted, False
            pod.was_ready = pod.was_ready or not pod.silent

    def acknowledge(self, pod: Pod) -> None:
        if not pod.running or pod.in_force is None or pod.in_force is not pod.persisted:
            return
        if pod.drained or self.mutant is Mutant.ACK_CONFIG:
            pod.acknowledged = max(pod.acknowledged, pod.in_force.generation)

    def open(self, pod: Pod) -> None:
        force = pod.in_force
        if force is not None and pod.conns[force.server] < force.cap:
            pod.conns[force.server] += 1

    def close(self, pod: Pod, server: str) -> None:
        pod.conns[server] = max(0, pod.conns[server] - 1)

    def abort(self, pod: Pod, server: str) -> None:
        """A client vanishes in the middle of a query."""
        if self.mutant is Mutant.ABORT and pod.conns[server]:
            pod.conns[server] -= 1
            pod.ghosts[server] += 1

    def count(self, pod: Pod, server: str, *, sees_all: bool = True) -> None:
        """The agent of a pod counts the server's backends: all, or only those of its own users."""
        if pod.in_force is None or pod.in_force.server != server:
            return
        self.time += 1
        seen: dict[str, int] = {}
        for other in self.pods.values():
            there = other.conns[server] + other.ghosts[server] if sees_all or other is pod else 0
            seen[other.address] = seen.get(other.address, 0) + there
        pod.counted[server] = Count(self.time, sees_all, seen)

    def end_ghost(self, pod: Pod, server: str) -> None:
        pod.ghosts[server] = max(0, pod.ghosts[server] - 1)

    # Servers and ledgers

    def resize(self, server: str, budget: int) -> None:
        self.budget[server] = budget

    def reword(self) -> None:
        self.content += 1

    def lose(self, server: str) -> None:
        if all(self._can_be_found(pod, server) for pod in self.pods.values()):
            self.past[server] = [Ledger(0, recovering=True)]
            self._replace(server, self.past[server][0])

    def _can_be_found(self, pod: Pod, server: str) -> bool:
        """What no object and no agent tells of any more cannot be found again. An object does not tell of a server
        that another one's grant was written over, and the pods of a deleted PgPool are of no server."""
        if not (pod.running or any(pod.ghosts.values())):
            return True
        overwritten = pod.annotation is None or pod.annotation.server != server
        left = not any(grant.server == server for grant in pod.written) or pod.acknowledged == max(
            (grant.generation for grant in pod.written), default=0
        )
        return pod.exists and bool(pod.assigned or not overwritten or left)

    def edit(self, server: str, which: int, how: int) -> None:
        """Somebody edits the ledger, and the seal tells so. A person takes longer than a watch is late."""
        _, ledger = self.ledgers[server]
        entries = dict(ledger.reservations)
        if not entries:
            return
        uid = sorted(entries)[which % len(entries)]
        entry = entries.pop(uid)
        lower = max(0, entry.cap - 2)
        changed = (
            replace(entry, cap=lower, reserved=lower),
            replace(entry, reserved=entry.cap),
            replace(entry, cap=entry.cap + 3, reserved=entry.reserved + 3),
            replace(entry, generation=0),
            replace(entry, cap=0, reserved=0, generation=0),
            None,
        )[how % 6]
        if changed is not None:
            entries[uid] = changed
        elif not self._can_be_found(self.pods[uid], server):
            return
        edited = self.mutant is not Mutant.EDITED
        self._replace(server, Ledger(99, entries, recovering=ledger.recovering or edited))

    def roll_back(self, server: str, which: int) -> None:
        """A restored backup comes when all who may hold something are heard, or their objects tell of it."""
        if not any(self._is_hidden(pod, server) for pod in self.pods.values()):
            past = self.past[server]
            del past[which % len(past) + 1 :]
            self._replace(server, past[-1])

    def _is_hidden(self, pod: Pod, server: str) -> bool:
        granted_here = pod.exists and pod.annotation is not None and pod.annotation.server == server
        if pod.ghosts[server] and not granted_here:
            return True
        conspicuous = pod.exists and (granted_here or (pod.annotation is None and pod.was_ready))
        return pod.running and not (pod.exists and (not pod.silent or conspicuous))

    def _replace(self, server: str, ledger: Ledger) -> None:
        """Operators list everything anew; what they were about to send is dropped."""
        self.sound[server] = False
        self._write(server, ledger)
        for number, operator in enumerate(self.operators):
            operator.unsent.clear()
            self.look_at_everything(number)

    def _write(self, server: str, ledger: Ledger) -> None:
        self.version += 1
        self.ledgers[server] = (self.version, ledger)

    # Operators

    def look_at_ledger(self, number: int, server: str) -> None:
        self.operators[number].ledgers[server] = self.ledgers[server]

    def look_at_pod(self, number: int, pod: Pod) -> None:
        life = pod.verdict(number)
        absent = not pod.exists and self.mutant is Mutant.OBJGONE
        if absent or (pod.refused and self.mutant is Mutant.REFUSED):
            life = Life.DEAD_REPORTED
        before = self.operators[number].pods.get(pod.uid)
        dead_since = before.dead_since if before is not None and before.life.dead else self.time
        over = {s: pod.ghosts[s] == 0 or self.mutant is Mutant.NOGHOST for s in SERVERS}
        self.operators[number].pods[pod.uid] = Sight(
            pod.uid,
            pod.assigned,
            pod.exists,
            pod.version,
            pod.annotation if pod.exists else None,
            pod.was_ready,
            pod.refused,
            life,
            over,
            dead_since,
        )

    def hear(self, number: int, pod: Pod) -> None:
        if pod.running and not pod.silent:
            reports = {server: pod.report(server) for server in SERVERS}
            self.operators[number].reports[pod.uid] = reports
            self.operators[number].counts[pod.uid] = dict(pod.counted)

    def look_at_everything(self, number: int) -> None:
        for server in SERVERS:
            self.look_at_ledger(number, server)
        for pod in self.pods.values():
            self.look_at_pod(number, pod)
            self.operators[number].reports.pop(pod.uid, None)
            self.hear(number, pod)

    def restart(self, number: int) -> None:
        """Another one takes its place, who has to see every proof anew."""
        self.operators[number] = Operator(dict(self.ledgers))
        for pod in self.pods.values():
            pod.proven.discard(number)
        self.look_at_everything(number)

    def decide(self, number: int, server: str) -> None:
        """Plan, commit by compare-and-swap, and get the grants ready."""
        operator = self.operators[number]
        version, ledger = operator.ledgers[server]
        if version != self.ledgers[server][0] and self.mutant is not Mutant.NOCAS:
            return
        views = [self._view(operator, sight, server) for sight in operator.pods.values()]
        known = [view for view in views if self._finds(operator, view, server)]
        decided = self.planner(ledger, self._size(server), known)
        if decided.ledger != ledger:
            self._commit(server, ledger, decided.ledger)
        self.look_at_ledger(number, server)
        for uid, order in (*decided.orders.items(), *decided.leaving.items()):
            sight = operator.pods[uid]
            if sight.annotation is None or sight.annotation.generation < order.generation:
                grant = Grant(order.generation, server, order.cap, self.content)
                operator.unsent[uid] = (sight.version, grant)

    def _finds(self, operator: Operator, view: PodView, server: str) -> bool:
        """Whether a pod is looked at: it has a reservation, or an object that leads here."""
        sight = operator.pods[view.uid]
        tells = view.annotated is not None or (
            view.report is not None and view.report.cap_here + view.report.open_here > 0
        )
        if self.mutant is Mutant.OVERLOOK:
            tells = False
        return view.uid in operator.ledgers[server][1].reservations or (
            sight.exists and (tells or bool(sight.assigned))
        )

    def _commit(self, server: str, before: Ledger, after: Ledger) -> None:
        if self.sound[server] and not after.recovering:
            allowed = max(before.connections, self.budget[server])
            if after.connections > allowed:
                raise ViolationError(f"{server}: committed {after.connections}, above {allowed}")
        self.sound[server] = not after.recovering
        if not after.recovering:
            self.limit[server] = min(after.connections, max(self.limit[server], self.budget[server]))
        self._write(server, after)
        self.past[server] = [*self.past[server][-7:], after]

    def send(self, number: int, pod: Pod) -> None:
        """The API server takes it only for the version of the pod that it was made for."""
        version, grant = self.operators[number].unsent.pop(pod.uid, (0, None))
        if grant is not None and pod.exists and version == pod.version:
            pod.annotation = grant
            pod.version += 1
            pod.written.append(grant)
            self.look_at_pod(number, pod)

    def _size(self, server: str) -> Size:
        budget = self.budget[server]
        return Size(budget, Fraction(budget), "Spec", 1, "shop/app", 0, 100, provisional=False)

    def _view(self, operator: Operator, sight: Sight, server: str) -> PodView:
        noted = sight.annotation
        entry = operator.ledgers[server][1].reservations.get(sight.uid)
        elsewhere = (
            ledger.reservations[sight.uid].generation
            for name, (_, ledger) in operator.ledgers.items()
            if name != server and sight.uid in ledger.reservations
        )
        report = operator.reports.get(sight.uid, {}).get(server)
        followed = entry.generation if entry and report and report.generation == entry.generation else 0
        lost = followed if noted is None or noted.generation < followed else 0
        return PodView(
            uid=sight.uid,
            pod=sight.uid,
            pool="shop/app",
            endpoint=Endpoint.WRITE,
            node="w1",
            life=self._life(operator, sight, server),
            assigned=sight.assigned == server and sight.exists,
            floor=1,
            listed=sight.exists,
            started=sight.exists,
            was_ready=sight.exists and sight.was_ready,
            orphan=not sight.assigned,
            annotated=(noted.generation, noted.cap) if noted and noted.server == server else None,
            known_generation=max([lost, noted.generation if noted else 0, *elsewhere]),
            written_generation=noted.generation if noted else 0,
            report=report,
            stale=bool(lost)
            or bool(
                noted
                and entry
                and noted != replace(noted, server=server, cap=entry.cap, content=self.content)
            ),
            detects_dead_clients=self.pods[sight.uid].noticed,
            dead_for=LONG if sight.holds_over[server] else 0.0,
            countable=sight.life.dead,
            counted=self._counted(operator, sight, server) if sight.life.dead else None,
            released=self.released,
        )

    def _life(self, operator: Operator, sight: Sight, server: str) -> Life:
        """What a sound ledger has freed once was dead: that a pod is refused tells nobody else so."""
        ledger = operator.ledgers[server][1]
        freed = sight.uid in ledger.freed and sight.uid not in ledger.reservations and not ledger.recovering
        return Life.DEAD_INFERRED if freed and sight.exists and sight.refused else sight.life

    def _counted(self, operator: Operator, sight: Sight, server: str) -> int | None:
        """The backends from the dead pod's address by the newest count of another pod that may be used."""
        address = self.pods[sight.uid].address
        taken = (
            other.exists and not other.end_reported
            for other in self.pods.values()
            if other.uid != sight.uid and other.address == address
        )
        if any(taken):
            return None
        usable = [
            counts[server]
            for uid, counts in operator.counts.items()
            if uid != sight.uid and server in counts and self._may_be_used(counts[server], sight)
        ]
        newest = max(usable, key=lambda count: count.time, default=None)
        return newest.by_address.get(address, 0) if newest is not None else None

    def _may_be_used(self, count: Count, sight: Sight) -> bool:
        early = count.time <= sight.dead_since and self.mutant is not Mutant.EARLY_COUNT
        blind = not count.complete and self.mutant is not Mutant.BLIND_COUNT
        return not early and not blind

    # When the faults stop

    def calm_down(self, rounds: int = 40) -> int:
        """The fair loop; returns after how many rounds nothing changed any more."""
        self.released = True
        for pod in self.pods.values():
            pod.silent = False
            if not pod.assigned:
                self.delete(pod)
        for number in range(rounds):
            before = self.version, [(pod.version, pod.acknowledged) for pod in self.pods.values()]
            for pod in self.pods.values():
                self._live(pod)
                for server in SERVERS:
                    self.count(pod, server)
            for server in SERVERS:
                self.look_at_everything(0)
                self.decide(0, server)
                for pod in self.pods.values():
                    self.send(0, pod)
            self.check()
            if before == (self.version, [(pod.version, pod.acknowledged) for pod in self.pods.values()]):
                return number
        raise ViolationError(f"after {rounds} rounds there is still no rest")

    def _live(self, pod: Pod) -> None:
        self.end(pod)
        for server in SERVERS:
            pod.ghosts[server] = 0
        self.prove(pod)
        self.remove(pod)
        if not pod.exists:
            return
        self.deliver(pod, len(pod.written) - 1)
        self.apply(pod)
        for server in SERVERS:
            granted = pod.in_force.at(server) if pod.in_force else 0
            pod.conns[server] = min(pod.conns[server], granted)
        self.acknowledge(pod)
