"""Which version of the mounted Secrets is the newest, by what pods report: the operator reads no Secrets."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pgpool_pooler.contract import State


@dataclass
class SecretVersions:
    """Versions by pool, in the order in which some pod showed them first."""

    _seen: dict[str, list[str]] = field(default_factory=dict)

    def newest(self, pool: str, states: Iterable[State]) -> str:
        """The version that appeared last; empty before any pod was heard.

        After a restart of the operator the order of two versions may be unknown: then a pod that has the newest one
        may be poked too, which does no harm.
        """
        known = self._seen.setdefault(pool, [])
        present = [state.secrets_version for state in states if state.secrets_version]
        known += [version for version in dict.fromkeys(present) if version not in known]
        known[:] = [version for version in known if version in present]
        return known[-1] if known else ""
