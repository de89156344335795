"""The stages of a service session, and the way from one to the next by what is seen of its jobs.

Here: a pure function. Not here: looking (``streaming``). Silence is not the end: a job that the scheduler does not know at the moment
gets a grace time, and a service that stops beating is told, not killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from als_assets.compute.outcomes import SchedulerView, judge
from als_assets.ledger.job_models import ServiceSession
from als_assets.words import duration_words

# What a submission may need to show up in the scheduler's lists.
BEGIN_GRACE = timedelta(minutes=2)
SILENT = timedelta(seconds=60)
LAST_CALL = timedelta(minutes=5)


class Stage(StrEnum):
    REQUESTED = "requested"
    QUEUED = "queued"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True)
class Signs:
    """What was seen of one job: the scheduler's view (None: it does not know it), the ready file, the last heartbeat (ISO 8601)."""

    job_id: str
    walltime_s: int
    asked_at: str
    view: SchedulerView | None
    ready: Mapping[str, Any] = field(default_factory=dict)
    beat: str = ""
    last_error: str = ""

    def live(self, now: datetime) -> bool:
        if self.view is not None:
            return self.view.live
        return now - datetime.fromisoformat(self.asked_at) < BEGIN_GRACE


@dataclass(frozen=True)
class Change:
    """Where a session goes. ``replaced`` are jobs whose successor is ready."""

    stage: Stage
    sentence: str
    ends_at: datetime | None = None
    replaced: tuple[str, ...] = ()


def newest_of(session: ServiceSession) -> dict[str, Any]:
    """The job that was asked for last."""
    return dict(session.jobs["list"][-1])


def advance(session: ServiceSession, signs: Sequence[Signs], now: datetime) -> Change:
    """The stage that follows from the signs of all jobs of the session, the oldest first."""
    live = [one for one in signs if one.live(now)]
    if session.stop_asked_at is not None:
        if live:
            return Change(Stage.DRAINING, "It was asked to stop; its job is still there.", session.ends_at)
        return Change(Stage.ENDED, "It was stopped, and the scheduler says that nothing of it is left.")
    if not signs:
        return Change(Stage.REQUESTED, session.sentence)
    if not live:
        return _over(signs[-1], Stage(session.state))
    ready = [one for one in live if one.ready]
    if ready:
        return _ready(ready[-1], [one.job_id for one in live if one.job_id not in {r.job_id for r in ready[-1:]} and one.ready], now, live)
    first = live[-1]
    if first.view is not None and first.view.state == "RUNNING":
        return Change(Stage.STARTING, f"Job {first.job_id} runs on {first.view.nodes}; the service does not answer yet.")
    return Change(Stage.QUEUED, f"Job {first.job_id} waits in the queue.")


def _ready(serving: Signs, replaced: list[str], now: datetime, live: Sequence[Signs]) -> Change:
    began = _moment(serving.ready.get("at")) or now
    ran = serving.view.used_s if serving.view is not None else None
    ends = (now - timedelta(seconds=ran) if ran else began) + timedelta(seconds=serving.walltime_s)
    words = f"Ready at {serving.ready.get('host')}:{serving.ready.get('port')} (job {serving.job_id}), until {ends:%H:%M} UTC."
    beat = _moment(serving.beat)
    if beat is not None and now - beat > SILENT:
        words = f"Silent for {duration_words((now - beat).total_seconds())}: {words} Look at its log, or stop it."
    elif ends - now < LAST_CALL and len(live) == 1:
        words = f"Ends in {duration_words(max(0.0, (ends - now).total_seconds()))}: {words} Extend it now: als stream start --extend"
    return Change(Stage.READY, words, ends, tuple(replaced))


def _over(last: Signs, stage: Stage) -> Change:
    """Every job has ended and nobody asked for it."""
    if last.view is None:
        return Change(Stage.FAILED, f"Job {last.job_id} is not known to the scheduler.")
    if last.view.state.startswith("TIMEOUT") and stage in (Stage.READY, Stage.DRAINING):
        return Change(Stage.ENDED, f"Its time of {duration_words(last.walltime_s)} was over.")
    code = last.view.exit_code or "0:0"
    if last.view.state == "COMPLETED" and code == "0:0" and stage is Stage.READY:
        return Change(Stage.ENDED, "The service ended by itself.")
    why = f": {last.last_error}" if last.last_error else ""
    what = "ended before it was ready" if last.view.state == "COMPLETED" else judge(last.view, None, []).what
    return Change(Stage.FAILED, f"Job {last.job_id} {what}{why}".rstrip(".") + ".")


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
