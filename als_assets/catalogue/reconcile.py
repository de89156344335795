"""The record of scans and SciCat compared, both ways, and what differs brought into order.

Here: which records should exist and which do, with their files and their lifecycle; repairs go through the outbox like everything else.
Not here: writing (``delivery``). Nothing is ever deleted in SciCat, and scans that must stay are neither asked about nor named there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.client import beginning_with
from als_assets.catalogue.delivery import DeliveryService
from als_assets.catalogue.follow import follow_copies, standing_of_row, tell
from als_assets.catalogue.gather import RecordSource
from als_assets.catalogue.lifecycle import disagreements
from als_assets.catalogue.model import Json, Record, raw_pid
from als_assets.catalogue.rights import pid_of_test_record
from als_assets.catalogue.stored import to_json
from als_assets.errors import AlsError
from als_assets.facility import ExportGate, Facility
from als_assets.facility.places import Place
from als_assets.ledger import Dataset, Ledger, OutboxKind, OutboxRow, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import RAW, TIFF, ZARR

_BATCH = 50
_PAGE = 500
_ROUNDS = 20
_MOST_SCANS = 1_000_000


class Difference(StrEnum):
    """How the two sides differ."""

    NO_RECORD = "no record in SciCat"
    NO_FILES = "record without files"
    LIFECYCLE = "other copies in SciCat"
    REFUSED = "refused by SciCat"
    NO_SCAN = "record without a scan"


@dataclass(frozen=True)
class Finding:
    """One difference. ``repair`` puts what is due into the outbox (None: a person must look)."""

    kind: Difference
    pid: str
    dataset_key: str | None
    sentence: str
    repair: Callable[[], object] | None = field(default=None, compare=False)

    def to_json(self) -> Json:
        return {
            "kind": str(self.kind),
            "pid": self.pid,
            "scan": self.dataset_key,
            "sentence": self.sentence,
            "repairable": self.repair is not None,
        }


@dataclass(frozen=True)
class _Wanted:
    """A record that should exist; ``row`` is its receipt if it was written once."""

    pid: str
    dataset: Dataset
    kind: OutboxKind
    variant: str = ""
    row: OutboxRow | None = None


@dataclass(frozen=True)
class Reconciler:
    """One comparison. ``source_of(beamline)`` gathers records anew."""

    facility: Facility
    ledger: Ledger
    gate: ExportGate
    accounts: Accounts
    deliveries: DeliveryService
    source_of: Callable[[str], RecordSource]

    def findings(self) -> list[Finding]:
        """Everything that differs. Raises what ``CatalogueClient.request`` raises."""
        wanted, staying = self._wanted()
        open_pids = {row.pid for row in self.ledger.outbox.open_rows()}
        found: list[Finding] = []
        for start in range(0, len(wanted), _BATCH):
            found += self._compared(wanted[start : start + _BATCH], open_pids)
        found += self._refused()
        test_record = pid_of_test_record(self.facility.scicat.pid_prefix, self.facility.scicat.ingest_group)
        return found + self._without_scan({w.pid for w in wanted} | staying | {test_record})

    def repair(self, findings: Sequence[Finding], actor: Actor) -> Iterator[str]:
        """Enqueue what can be repaired and write it; a sentence for each step. What SciCat cannot take now stays in the outbox."""
        for finding in findings:
            if finding.repair is None:
                yield f"left alone: {finding.sentence}"
                continue
            try:
                finding.repair()
            except AlsError as error:
                yield f"not repaired: {finding.sentence} {error.sentence} {error.next_step}"
        yield from self._drained(actor)
        follow_copies(self.facility, self.ledger, self.gate)  # a record that was written anew knows nothing of its copies
        yield from self._drained(actor)

    def _drained(self, actor: Actor) -> Iterator[str]:
        for _ in range(_ROUNDS):
            done = self.deliveries.drain(actor, limit=100, budget_s=60.0)
            yield from (f"{d.row.dataset_key} {d.row.kind}: {d.sentence}" for d in done)
            if not done:
                break

    # --- what should exist ---------------------------------------------------------------------------------------------------

    def _wanted(self) -> tuple[list[_Wanted], set[str]]:
        """The records that should exist, and the identifiers of scans that must stay (which are not asked about)."""
        wanted: list[_Wanted] = []
        staying: set[str] = set()
        rows: dict[str, list[OutboxRow]] = {}
        for row in self.ledger.outbox.written():
            rows.setdefault(row.dataset_key, []).append(row)
        for dataset in self.ledger.datasets.list(limit=_MOST_SCANS, newest_first=False):
            mine = self._of(dataset, rows.get(dataset.key, []))
            if self.gate.may_leave(dataset.key, self.facility.scicat.site).may_leave:
                wanted += mine
            else:
                staying |= {w.pid for w in mine}
        return wanted, staying

    def _of(self, dataset: Dataset, rows: list[OutboxRow]) -> list[_Wanted]:
        pid = raw_pid(self.facility.scicat.pid_prefix, dataset.beamline, PurePosixPath(dataset.raw_path))
        raw = next((row for row in rows if row.kind is OutboxKind.RAW), None)
        results = [row for row in rows if row.kind is OutboxKind.DERIVED]
        known = [_Wanted(row.pid, dataset, OutboxKind.DERIVED, row.variant, row) for row in results]
        stacks = self.ledger.replicas.of(dataset.key, product=TIFF, state=ReplicaState.VERIFIED)
        made = {replica.variant for replica in stacks if "report" in replica.evidence}
        new = [_Wanted("", dataset, OutboxKind.DERIVED, variant) for variant in sorted(made - {row.variant for row in results})]
        return [_Wanted(pid, dataset, OutboxKind.RAW, "", raw), *known, *new]

    # --- the record of scans against SciCat ----------------------------------------------------------------------------------

    def _compared(self, wanted: Sequence[_Wanted], open_pids: set[str]) -> list[Finding]:
        pids = [w.pid for w in wanted if w.pid]
        theirs = {item["pid"]: item for item in self.accounts.ingest.search({"pid": {"inq": pids}}, limit=len(pids) + 1)} if pids else {}
        return [f for w in wanted if w.pid not in open_pids and (f := self._finding(w, theirs.get(w.pid))) is not None]

    def _finding(self, wanted: _Wanted, theirs: Json | None) -> Finding | None:
        key = wanted.dataset.key
        what = "scan" if wanted.kind is OutboxKind.RAW else f"result{' ' + wanted.variant if wanted.variant else ''} of scan"
        if theirs is None:
            return Finding(Difference.NO_RECORD, wanted.pid, key, f"The {what} {key} has no record in SciCat.", self._writing(wanted))
        if not theirs.get("numberOfFiles"):
            return Finding(Difference.NO_FILES, wanted.pid, key, f"The record of the {what} {key} lists no files.", self._writing(wanted))
        if wanted.row is None:
            # It was written by hand, or before there was an outbox: from its receipt on it is followed.
            sentence = f"The {what} {key} has a record, but no receipt of it."
            return Finding(Difference.LIFECYCLE, wanted.pid, key, sentence, self._writing(wanted))
        row, standing = wanted.row, standing_of_row(self.facility, self.ledger, wanted.row)
        differs = disagreements(standing, theirs)
        if not differs:
            return None
        sentence = f"The record of the {what} {key} says something else about: {', '.join(differs)}."
        return Finding(Difference.LIFECYCLE, wanted.pid, key, sentence, lambda: tell(self.ledger, row, standing, anew=True))

    def _writing(self, wanted: _Wanted) -> Callable[[], object] | None:
        """How to write the record anew; None where nothing is left to make it from."""
        source, dataset = self.source_of(wanted.dataset.beamline), wanted.dataset
        file = self._readable(dataset)
        if file is None:
            return None
        if wanted.kind is OutboxKind.RAW:
            return lambda: self._enqueue(source.raw(dataset, file), OutboxKind.RAW, "")
        stack = self._made(dataset, TIFF, wanted.variant)
        if stack is None:
            return None
        volume = self._made(dataset, ZARR, wanted.variant)
        return lambda: self._enqueue(source.derived(dataset, source.raw(dataset, file), stack, volume), OutboxKind.DERIVED, wanted.variant)

    def _enqueue(self, record: Record, kind: OutboxKind, variant: str) -> None:
        self.ledger.outbox.enqueue(record.pid, record.dataset_key, kind, to_json(record), variant)

    def _readable(self, dataset: Dataset) -> Replica | None:
        """A proven copy of the raw file that this machine sees."""
        for replica in self.ledger.replicas.of(dataset.key, product=RAW, state=ReplicaState.VERIFIED):
            location = self.facility.locations.get(replica.location)
            if location is not None and location.mounted and Path(Place(replica.location, location, replica.path).site_path).is_file():
                return replica
        return None

    def _made(self, dataset: Dataset, product: str, variant: str) -> Replica | None:
        copies = self.ledger.replicas.of(dataset.key, product=product, variant=variant, state=ReplicaState.VERIFIED)
        return next((replica for replica in copies if "report" in replica.evidence), None)

    def _refused(self) -> list[Finding]:
        return [
            Finding(
                Difference.REFUSED,
                row.pid,
                row.dataset_key,
                f"SciCat refused the {row.kind} of scan {row.dataset_key}: {row.last_error}",
                lambda row=row: self.ledger.outbox.enqueue(row.pid, row.dataset_key, row.kind, row.body, row.variant),  # type: ignore[misc]
            )
            for row in self.ledger.outbox.refused()
        ]

    # --- SciCat against the record of scans ----------------------------------------------------------------------------------

    def _without_scan(self, known: set[str]) -> list[Finding]:
        """Records under our prefix that no scan or result on record accounts for."""
        found: list[Finding] = []
        where = {"pid": beginning_with(f"{self.facility.scicat.pid_prefix}/")}
        for page in range(_MOST_SCANS // _PAGE):
            items = self.accounts.ingest.search(where, fields=["pid", "datasetName", "type"], skip=page * _PAGE, limit=_PAGE)
            for item in (item for item in items if item["pid"] not in known):
                sentence = f"SciCat has a {item.get('type')} record {item['pid']} ({item.get('datasetName')}) of no scan on record."
                found.append(Finding(Difference.NO_SCAN, item["pid"], None, sentence))
            if len(items) < _PAGE:
                break
        return found
