"""A timeline as a picture: faults, the ledger against PostgreSQL, and what each pod makes of its grant."""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from e2e.faults.moments import (
    BEGINS,
    ENDS,
    Acknowledged,
    Backends,
    Blind,
    GrantWritten,
    LedgerGone,
    LedgerSeen,
    Mark,
    PodGone,
    Silent,
    Timeline,
)

_MARK_ROWS = 4
"""Texts of marks that follow each other closely are written below each other."""
_TOLD_STATES = ("Unknown", "Draining")
_PAD = 0.02
"""Of the length, to the right of the last moment."""


def draw(timeline: Timeline, title: str, path: Path) -> None:
    """Write the picture; the path's ending says which format (svg, png)."""
    pods, end = _pods(timeline), _end(timeline)
    heights = [0.9, 4.0, *(1.1 for _ in pods)]
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure = Figure(figsize=(14, sum(heights) + 1.0), layout="constrained")
        marks, budget, *rest = figure.subplots(
            len(heights), 1, sharex=True, squeeze=True, height_ratios=heights
        )
        figure.suptitle(f"{title}: {timeline.server}, seconds since {timeline.started:%H:%M:%S} UTC")
        _marks(marks, timeline, end)
        _budget(budget, timeline, pods, end)
        top = max(timeline.allowed(), 1) * 1.15
        for number, (axes, pod) in enumerate(zip(rest, pods, strict=True)):
            _pod(axes, timeline, pod, _color(number), end)
            axes.set_ylim(0, top)
        if rest:
            rest[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8, frameon=False)
        for axes in (budget, *rest):
            _shade(axes, timeline, end)
        marks.set_xlim(0, end)
        (rest or [budget])[-1].set_xlabel("seconds")
        figure.savefig(path)


def _pods(timeline: Timeline) -> list[str]:
    """Those that the server's ledger ever named, in the order of their coming."""
    seen = (ledger for ledger in timeline.of(LedgerSeen) if ledger.server == timeline.server)
    return list(dict.fromkeys(grant.pod for ledger in seen for grant in ledger.grants))


def _end(timeline: Timeline) -> float:
    last = max((moment.at for moment in timeline.moments()), default=0.0)
    return max(last * (1 + _PAD), 1.0)


def _color(number: int) -> str:
    """One of matplotlib's default colours."""
    return f"C{number % 10}"


def _marks(axes: Axes, timeline: Timeline, end: float) -> None:
    for number, mark in enumerate(timeline.of(Mark)):
        row = number % _MARK_ROWS
        left = mark.at < 0.75 * end
        axes.axvline(mark.at, color=_mark_color(mark), linewidth=0.8)
        axes.text(
            mark.at,
            _MARK_ROWS - row - 0.5,
            f" {mark.text} ",
            ha="left" if left else "right",
            va="center",
            fontsize=8,
        )
    axes.set_ylim(0, _MARK_ROWS)
    axes.set_yticks([])
    axes.set_ylabel("marks")
    _shade(axes, timeline, end)


def _mark_color(mark: Mark) -> str:
    return "tab:red" if mark.text.endswith((BEGINS, ENDS)) else "tab:gray"


def _shade(axes: Axes, timeline: Timeline, end: float) -> None:
    for _, begin, until in timeline.faults():
        axes.axvspan(begin, min(until, end), color="tab:red", alpha=0.08, linewidth=0)
    for mark in timeline.of(Mark):
        axes.axvline(mark.at, color=_mark_color(mark), linewidth=0.8, alpha=0.6)


