"""A timeline as a person reads it: story.txt tells what changed, one line each; timeline.svg and .png show it."""

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import groupby
from pathlib import Path

from e2e.faults import plot
from e2e.faults.moments import (
    Acknowledged,
    Backends,
    Blind,
    GrantSeen,
    GrantWritten,
    LedgerGone,
    LedgerSeen,
    Mark,
    Moment,
    PodGone,
    PodSeen,
    Silent,
    Timeline,
)


def write(timeline: Timeline, title: str, again: str, folder: Path, log_peak: str) -> None:
    """Write story.txt, timeline.svg and timeline.png.

    `again` is the command that plays it again, `log_peak` what PostgreSQL's own log says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "story.txt").write_text(text(timeline, title, again, log_peak))
    for name in ("timeline.svg", "timeline.png"):
        plot.draw(timeline, title, folder / name)


def text(timeline: Timeline, title: str, again: str, log_peak: str) -> str:
    """The whole story."""
    over = timeline.backends_over()
    head = [
        title,
        f"again: {again}",
        f"seconds since {timeline.started:%Y-%m-%d %H:%M:%S.%f} UTC",
        f"backends of {timeline.server}: peak {log_peak} by PostgreSQL's log, {timeline.peak()} by samples, "
        f"{timeline.allowed()} allowed at most",
        *(f"OVER THE BUDGET at {each}" for each in over),
        "",
    ]
    lines = _Teller({each.backends.at for each in over}).lines(timeline)
    return "\n".join([*head, *(f"{at:8.2f}  {what}" for at, what in lines)]) + "\n"


class _Teller:
    """Tells each moment by what it changed."""

    def __init__(self, over: Set[float]) -> None:
        self._over = over
        self._ledgers: dict[str, LedgerSeen] = {}
        self._pods: dict[str, PodSeen] = {}
        self._agents: dict[str, Acknowledged] = {}
        self._grants: dict[str, GrantWritten] = {}
        self._names: dict[str, str] = {}

    def lines(self, timeline: Timeline) -> Iterator[tuple[float, str]]:
        kept = {backends.at for backends in thinned(timeline.of(Backends), self._over)}
        for moment in timeline.moments():
            if not isinstance(moment, Backends) or moment.at in kept:
                what = self._tell(moment)
                if what:
                    yield moment.at, what

    def _tell(self, moment: Moment) -> str:
        match moment:
            case Mark():
                return f"==== {moment.text}"
            case LedgerSeen():
                return self._ledger(moment)
            case LedgerGone():
                self._ledgers.pop(moment.server, None)
                return f"ledger {moment.server}: deleted"
            case GrantWritten():
                return self._grant(moment)
            case Backends():
                return self._backends(moment)
            case Blind():
                return "postgres: does not answer"
            case _:
                return self._pod(moment)

    def _pod(self, moment: PodSeen | PodGone | Acknowledged | Silent) -> str:
        match moment:
            case PodSeen():
                return self._pod_seen(moment)
            case PodGone():
                self._pods.pop(moment.pod, None)
                return f"pod {moment.pod}: gone"
            case Acknowledged():
                return self._agent(moment)
            case Silent():
                self._agents.pop(moment.pod, None)
                return f"agent {moment.pod}: silent"

    def _ledger(self, seen: LedgerSeen) -> str:
        before = self._ledgers.get(seen.server)
        self._ledgers[seen.server] = seen
        size = _change(before.connections if before else None, seen.connections)
        parts = [f"{seen.reserved} of {size} reserved"]
        if seen.unknown:
            parts[0] += f", {seen.unknown} of them by pods not heard of"
        if seen.recovering:
            parts[0] += ", recovering"
        if not seen.committed:
            parts[0] += ", not yet looked at by an operator"
        parts += _grant_changes(before.grants if before else (), seen.grants)
        return f"ledger {seen.server}: " + "; ".join(parts)

    def _grant(self, grant: GrantWritten) -> str:
        before = self._grants.get(grant.pod)
        self._grants[grant.pod] = grant
        cap = _change(before.cap if before else None, grant.cap)
        return f"grant {grant.pod}: cap {cap} (gen {grant.generation})"

    def _pod_seen(self, pod: PodSeen) -> str:
        before = self._pods.get(pod.pod)
        self._pods[pod.pod] = pod
        if pod.address:
            self._names[pod.address] = pod.pod
        found = []
        if before is None or (before.address, before.node) != (pod.address, pod.node):
            found.append(f"{pod.address or 'no address'} on {pod.node or 'no node'}")
        if pod.ready is not (before is not None and before.ready):
            found.append("ready" if pod.ready else "not ready")
        if pod.restarts != (before.restarts if before else 0):
            found.append(f"{pod.restarts} restarts")
        if pod.leaving and not (before and before.leaving):
            found.append("is to go")
        return f"pod {pod.pod}: " + ", ".join(found)

    def _agent(self, now: Acknowledged) -> str:
        """How many backends are open changes all the time: that is told only where it says something more."""
        before = self._agents.get(now.pod)
        self._agents[now.pod] = now
        if before is not None and _position(before) == _position(now):
            return ""
        generation = f"gen {now.acknowledged}"
        if now.acknowledged != now.generation:
            generation += f", gen {now.generation} not yet"
        return f"agent {now.pod}: {now.phase}, acknowledges {generation}; {now.open} open of cap {now.cap}"

    def _backends(self, backends: Backends) -> str:
        where = sorted((self._names.get(ip, ip), count) for ip, count in backends.by_address.items())
        parts = ", ".join(f"{name} {count}" for name, count in where)
        line = f"postgres: {backends.total}" + (f" ({parts})" if parts else "")
        return line + " OVER THE BUDGET" if backends.at in self._over else line


def thinned(backends: Sequence[Backends], over: Set[float]) -> list[Backends]:
    """Of each second the highest, the lowest and the last count, and those that were taken at a time in `over`."""
    kept: list[Backends] = []
    for _, group in groupby(backends, key=lambda each: int(each.at)):
        within = list(group)
        telling = {max(within, key=_total).at, min(within, key=_total).at, within[-1].at}
        kept += [each for each in within if each.at in telling | over]
    return kept


def _total(backends: Backends) -> int:
    return backends.total


def _position(agent: Acknowledged) -> tuple[int, int, int, str]:
    return agent.generation, agent.acknowledged, agent.cap, agent.phase


def _change(before: int | None, now: int) -> str:
    return f"{now}" if before in (None, now) else f"{before}->{now}"


def _grant_changes(before: Sequence[GrantSeen], now: Sequence[GrantSeen]) -> Iterator[str]:
    old: Mapping[str, GrantSeen] = {grant.uid: grant for grant in before}
    for grant in now:
        was = old.get(grant.uid)
        if was != grant:
            held = f", holds {grant.reserved}" if grant.reserved != grant.cap else ""
            sign = "" if was else "+"
            cap = _change(was.cap if was else None, grant.cap)
            yield f"{sign}{grant.pod} {cap} (gen {grant.generation}, {grant.state}{held})"
    staying = {grant.uid for grant in now}
    yield from (f"-{grant.pod}" for uid, grant in old.items() if uid not in staying)
