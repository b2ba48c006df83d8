"""A run as a picture: load, replicas, budget, waiting, over one axis of time."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .record import Run

_REASON_ROWS = 4
"""Reasons that follow each other closely are written below each other."""


def draw(run: Run, title: str, path: Path) -> None:
    """Write the picture; the path's ending says which format (svg, png)."""
    figure = Figure(figsize=(12, 13), layout="constrained")
    load, replicas, budget, waiting = figure.subplots(4, 1, sharex=True)
    figure.suptitle(title)
    _load(load, run)
    _replicas(replicas, run)
    _budget(budget, run)
    _waiting(waiting, run)
    waiting.set_xlabel("seconds")
    waiting.set_xlim(0, run.scenario.seconds)
    figure.savefig(path)


def _load(axes: Axes, run: Run) -> None:
    times = [moment.at for moment in run.moments]
    axes.plot(times, [moment.clients for moment in run.moments], color="tab:blue", label="clients")
    axes.set_ylabel("clients")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    right.plot(times, _smooth([m.rate for m in run.moments]), color="tab:green", label="transactions/s")
    offered = [(load.at, load.rate) for load in run.scenario.loads if load.rate]
    if offered:
        right.step(*zip(*offered, strict=True), where="post", color="tab:gray", label="arrivals/s")
    right.set_ylabel("per second")
    right.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    right.legend(loc="upper right")


def _replicas(axes: Axes, run: Run) -> None:
    times = [moment.at for moment in run.moments]
    axes.step(times, [moment.wanted for moment in run.moments], where="post", label="wanted")
    axes.step(times, [moment.ready for moment in run.moments], where="post", linestyle="--", label="ready")
    highest = run.scenario.autoscaling.max_replicas
    for number, (at, reason) in enumerate(run.reasons):
        axes.axvline(at, color="lightgray", linewidth=0.5)
        row = highest + 1 + (number % _REASON_ROWS) * 0.12 * (highest + 1)
        axes.text(at, row, reason.value, fontsize=7)
    axes.set_ylim(0, (highest + 1) * 1.6)
    axes.set_ylabel("pods, reasons")
    axes.legend(loc="center right")


def _budget(axes: Axes, run: Run) -> None:
    times = [moment.at for moment in run.moments]
    uids = sorted({uid for moment in run.moments for uid in moment.caps})
    caps = [[moment.caps.get(uid, 0) for moment in run.moments] for uid in uids]
    axes.stackplot(times, caps, labels=uids, step="post", alpha=0.7)
    axes.plot(times, [moment.open for moment in run.moments], color="black", linewidth=0.8, label="backends")
    axes.axhline(run.budget, color="red", label=f"B = {run.budget}")
    axes.set_ylabel("connections")
    axes.legend(loc="lower left", ncols=4, fontsize=7)


def _waiting(axes: Axes, run: Run) -> None:
    times = [moment.at for moment in run.moments]
    axes.plot(times, [moment.waiting for moment in run.moments], color="tab:orange", label="waiting clients")
    axes.set_ylabel("clients")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    right.plot(times, [moment.longest_wait for moment in run.moments], color="tab:red", label="longest wait")
    right.set_ylabel("seconds")
    right.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    right.legend(loc="upper right")


def _smooth(values: list[float], over: int = 10) -> list[float]:
    windows = (values[max(0, end - over) : end] for end in range(1, len(values) + 1))
    return [sum(window) / len(window) for window in windows]
