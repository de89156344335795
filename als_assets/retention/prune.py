"""Pruning: going through with the plan in two phases, announced first, and deleted after a time in which anybody can say *keep*.

Here: the phases. Not here: what is due (``plan``), and deleting with its proofs (``deleting``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from als_assets.facility import Facility
from als_assets.facility.retention import Retention
from als_assets.ledger import Ledger
from als_assets.ledger.acting import Actor
from als_assets.retention.deleting import Deleter, Pruned
from als_assets.retention.plan import PlanLine, plan
from als_assets.retention.snapshot import snapshot_of
from als_assets.transfer import TransferService

# An announcement that led to nothing for so long (a hold, a stricter rule) is forgotten by people, and made again.
ANNOUNCED_FOR = timedelta(days=7)
# The proofs of so many copies are looked at, then they are deleted, before the next ones are looked at.
BATCH = 50


def current_plan(facility: Facility, retention: Retention, ledger: Ledger, free_bytes: Mapping[str, int] | None = None) -> list[PlanLine]:
    return plan(facility, retention, snapshot_of(ledger, free_bytes), ledger.clock())


def prune(
    facility: Facility,
    retention: Retention,
    ledger: Ledger,
    transfers: TransferService,
    actor: Actor,
    *,
    dry_run: bool = False,
    free_bytes: Mapping[str, int] | None = None,
) -> list[Pruned]:
    """Finish what was cut off; announce what has become due; delete what was announced long enough ago and still is due.

    ``free_bytes``: free space by location, for the pressure rules.
    """
    now = ledger.clock()
    deleter = Deleter(facility, retention, ledger, transfers, actor)
    done = [] if dry_run else deleter.finish()
    doomed: list[PlanLine] = []
    for line in current_plan(facility, retention, ledger, free_bytes):
        if not (line.ready(now) or line.waits_for_proof(now)):
            continue
        early = _early(retention, ledger, line, now, dry_run)
        if early is None:
            doomed.append(line)
        else:
            done.append(early)
    for start in range(0, len(doomed), BATCH):
        done += deleter.delete(doomed[start : start + BATCH])
    return done


def _early(retention: Retention, ledger: Ledger, line: PlanLine, now: datetime, dry_run: bool) -> Pruned | None:
    """What is done with a line short of deleting it; None: now it is to be deleted."""
    grace, announced = timedelta(hours=retention.grace_hours), line.announced_at
    known = announced is not None and timedelta(0) <= now - announced <= grace + ANNOUNCED_FOR  # not from the future: a clock was wrong
    if grace > timedelta(0) and not known:
        if dry_run:
            return _of(line, "would announce", f"would go {retention.grace_hours:g} h after it was announced")
        ledger.replicas.announce_pruning(line.replica_id, f"due ({line.why}); deleted after {retention.grace_hours:g} h of grace")
        return _of(line, "announced", f"goes in {retention.grace_hours:g} h unless somebody holds it")
    if announced is not None and now - announced < grace:
        return _of(line, "waiting", f"goes on {announced + grace:%Y-%m-%d %H:%M} UTC")
    return _of(line, "would delete", "dry run: nothing was deleted") if dry_run else None


def _of(line: PlanLine, outcome: str, words: str) -> Pruned:
    return Pruned(line.dataset_key, line.what, line.location, outcome, words, line.size_bytes)
