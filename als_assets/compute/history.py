"""What the record says of earlier jobs at a site: how long they took, and whether the site has been failing.

Here: reading finished operations. Not here: what follows (``walltime``, ``routing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from als_assets.compute.outcomes import Reason
from als_assets.compute.walltime import Past
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.database import reading

# As far back as anything is learnt from.
_NEWEST = 300


@dataclass(frozen=True)
class Ending:
    """A job that ended at a site, and whether the site was to blame for a failure."""

    at: datetime
    success: bool
    site_fault: bool
    sentence: str


def _finished(ledger: Ledger) -> Sequence[Operation]:
    """The newest finished jobs of all sites, the newest first."""
    over = (OperationState.SUCCEEDED, OperationState.FAILED)
    with reading(ledger.engine) as session:
        query = sa.select(Operation).where(Operation.kind == OperationKind.JOB, Operation.state.in_(over))
        return session.scalars(query.order_by(Operation.id.desc()).limit(_NEWEST)).all()


def past_of(ledger: Ledger, site: str, step: str) -> list[Past]:
    """Jobs at a site whose first step was ``step``."""
    found = []
    for operation in _finished(ledger):
        report, request = operation.outcome.get("report"), operation.request
        if report is None or request.get("site") != site or request.get("steps", [None])[0] != step:
            continue
        cut_off = report.get("reason") == Reason.TIMEOUT
        if (report.get("reason") == Reason.NONE or cut_off) and report.get("used_s"):
            found.append(Past(int(request.get("size_bytes", 0)), float(report["used_s"]), cut_off))
    return found


def endings_at(ledger: Ledger, within: timedelta) -> dict[str, list[Ending]]:
    """Site -> how its jobs ended lately, the newest first."""
    since = ledger.clock() - within
    found: dict[str, list[Ending]] = {}
    for operation in _finished(ledger):
        if operation.finished_at is None or operation.finished_at < since:
            continue
        report = operation.outcome.get("report") or {}
        guilty = bool(report.get("site_fault", operation.outcome.get("site_fault", False)))
        ending = Ending(
            operation.finished_at, operation.state is OperationState.SUCCEEDED, guilty, str(operation.outcome.get("sentence", ""))
        )
        found.setdefault(str(operation.request.get("site", "")), []).append(ending)
    return found