def _budget(axes: Axes, timeline: Timeline, pods: Sequence[str], end: float) -> None:
    versions = [
        seen
        for seen in timeline.moments()
        if isinstance(seen, LedgerSeen | LedgerGone) and seen.server == timeline.server
    ]
    if versions and pods:
        times = [*(seen.at for seen in versions), end]
        stacks = [_extended([_reserved(seen, pod) for seen in versions]) for pod in pods]
        colors = [_color(number) for number in range(len(pods))]
        axes.stackplot(times, stacks, colors=colors, step="post", alpha=0.45, labels=pods)
    sizes = [(seen.at, float(seen.connections)) for seen in timeline.ledgers()]
    axes.step(*_steps(sizes, end), where="post", color="red", linewidth=1.6, label="budget")
    looks = [(backends.at, float(backends.total)) for backends in timeline.of(Backends)]
    gaps = [(blind.at, nan) for blind in timeline.of(Blind)]
    counted = _steps(sorted([*looks, *gaps]), end)
    axes.step(*counted, where="post", color="black", linewidth=1.1, label="backends in PostgreSQL")
    for over in timeline.backends_over():
        axes.plot(over.at, over.backends.total, marker="v", color="red", markersize=9)
    axes.set_ylabel("reserved by the ledger (areas),\nbackends (line)")
    axes.set_ylim(0, max(timeline.allowed(), timeline.peak(), 1) * 1.15)
    axes.legend(loc="lower left", ncols=3, fontsize=8)


def _reserved(ledger: LedgerSeen | LedgerGone, pod: str) -> int:
    if isinstance(ledger, LedgerGone):
        return 0
    return sum(grant.reserved for grant in ledger.grants if grant.pod == pod)


def _extended(values: Sequence[int]) -> list[int]:
    """The last value holds to the end."""
    return [*values, values[-1]]


def _pod(axes: Axes, timeline: Timeline, pod: str, color: str, end: float) -> None:
    gone = next((moment.at for moment in timeline.of(PodGone) if moment.pod == pod), end)
    written = [grant for grant in timeline.of(GrantWritten) if grant.pod == pod]
    heard = [said for said in timeline.of(Acknowledged) if said.pod == pod]
    silences = [silent.at for silent in timeline.of(Silent) if silent.pod == pod]
    acknowledged = [said for said in heard if said.acknowledged == said.generation]
    opened = sorted([*((said.at, said.open) for said in heard), *((at, 0) for at in silences)])
    axes.fill_between(*_steps(opened, gone), step="post", color=color, alpha=0.45, label="open, as it says")
    grants = [(grant.at, grant.cap) for grant in written]
    axes.step(*_steps(grants, gone), where="post", color="black", linewidth=1.6, label="cap granted")
    caps = [(said.at, said.cap) for said in acknowledged]
    axes.step(
        *_steps(caps, gone),
        where="post",
        color="tab:blue",
        linestyle="--",
        linewidth=1.4,
        label="acknowledged",
    )
    _held(axes, timeline, pod, end)
    for at in silences:
        until = min([said.at for said in heard if said.at > at] + [gone])
        axes.axvspan(at, until, facecolor="none", edgecolor="gray", hatch="///", alpha=0.6)
        axes.text(at, 0.7, " silent", **_small(axes))
    if gone < end:
        axes.text(gone, 0.85, " gone", **_small(axes))
    axes.set_title(pod, loc="left", fontsize=9, pad=2)


def _held(axes: Axes, timeline: Timeline, pod: str, end: float) -> None:
    """What the ledger reserves for the pod, and the states that explain why nobody else may have it."""
    versions = [seen for seen in timeline.of(LedgerSeen) if seen.server == timeline.server]
    reserved = _steps([(seen.at, _reserved(seen, pod) or nan) for seen in versions], end)
    axes.step(
        *reserved, where="post", color="tab:red", linestyle=":", linewidth=1.2, label="reserved by the ledger"
    )
    before = ""
    for seen in versions:
        state = next((grant.state for grant in seen.grants if grant.pod == pod), "")
        if state != before and state in _TOLD_STATES:
            axes.text(seen.at, 0.55, f" {state}", **_small(axes))
        before = state


def _small(axes: Axes) -> dict[str, Any]:
    """Text at a time and a share of the panel's height."""
    return {"fontsize": 8, "va": "center", "transform": axes.get_xaxis_transform()}


def _steps(points: Sequence[tuple[float, float]], end: float) -> tuple[list[float], list[float]]:
    """Times and values, the last of which holds to the end."""
    kept = [point for point in points if point[0] <= end]
    if kept:
        kept = [*kept, (end, kept[-1][1])]
    return [at for at, _ in kept], [value for _, value in kept]
