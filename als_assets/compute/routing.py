"""Which site computes a scan: the first in order of preference against which nothing speaks, and the reason for each passed over.

Here: a pure function of the candidates, what is known of them, and the time. Not here: asking sites (``sites``), settings and export
control (``intake.dispatch``, which bars candidates). What is not known of a site does not speak against it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from als_assets.compute.health import SiteHealth
from als_assets.compute.history import Ending

# What a job may wait in a queue before it starts: a job that would still run into an outage is not sent.
QUEUE_S = 900.0
# So many jobs that failed one after another for the site's own reasons, and the site is left alone for a while.
FAULTS_IN_A_ROW = 3
LEFT_ALONE = timedelta(minutes=30)


@dataclass(frozen=True)
class Candidate:
    """A site that could do it. ``barred`` says why it must not (empty: it may), and only a person changes that."""

    site: str
    title: str
    walltime_s: int
    barred: str = ""
    health: SiteHealth | None = None
    credential_ends: datetime | None = None
    endings: Sequence[Ending] = ()
    open_jobs: int = 0
    most_jobs: int = 20


@dataclass(frozen=True)
class Objection:
    """Why a site is passed over, and until when (None: until something changes)."""

    words: str
    until: datetime | None = None


@dataclass(frozen=True)
class Route:
    """``site`` is empty when none fits: then it is held, ``until`` the first moment at which one may (None: nobody knows)."""

    site: str
    why: str
    passed: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None


def route(candidates: Sequence[Candidate], now: datetime, *, pinned: str = "", tried: Collection[str] = ()) -> Route:
    """The decision. ``pinned``: no other site than this; ``tried``: sites where it has just failed for a reason of theirs."""
    passed: dict[str, Objection] = {}
    for candidate in candidates:
        if pinned and candidate.site != pinned:
            continue
        against = objection(candidate, now, candidate.site in tried)
        if against is None:
            return Route(candidate.site, _praise(candidate, pinned, passed), _words(passed))
        passed[candidate.site] = against
    if pinned and not passed:
        passed[pinned] = Objection(f"{pinned} is pinned, but cannot run jobs")
    moments = [against.until for against in passed.values() if against.until is not None]
    listed = "; ".join(against.words for against in passed.values()) or "no site is listed"
    return Route("", listed, _words(passed), min(moments, default=None))


def objection(candidate: Candidate, now: datetime, tried: bool) -> Objection | None:
    """The first thing that speaks against a site, the lasting ones first."""
    end = now + timedelta(seconds=QUEUE_S + candidate.walltime_s)
    if candidate.barred:
        return Objection(candidate.barred)
    if tried:
        return Objection(f"{candidate.site} has just failed for a reason of its own")
    if candidate.credential_ends is not None and candidate.credential_ends <= end:
        when = f"{candidate.credential_ends:%Y-%m-%d %H:%M} UTC"
        verb = "has ended" if candidate.credential_ends <= now else "ends"
        return Objection(f"our credential for {candidate.site} {verb} ({when}), before a job would be over: renew it")
    return _unwell(candidate, now, end) or _failing(candidate, now) or _full(candidate)


def _full(candidate: Candidate) -> Objection | None:
    if candidate.open_jobs < candidate.most_jobs:
        return None
    return Objection(f"{candidate.site} has {candidate.open_jobs} of our jobs already, and {candidate.most_jobs} are its limit")


def _unwell(candidate: Candidate, now: datetime, end: datetime) -> Objection | None:
    health = candidate.health
    if health is None:
        return None
    outage = health.outage_from is not None and health.outage_from < end and (health.outage_to is None or health.outage_to > now)
    if not health.ok:
        return Objection(f"{candidate.site} takes no jobs: {health.sentence.rstrip('.')}", health.outage_to if outage else None)
    if outage:
        until = f" to {health.outage_to:%Y-%m-%d %H:%M}" if health.outage_to else ""
        return Objection(f"{candidate.site} is in maintenance from {health.outage_from:%Y-%m-%d %H:%M}{until} UTC", health.outage_to)
    return None


def _failing(candidate: Candidate, now: datetime) -> Objection | None:
    newest = candidate.endings[:FAULTS_IN_A_ROW]
    if len(newest) < FAULTS_IN_A_ROW or not all(ending.site_fault for ending in newest):
        return None
    until = newest[0].at + LEFT_ALONE
    if until <= now:
        return None
    words = f"the last {FAULTS_IN_A_ROW} jobs at {candidate.site} failed for its own reasons; it is left alone until {until:%H:%M} UTC"
    return Objection(words, until)


def _praise(candidate: Candidate, pinned: str, passed: Mapping[str, Objection]) -> str:
    if pinned:
        return f"{candidate.title} is pinned for this scan"
    why = f"{candidate.title} is the first site that is on and allowed"
    return f"{why} ({'; '.join(against.words for against in passed.values())})" if passed else why


def _words(passed: Mapping[str, Objection]) -> dict[str, str]:
    return {site: against.words for site, against in passed.items()}
