"""The deletion plan: for every verified copy in a class with a rule, when it goes, or what keeps it, in words.

Here: a pure function of the record, the rules and the time. Not here: requests to anybody, and deleting (``prune``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from als_assets.facility import Facility
from als_assets.facility.settings import Retention, RetentionRule
from als_assets.ledger import Dataset, Hold, Operation, Replica, ReplicaState


@dataclass(frozen=True)
class Snapshot:
    """The part of the record that a plan depends on."""

    replicas: Sequence[Replica]
    datasets: Mapping[str, Dataset]
    open_operations: Sequence[Operation]
    hold_on: Callable[[Dataset], Hold | None]


@dataclass(frozen=True)
class PlanLine:
    """One copy: ``due`` is when it may go (None: never while ``kept_because`` holds)."""

    replica_id: int
    dataset_key: str
    what: str
    location: str
    size_bytes: int
    due: datetime | None
    proof: tuple[int, ...]
    kept_because: str

    def ready(self, now: datetime) -> bool:
        return not self.kept_because and self.due is not None and self.due <= now


def plan(facility: Facility, retention: Retention, snapshot: Snapshot, now: datetime) -> list[PlanLine]:
    """A line for every verified copy whose location's class has a rule, the first to go first."""
    lines = []
    for replica in snapshot.replicas:
        rule = retention.rules.get(facility.location(replica.location).location_class)
        if rule is not None and replica.state is ReplicaState.VERIFIED and replica.verified_at is not None:
            lines.append(_line(facility, rule, replica, snapshot, now))
    return sorted(lines, key=lambda line: (bool(line.kept_because), line.due or now, line.replica_id))


def _line(facility: Facility, rule: RetentionRule, replica: Replica, snapshot: Snapshot, now: datetime) -> PlanLine:
    assert replica.verified_at is not None  # chosen so by plan()
    others = _copies_elsewhere(facility, replica, snapshot.replicas)
    proof = others[: rule.verified_copies_elsewhere]
    return PlanLine(
        replica_id=replica.id,
        dataset_key=replica.dataset_key,
        what=replica.product,
        location=replica.location,
        size_bytes=replica.size_bytes or 0,
        due=replica.verified_at + timedelta(days=rule.min_age_days),
        proof=tuple(r.id for r in proof),
        kept_because=_kept(facility, rule, replica, proof, snapshot, now),
    )


def _copies_elsewhere(facility: Facility, replica: Replica, replicas: Sequence[Replica]) -> list[Replica]:
    """Verified copies of the same product at other sites, one for each site, the most recently proven first."""
    same = [
        r
        for r in replicas
        if (r.dataset_key, r.product, r.variant) == (replica.dataset_key, replica.product, replica.variant)
        and r.state is ReplicaState.VERIFIED
        and facility.site_of(r.location) != facility.site_of(replica.location)
    ]
    newest: dict[str, Replica] = {}
    for other in sorted(same, key=lambda r: r.verified_at or r.created_at, reverse=True):
        newest.setdefault(facility.site_of(other.location), other)
    return list(newest.values())


def _kept(facility: Facility, rule: RetentionRule, replica: Replica, proof: list[Replica], snapshot: Snapshot, now: datetime) -> str:
    """The first reason that keeps the copy, in words; empty when nothing does."""
    dataset = snapshot.datasets[replica.dataset_key]
    hold = snapshot.hold_on(dataset)
    if hold is not None:
        until = f" until {hold.until:%Y-%m-%d}" if hold.until else ""
        return f"kept: {hold.who} holds it{until} ({hold.reason})"
    if any(o.dataset_key == replica.dataset_key for o in snapshot.open_operations):
        return "kept: work on this scan is going on"
    if len(proof) < rule.verified_copies_elsewhere:
        return f"kept: {len(proof)} verified copies at other sites, {rule.verified_copies_elsewhere} are required"
    oldest = min(r.verified_at or r.created_at for r in proof)
    age = now - oldest
    if age > timedelta(days=rule.proof_max_age_days):
        where = facility.site_of(next(r for r in proof if (r.verified_at or r.created_at) == oldest).location)
        return f"kept: the copy at {where} was last verified {age.days} days ago, limit {rule.proof_max_age_days:g}"
    return ""
