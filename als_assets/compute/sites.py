"""What is known of the sites: asked now and then by one process, kept in the record, read by everybody who decides.

Here: asking a site how it is and when our credential ends, and the knowledge for a decision. Not here: the decision (``routing``).
A site that does not answer is not well; one that cannot be asked (no status service) is not known to be ill.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from als_assets.compute.health import SiteHealth
from als_assets.compute.history import Ending, endings_at
from als_assets.compute.quota import Quota
from als_assets.compute.transport import TellsExpiry, TellsHealth, TellsQuota, Transport
from als_assets.errors import CredentialsRejected, SecretUnavailable, ServiceUnreachable
from als_assets.facility import Facility, not_set_up
from als_assets.ledger import Ledger, OperationKind
from als_assets.ledger.job_models import SiteState

ASK_EVERY = timedelta(seconds=60)
# A quota is asked by a command on a login node, which is not for every minute.
ASK_QUOTA_EVERY = timedelta(minutes=10)
# What was learnt longer ago says nothing any more: nobody has asked since.
STALE = timedelta(minutes=15)
LATELY = timedelta(hours=2)
# Before the end of a credential, staff hear of it at these distances.
WARN_BEFORE = (timedelta(days=7), timedelta(days=2), timedelta(hours=6))


@dataclass(frozen=True)
class Knowledge:
    """Of all sites, by name; what is absent is not known."""

    now: datetime
    health: Mapping[str, SiteHealth] = field(default_factory=dict)
    credentials: Mapping[str, datetime] = field(default_factory=dict)
    endings: Mapping[str, Sequence[Ending]] = field(default_factory=dict)
    open_jobs: Mapping[str, int] = field(default_factory=dict)


class Sites:
    """The sites of a facility that run jobs."""

    def __init__(self, facility: Facility, ledger: Ledger, transports: Mapping[str, Transport]) -> None:
        self._facility = facility
        self._ledger = ledger
        self._transports = transports
        self._quotas: dict[str, tuple[datetime, Quota | None]] = {}

    def ask_due(self, every: timedelta = ASK_EVERY) -> list[SiteState]:
        """Ask every site that was not asked for ``every``; their new states."""
        known, now = self._ledger.watching.states(), self._ledger.clock()
        due = [name for name in self._transports if name not in known or abs(now - known[name].asked_at) >= every]
        return [self.ask(name) for name in due]

    def ask(self, site: str) -> SiteState:
        """Ask one site, and keep what it says. One whose entry has words to fill in is not asked."""
        transport, blanks = self._transports[site], not_set_up(self._facility, site)
        if blanks:
            return self._keep(site, SiteHealth(False, f"{blanks}."), None)
        health = SiteHealth(True, f"{self._facility.sites[site].title} has no status service.")
        ends: datetime | None = None
        try:
            if isinstance(transport, TellsHealth):
                health = transport.health()
            if isinstance(transport, TellsExpiry):
                ends = transport.credential_expiry()
            health = self._with_quota(site, transport, health)
        except ServiceUnreachable as error:
            health = SiteHealth(False, error.sentence)
        except (CredentialsRejected, SecretUnavailable) as error:
            health = SiteHealth(False, f"{error.sentence} {error.next_step}")
        return self._keep(site, health, ends)

    def _with_quota(self, site: str, transport: Transport, health: SiteHealth) -> SiteHealth:
        """A site whose scratch is full for us takes no jobs; where nothing can be learnt of it, that does not speak against the site."""
        if not isinstance(transport, TellsQuota) or not health.ok:
            return health
        now = self._ledger.clock()
        if site not in self._quotas or abs(now - self._quotas[site][0]) >= ASK_QUOTA_EVERY:
            self._quotas[site] = (now, None)
            with contextlib.suppress(ServiceUnreachable):
                self._quotas[site] = (now, transport.quota())
        quota = self._quotas[site][1]
        if quota is None or not quota.full:
            return health
        return replace(health, ok=False, sentence=f"{quota.sentence} Prune there, or ask for more: jobs would lose their results.")

    def _keep(self, site: str, health: SiteHealth, ends: datetime | None) -> SiteState:
        state = SiteState(site=site, asked_at=self._ledger.clock(), ok=health.ok, sentence=health.sentence)
        state.outage_from, state.outage_to, state.credential_ends = health.outage_from, health.outage_to, ends
        self._ledger.watching.note_state(state)
        return state

    def knowledge(self) -> Knowledge:
        """All that is on record, for one decision."""
        now = self._ledger.clock()
        fresh = {name: row for name, row in self._ledger.watching.states().items() if abs(now - row.asked_at) <= STALE}
        health = {name: SiteHealth(row.ok, row.sentence, row.outage_from, row.outage_to) for name, row in fresh.items()}
        credentials = {name: row.credential_ends for name, row in fresh.items() if row.credential_ends is not None}
        jobs = [o for o in self._ledger.operations.open_ones() if o.kind is OperationKind.JOB]
        busy = Counter(str(o.request.get("site", "")) for o in jobs)
        return Knowledge(now, health, credentials, endings_at(self._ledger, LATELY), busy)


def expiry_stage(ends: datetime | None, now: datetime) -> int:
    """How many of the distances of ``WARN_BEFORE`` (and the end itself) are passed: 0 far, 4 ended."""
    return 0 if ends is None else sum(ends - now <= distance for distance in (*WARN_BEFORE, timedelta(0)))


def expiry_warning(title: str, ends: datetime | None, now: datetime) -> str:
    """What staff read about a credential that ends soon; empty while it is far."""
    stage = expiry_stage(ends, now)
    if ends is None or stage == 0:
        return ""
    left = ends - now
    if stage > len(WARN_BEFORE):
        return f"Our credential for {title} has ended ({ends:%Y-%m-%d %H:%M} UTC): no job can be submitted there until it is renewed."
    urgency = ("Renew it this week", "Renew it today", "Renew it now")[stage - 1]
    hours = left.total_seconds() / 3600
    words = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours" if hours >= 1 else "less than an hour"
    return f"Our credential for {title} ends in {words} ({ends:%Y-%m-%d %H:%M} UTC). {urgency}: the file is read again without a restart."
