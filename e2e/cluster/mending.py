"""What was broken in a node on purpose, and is still so when the run that broke it was killed."""

from collections.abc import Sequence

from e2e.cluster.shell import run

RULE_MARK = "pgpool-fault"
"""The comment of each packet filter rule that breaks something: by it the rule is found."""

MEND = f"""for program in iptables ip6tables; do
  for table in raw mangle; do
    $program -w -t $table -S | grep {RULE_MARK} | tr -d '"' | sed 's/^-A/-D/' |
      while read -r rule; do $program -w -t $table $rule; done
  done
done
systemctl start kubelet || true"""
"""The rules are taken out of the tables where faults put them; a kubelet that runs is left alone. A node that has
just begun to boot cannot be told to start one, and need not be."""


def mend(running: Sequence[str], paused: Sequence[str]) -> None:
    """Let nodes go on whose containers are paused, and mend what is broken in all that run."""
    if paused:
        run("docker", "unpause", *paused)
    for node in running:
        run("docker", "exec", node, "sh", "-c", MEND)
