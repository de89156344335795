"""Every copy of one scan in words: when it goes, or why it stays.

Here: sentences for staff. Not here: the judgement (``plan``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from als_assets.facility import Facility
from als_assets.facility.retention import Retention
from als_assets.ledger import Ledger, Replica, ReplicaState
from als_assets.retention.plan import plan
from als_assets.retention.snapshot import Snapshot


def explained(facility: Facility, retention: Retention, ledger: Ledger, snapshot: Snapshot, key: str, now: datetime) -> Iterator[str]:
    """A sentence for each copy that was ever there, in the order of the record."""
    lines = {line.replica_id: line for line in plan(facility, retention, snapshot, now) if line.dataset_key == key}
    for row in sorted(ledger.replicas.of(key), key=lambda r: r.id):
        line = lines.get(row.id)
        if line is None:
            yield f"{row.product} at {row.location}: {_without_line(facility, retention, row)}"
        elif line.kept_because and not line.waits_for_proof(now):
            yield f"{row.product} at {row.location}: {line.kept_because} (its age allows it from {line.due:%Y-%m-%d})"
        elif line.kept_because:
            yield f"{row.product} at {row.location}: {line.kept_because}; prune proves it again first, then it goes ({line.why})"
        else:
            announced = f", announced on {line.announced_at:%Y-%m-%d %H:%M}" if line.announced_at else ""
            yield f"{row.product} at {row.location}: goes from {line.due:%Y-%m-%d %H:%M} UTC on{announced} ({line.why})"


def _without_line(facility: Facility, retention: Retention, row: Replica) -> str:
    if row.state is not ReplicaState.VERIFIED:
        return f"is {row.state}; only verified copies are ever planned for deletion"
    kind = facility.location(row.location).location_class
    if kind in retention.never_delete:
        return f"kept: copies at a location of class {kind} are never deleted"
    return f"kept: there is no rule for class {kind}"
