"""The deletion plan: for every copy at a place with a rule, when it goes and why, or what keeps it, in words.

Here: a pure function of the record, the policy and the time. Not here: requests to anybody, and deleting (``prune``). Changing the
policy changes the plan at once, because nothing is stored of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from als_assets.facility import Facility
from als_assets.facility.retention import Retention, RetentionRule
from als_assets.ledger import ReplicaState
from als_assets.ledger.products import RAW
from als_assets.retention.evidence import Judge, Proof
from als_assets.retention.snapshot import Copy, Snapshot
from als_assets.words import size_words


@dataclass(frozen=True)
class PlanLine:
    """One copy. ``due``: when its age allows it to go; ``why`` it goes then; ``kept_because`` is what keeps it (empty: nothing);
    ``proof`` are the copies that stand for it, and ``stale`` those of them that must be proven again first."""

    replica_id: int
    dataset_key: str
    what: str
    variant: str
    location: str
    size_bytes: int
    due: datetime
    why: str
    kept_because: str
    proof: tuple[int, ...] = ()
    stale: tuple[int, ...] = ()
    regenerable: bool = False
    announced_at: datetime | None = None

    def ready(self, now: datetime) -> bool:
        """Nothing keeps it any more."""
        return not self.kept_because and self.due <= now

    def waits_for_proof(self, now: datetime) -> bool:
        """Only an old proof keeps it, and that can be repeated."""
        return bool(self.stale) and self.due <= now


def plan(facility: Facility, retention: Retention, snapshot: Snapshot, now: datetime) -> list[PlanLine]:
    """A line for every verified copy whose place has a rule: first what goes, in that order, then what is kept.

    Raises:
        ConfigError: policy or record name a location that is not in the facility file.
    """
    for name in (*retention.locations, *retention.pressure):
        facility.location(name)
    judge = Judge(facility, retention, snapshot)
    lines = []
    for copy in snapshot.copies:
        rule = retention.rule_for(copy.location, facility.location(copy.location).location_class)
        if rule is not None and copy.state is ReplicaState.VERIFIED:
            lines.append(_line(facility, rule, judge, copy, snapshot, now))
    lines = _under_pressure(retention, lines, snapshot, now)
    return sorted(lines, key=lambda line: (bool(line.kept_because), line.due, not line.regenerable, line.replica_id))


def _line(facility: Facility, rule: RetentionRule, judge: Judge, copy: Copy, snapshot: Snapshot, now: datetime) -> PlanLine:
    proof = judge.proof_for(copy, rule)
    stale = proof.stale(timedelta(days=rule.proof_max_age_days), now)
    kept = _kept(copy, proof, snapshot, now)
    return PlanLine(
        replica_id=copy.id,
        dataset_key=copy.dataset_key,
        what=copy.product,
        variant=copy.variant,
        location=copy.location,
        size_bytes=copy.size_bytes,
        due=copy.since + timedelta(days=rule.min_age_days),
        why=_why(facility, rule, copy, proof),
        kept_because=kept or (_stale_words(facility, rule, stale, now) if stale else ""),
        proof=tuple(c.id for c in proof.copies),
        stale=() if kept else tuple(c.id for c in stale),
        regenerable=proof.regenerable,
        announced_at=copy.announced_at,
    )


def _why(facility: Facility, rule: RetentionRule, copy: Copy, proof: Proof) -> str:
    age = f"{rule.min_age_days:g} days at a {facility.location(copy.location).location_class} location"
    where = ", ".join(c.location for c in proof.copies)
    return f"{age}; can be made again from the raw file at {where}" if proof.regenerable else f"{age}; copies at {where}"


def _kept(copy: Copy, proof: Proof, snapshot: Snapshot, now: datetime) -> str:
    """The first reason that keeps the copy and that only a person or other work can remove; empty when there is none."""
    hold = snapshot.hold_on(snapshot.scans[copy.dataset_key], now)
    if hold is not None:
        until = f" until {hold.until:%Y-%m-%d}" if hold.until else ""
        return f"kept: {hold.who} holds it{until} ({hold.reason})"
    if copy.dataset_key in snapshot.busy:
        return f"kept: work on this scan is going on ({snapshot.busy[copy.dataset_key]})"
    return f"kept: {proof.missing}" if proof.missing else ""


def _stale_words(facility: Facility, rule: RetentionRule, stale: tuple[Copy, ...], now: datetime) -> str:
    oldest = min(stale, key=lambda c: c.proven_at)
    where = facility.sites[facility.site_of(oldest.location)].title
    if oldest.proven_at > now:
        return f"kept: the copy at {where} was verified on {oldest.proven_at:%Y-%m-%d %H:%M}, which is not yet; a clock was wrong"
    days = (now - oldest.proven_at).days
    return f"kept: the copy at {where} was last verified {days} days ago, limit {rule.proof_max_age_days:g}"


def _under_pressure(retention: Retention, lines: list[PlanLine], snapshot: Snapshot, now: datetime) -> list[PlanLine]:
    """Where space is short, what can be made or fetched again is due now, the oldest first, until enough would be free. Raw data
    never is."""
    changed: dict[int, PlanLine] = {}
    for location, pressure in retention.pressure.items():
        free = snapshot.free_bytes.get(location)
        if free is None or free >= pressure.free_below_bytes:
            continue
        words = f"only {size_words(free)} free at {location}, limit {size_words(pressure.free_below_bytes)}"
        for line in sorted(_can_go(lines, location), key=lambda line: (not line.regenerable, line.due, line.replica_id)):
            if free >= pressure.free_below_bytes:
                break
            free += line.size_bytes
            if line.due > now:
                changed[line.replica_id] = replace(line, due=now, why=f"{words}; {line.why}")
    return [changed.get(line.replica_id, line) for line in lines]


def _can_go(lines: Iterable[PlanLine], location: str) -> list[PlanLine]:
    return [line for line in lines if line.location == location and line.what != RAW and (line.stale or not line.kept_because)]
