"""What the board reads from the record, for many scans at once and without their manifests.

Here: queries, all of them reads, and the bundle ``ScanRecord`` that pages are made of. Not here: what follows from it (``safety``,
``steps``, ``state``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import defer

from als_assets.ledger import Audit, Dataset, Hold, Ledger, Operation, OutboxRow, Replica, Worker
from als_assets.ledger.database import reading
from als_assets.ledger.states import OPEN_OPERATIONS
from als_assets.ledger.workers import SILENCE, Life

DISPATCH = "dispatch of "
# A step that failed leaves such a row: ``why`` is the sentence, evidence holds "next_step", "page" and "run_id".
STEP = "step "
MOST_WORDS = 8

Row = TypeVar("Row", Replica, Operation, OutboxRow, Audit)


@dataclass(frozen=True)
class ScanRecord:
    """Everything on record about one scan that decides what its page says.

    ``operations``, ``notes`` (decisions and failed steps) are newest first; ``living`` and ``gone`` are runs whose process is known
    to be there, or known not to be.
    """

    dataset: Dataset
    replicas: Sequence[Replica]
    operations: Sequence[Operation]
    notes: Sequence[Audit]
    living: frozenset[str]
    gone: frozenset[str]
    hold: Hold | None = None
    outbox: Sequence[OutboxRow] = ()

    @property
    def decision(self) -> Audit | None:
        """The newest dispatch: which steps and which site, with reasons."""
        return next((n for n in self.notes if n.subject.startswith(DISPATCH)), None)

    def failures_of(self, asset: str) -> list[Audit]:
        """What a step left when it failed, newest first."""
        return [n for n in self.notes if n.subject == f"{STEP}{asset} of {self.dataset.key}"]


def find_datasets(ledger: Ledger, text: str, *, limit: int, offset: int = 0) -> Sequence[Dataset]:
    """The newest scans; with ``text``, those that have each of its words in key, proposal, folder or file name (any case)."""
    query = sa.select(Dataset)
    for word in text.split()[:MOST_WORDS]:
        columns = (Dataset.key, Dataset.proposal, Dataset.folder, Dataset.file_name)
        query = query.where(sa.or_(*(column.icontains(word, autoescape=True) for column in columns)))
    with reading(ledger.engine) as session:
        return session.scalars(query.order_by(Dataset.admitted_at.desc(), Dataset.key).limit(limit).offset(offset)).all()


def read_scans(ledger: Ledger, datasets: Sequence[Dataset]) -> list[ScanRecord]:
    """The records of these scans, in the same order."""
    keys = [d.key for d in datasets]
    noteworthy = sa.or_(Audit.subject.startswith(DISPATCH), Audit.subject.startswith(STEP))
    with reading(ledger.engine) as session:
        copies = sa.select(Replica).where(Replica.dataset_key.in_(keys)).options(defer(Replica.packed_manifest)).order_by(Replica.id)
        replicas = _by_key(session.scalars(copies))
        operations = _by_key(session.scalars(sa.select(Operation).where(Operation.dataset_key.in_(keys)).order_by(Operation.id.desc())))
        unwritten = sa.select(OutboxRow).where(OutboxRow.dataset_key.in_(keys), OutboxRow.done_at.is_(None)).order_by(OutboxRow.id)
        outbox = _by_key(session.scalars(unwritten))
        notes = _by_key(session.scalars(sa.select(Audit).where(Audit.dataset_key.in_(keys), noteworthy).order_by(Audit.id.desc())))
    runs = _runs(ledger, keys, [o for rows in operations.values() for o in rows])
    lives = {run: ledger.workers.life_of(run) for run in {run for group in runs.values() for run in group}}
    return [
        ScanRecord(
            dataset,
            replicas[dataset.key],
            operations[dataset.key],
            notes[dataset.key],
            living=frozenset(run for run in runs[dataset.key] if lives[run] is Life.ALIVE),
            gone=frozenset(run for run in runs[dataset.key] if lives[run] is Life.GONE),
            hold=ledger.holds.on(dataset),
            outbox=outbox[dataset.key],
        )
        for dataset in datasets
    ]


def _by_key(rows: Iterable[Row]) -> dict[str | None, list[Row]]:
    found: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.dataset_key].append(row)
    return found


def _runs(ledger: Ledger, keys: Sequence[str], operations: Iterable[Operation]) -> dict[str, set[str]]:
    """Runs by scan that may be at work: those that beat lately, and those that hold an open operation."""
    since = ledger.clock() - SILENCE - timedelta(minutes=1)
    with reading(ledger.engine) as session:
        query = sa.select(Worker.dataset_key, Worker.run_id).where(Worker.dataset_key.in_(keys), Worker.heartbeat_at > since)
        pairs = [(str(key), str(run)) for key, run in session.execute(query)]
    pairs += [(o.dataset_key, o.holder) for o in operations if o.holder and o.state in OPEN_OPERATIONS]
    found: dict[str, set[str]] = defaultdict(set)
    for key, run in pairs:
        found[key].add(run)
    return found
