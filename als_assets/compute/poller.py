"""Looking at jobs: one batched request for each site and tick, made by one process and read by all.

Here: the look that a step makes at its job, which asks the site only when it is due and nobody else does. Not here: the memory
(``ledger.watching``) and what a view means (``outcomes``). Each scan is a process of its own, so the memory is the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from als_assets.compute.outcomes import SchedulerView
from als_assets.compute.transport import Transport
from als_assets.errors import CredentialsRejected, ServiceUnreachable
from als_assets.ledger.watching import Seen, Watching

# Processes wake up a little early or late; a tick that is nearly due is due.
_NEARLY = 0.9


@dataclass(frozen=True)
class Look:
    """``view`` is None while the scheduler does not know the job (since ``missing_since``), or was not asked yet (both are None)."""

    view: SchedulerView | None
    missing_since: datetime | None


class Poller:
    """All jobs of one site. Any number of processes may look at once."""

    def __init__(self, watching: Watching, site: str, transport: Transport) -> None:
        self._watching = watching
        self._site = site
        self._transport = transport

    def look(self, job_id: str) -> Look:
        """The newest view of one job, at most one tick old.

        Raises:
            ServiceUnreachable: the site could not be asked at the last tick, by whomever. CredentialsRejected.
        """
        every = timedelta(seconds=self._transport.poll_s * _NEARLY)
        seen, due = self._watching.look(self._site, job_id, every)
        if due:
            asked = self._watching.claim(self._site, every)
            if asked is not None:
                self._ask(asked)
                seen, _ = self._watching.look(self._site, job_id, every)
        if seen.problem:
            raise ServiceUnreachable(seen.problem, next_step="It is asked again by itself.", site=self._site)
        return _look(seen)

    def forget(self, job_id: str) -> None:
        self._watching.forget(self._site, job_id)

    def _ask(self, job_ids: Sequence[str]) -> None:
        if not job_ids:
            return
        try:
            views = self._transport.look_many(job_ids)
        except (ServiceUnreachable, CredentialsRejected) as error:
            self._watching.unanswered(self._site, error.sentence)
            raise
        self._watching.answered(self._site, job_ids, {name: (asdict(view), not view.live) for name, view in views.items()})


def _look(seen: Seen) -> Look:
    return Look(None if seen.view is None else SchedulerView(**seen.view), seen.missing_since)
