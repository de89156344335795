"""Copies of scans with ages in days, and the plan that follows from them.

Here: a world without a database. Not here: any promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import Hold, ReplicaState
from als_assets.retention.plan import PlanLine, plan
from als_assets.retention.snapshot import Copy, Scan, Snapshot

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ONE = RawLeft(copies=1, sites=1, archive=False)
RULE = RetentionRule(min_age_days=14, raw=ONE)


def policy(rule: RetentionRule = RULE, **changes: object) -> Retention:
    return Retention.model_validate({"first_raw": ONE, "rules": {LocationClass.SCRATCH: rule}, **changes})


@dataclass
class World:
    """What is on record."""

    copies: list[Copy] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    busy: dict[str, str] = field(default_factory=dict)
    raw_gone: set[str] = field(default_factory=set)
    disputed: dict[str, str] = field(default_factory=dict)
    recipes: set[tuple[str, str, str]] = field(default_factory=set)
    free: dict[str, int] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def copy(
        self,
        location: str,
        age: float,
        *,
        key: str = "sand",
        product: str = "raw",
        variant: str = "",
        state: ReplicaState = ReplicaState.VERIFIED,
        proven: float | None = None,
        size: int = 100,
    ) -> World:
        """One more copy, ``age`` days old and proven ``proven`` days ago (default: when it came)."""
        since, last = NOW - timedelta(days=age), NOW - timedelta(days=age if proven is None else proven)
        path = f"{key}/{product}{variant}"
        self.copies.append(Copy(next(self._ids), key, product, variant, location, path, state, size, since, last))
        return self

    def snapshot(self) -> Snapshot:
        scans = {c.dataset_key: Scan(c.dataset_key, "bl832", "ALS-1") for c in self.copies}
        return Snapshot(
            self.copies, scans, frozenset(self.raw_gone), self.disputed, self.busy, self.holds, frozenset(self.recipes), self.free
        )

    def plan(self, facility: Facility, retention: Retention | None = None, now: datetime = NOW) -> list[PlanLine]:
        return plan(facility, retention or policy(), self.snapshot(), now)

    def line(self, facility: Facility, retention: Retention | None = None, now: datetime = NOW) -> PlanLine:
        """That of the first copy."""
        return next(line for line in self.plan(facility, retention, now) if line.replica_id == 1)


def hold(until: datetime | None = None, *, key: str | None = "sand", proposal: str | None = None) -> Hold:
    return Hold(who="ada", reason="paper", until=until, dataset_key=key, proposal=proposal)


def with_archive(facility: Facility, location: str = "far_raw") -> Facility:
    """The facility with one location as an archive."""
    place = facility.location(location).model_copy(update={"location_class": LocationClass.ARCHIVE})
    return facility.model_copy(update={"locations": {**facility.locations, location: place}})
