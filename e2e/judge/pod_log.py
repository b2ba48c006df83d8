"""A pod's log as its node has it: it goes on while the API server is down, and through the container's restarts."""

import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from e2e.kube import Kubectl

RESTARTS = 10
"""How many restarts of the container are followed."""
_FOLLOW = 'tail --quiet --lines=0 --follow=name --retry "$@" & cat > /dev/null; kill $!'
"""Ends with its standard input: a process in a container outlives the client that started it."""
_STAMP_WORDS = 3
"""What the container runtime puts before each line: its time, the stream, and whether the line is whole."""


@contextmanager
def following(kubectl: Kubectl, pod: str, container: str) -> Iterator[list[str]]:
    """What the container writes from now on, line by line: the list grows, and is whole after the block."""
    found = kubectl.get("pod", pod)
    assert found is not None, f"no pod {pod}"
    node, uid = found["spec"]["nodeName"], found["metadata"]["uid"]
    folder = f"/var/log/pods/{kubectl.namespace}_{pod}_{uid}/{container}"
    (status,) = [s for s in found["status"]["containerStatuses"] if s["name"] == container]
    first = int(status["restartCount"])
    files = [f"{folder}/{number}.log" for number in range(first, first + RESTARTS)]
    lines: list[str] = []
    with subprocess.Popen(
        ["docker", "exec", "-i", node, "sh", "-c", _FOLLOW, "follow", *files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.stdin.close()
            reader.join()


def _read(log: Iterable[str], lines: list[str]) -> None:
    """Keep what the container wrote, without what its runtime puts before it."""
    lines.extend(line.split(" ", _STAMP_WORDS)[-1] for line in log)
