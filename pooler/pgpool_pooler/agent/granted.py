"""The grant that the pod follows: persisted before it is followed, and kept whatever is offered after it."""

import structlog

from . import grants
from .drain import Clock
from .hold import Lives
from .store import Store

log = structlog.get_logger()


class Granted:
    """Takes what `grants` judges good."""

    def __init__(self, store: Store, uid: str, lives: Lives, clock: Clock) -> None:
        """`uid`, the pod's."""
        self._store = store
        self._uid = uid
        self._lives = lives
        self._clock = clock
        self.grant = store.grant()
        self.takes_away = self.grant is not None and store.takes_away(self.grant)
        """Whether it allows no more than the one before it."""
        self.refused = ""
        """Why what is offered now is not followed; empty if it is."""
        self.refusals = 0
        """Grants that were refused since the agent started."""

    def take(self, text: str) -> bool:
        """Judge the text of the grant file; returns whether there is another grant to follow now."""
        verdict = grants.judge(text, self.grant, self._uid)
        if isinstance(verdict, grants.Accepted):
            verdict = self._accept(verdict)
        refused = verdict.why if isinstance(verdict, grants.Refused) else ""
        if refused and refused != self.refused:
            self.refusals += 1
            log.warning("grant refused", why=refused)
        self.refused = refused
        return isinstance(verdict, grants.Accepted)

    def _accept(self, verdict: grants.Accepted) -> grants.Verdict:
        """Persist a grant, then follow it."""
        takes_away = self.grant is not None and grants.takes_away(verdict.grant, self.grant)
        try:
            self._store.keep_grant(verdict.grant, takes_away=takes_away)
        except OSError as error:
            return grants.Refused(f"cannot be persisted, free the pod's volume for its data: {error}")
        if self.grant is None and grants.may_have_been_followed(verdict.grant):
            self._lives.ended(self._clock.now(), detects_dead_clients=False)
        self.grant, self.takes_away = verdict.grant, takes_away
        log.info("grant accepted", grant=verdict.grant.model_dump(mode="json", by_alias=True))
        return verdict
