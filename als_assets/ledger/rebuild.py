"""The table of copies made anew from the audit: every change of a copy left the columns that it set, and their sum is the copy.

Here: the form in which a change is kept, the fold over all changes, and the comparison with the table. Not here: the changes
themselves (``replicas``, ``datasets``), and any look at bytes: a rebuilt record says what was known, not what is true today.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Audit, Replica

_COLUMNS = [column.key for column in sa.inspect(Replica).column_attrs]
# A history may be older than this column.
_FIRST_COLUMNS = set(_COLUMNS) - {"after_operation"}


@dataclass(frozen=True)
class Difference:
    """One copy whose row is not what the audit says. ``columns`` are those that differ; empty: the row or its history is missing."""

    replica_id: int
    name: str
    columns: tuple[str, ...]
    repairable: bool

    @property
    def sentence(self) -> str:
        if not self.repairable:
            return f"{self.name}: the audit has no record of this copy; it is left as it is."
        return f"{self.name}: {', '.join(self.columns) or 'the row is missing'}"


def note_change(audit: AuditTrail, session: Session, row: Replica, *, why: str, **words: Any) -> None:
    """Write the audit row of a change, with the columns that it set. Call it last: it looks at what the session will write."""
    changed = {name for name in _COLUMNS if sa.inspect(row).attrs[name].history.has_changes()}
    new = sa.inspect(row).transient or sa.inspect(row).pending
    if new:
        session.flush()  # gives the row its number
    record = {name: _plain(getattr(row, name)) for name in (_COLUMNS if new else sorted(changed | {"id"}))}
    audit.add(session, row.name, dataset_key=row.dataset_key, why=why, record=record, **words)


def differences(engine: sa.Engine) -> list[Difference]:
    """Every copy whose row is not what the audit says it must be."""
    with reading(engine) as session:
        return list(_differences(session, _folded(session)))


def rebuild(engine: sa.Engine, audit: AuditTrail, *, who: str) -> list[Difference]:
    """Make the table of copies what the audit says, in one transaction; returns what was different. A copy that is only in the
    table stays: deleting a row would lose the knowledge of bytes that exist."""
    with writing(engine) as session:
        rows = _folded(session)
        found = list(_differences(session, rows))
        for difference in (d for d in found if d.repairable):
            row = rows[difference.replica_id]
            key = row["dataset_key"]
            # Where it is not known, nothing that was done before counts: the worst is a copy that is made once more.
            row.setdefault("after_operation", lookup.newest_operation(session, key))
            session.merge(Replica(**row))
            audit.add(session, difference.name, dataset_key=key, after="rebuilt", why=difference.sentence, who=who)
    return found


def _folded(session: Session) -> dict[int, dict[str, Any]]:
    """Replica id -> its columns, from the first change to the last."""
    rows: dict[int, dict[str, Any]] = {}
    query = sa.select(Audit.record).where(Audit.record.is_not(None)).order_by(Audit.id).execution_options(yield_per=1000)
    for record in session.scalars(query):
        assert record is not None  # the query asks for it
        rows.setdefault(record["id"], {}).update({name: _value(name, value) for name, value in record.items()})
    return rows


def _differences(session: Session, rows: dict[int, dict[str, Any]]) -> Iterator[Difference]:
    there = {row.id: row for row in session.scalars(sa.select(Replica).order_by(Replica.id))}
    for replica_id, row in there.items():
        if not rows.get(replica_id, {}).keys() >= _FIRST_COLUMNS:
            yield Difference(replica_id, row.name, (), repairable=False)
    for replica_id, wanted in sorted(rows.items()):
        if not wanted.keys() >= _FIRST_COLUMNS:
            continue  # its beginning is older than the records of changes
        known = there.get(replica_id)
        wrong = tuple(name for name in _COLUMNS if known is not None and name in wanted and getattr(known, name) != wanted[name])
        if known is None or wrong:
            yield Difference(replica_id, Replica(**wanted).name, wrong, repairable=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    if name == "packed_manifest":
        return base64.b64decode(value)
    return Replica.__table__.c[name].type.python_type(value) if name == "state" else value
