"""Make SciCat hold exactly this record: create it, or bring what is there into agreement, file lists and pictures included.

Here: the reconciliation, safe to run at any time, again, and at the same time as another one. Not here: single requests
(``client``), what differs (``compare``), or remembering that a record is due.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

from pyscicat.model import DataFile

from als_assets import __version__
from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.answers import TRANSIENT
from als_assets.catalogue.attach import ensure_pictures
from als_assets.catalogue.calls import DatasetCalls, file_list
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.compare import differences
from als_assets.catalogue.model import INGEST, FileEntry, Issue, Json, Record, iso
from als_assets.catalogue.rivals import found_or_awaited
from als_assets.errors import CatalogueConflict, CatalogueFailed, CatalogueRefused, RecordInvalid, ServiceUnreachable

_ROUNDS = 3


@dataclass(frozen=True)
class CatalogueReceipt:
    """The evidence of a record: where it is, and what this call had to do. A second call does nothing.

    ``created`` says whether this call (or an interrupted one with the same ``attempt``) made the record; ``patched`` names the
    fields that were changed; ``files`` and ``attachments`` count what was added.
    """

    pid: str
    url: str
    created: bool
    patched: tuple[str, ...]
    files: int
    attachments: int
    issues: tuple[Issue, ...]

    def as_json(self) -> Json:
        """For the record of operations and for scripts."""
        return {
            "pid": self.pid,
            "url": self.url,
            "created": self.created,
            "patched": list(self.patched),
            "files": self.files,
            "attachments": self.attachments,
            "warnings": [issue.sentence for issue in self.issues],
        }


def ensure_record(accounts: Accounts, record: Record, *, attempt: str | None = None) -> CatalogueReceipt:
    """Write the record, or complete and correct the one that is there.

    ``attempt`` names the operation this call belongs to: a repeated call with the same name knows a half-written record for
    its own and completes it at once; another one first waits ``patience_s`` for its writer. Raises RecordInvalid (nothing was
    written), ExportRefused, CredentialsRejected, CatalogueRefused, CatalogueConflict, CatalogueFailed (SciCat fails on this
    record and answers otherwise), ServiceUnreachable (SciCat is not there).
    """
    if record.errors:
        raise RecordInvalid(
            f"The record of {record.dataset_key} is not written: " + "; ".join(issue.sentence for issue in record.errors),
            next_step="Correct the scan's metadata or the settings, then run the step again",
        )
    with telling_failures_from_outages(accounts.ingest, record.pid):
        return _ensured(accounts, record, attempt or uuid.uuid4().hex)


@contextmanager
def telling_failures_from_outages(client: CatalogueClient, pid: str) -> Iterator[None]:
    """Where SciCat keeps failing on one record and still knows who we are, the fault is about that record: waiting does not help.

    Raises CatalogueFailed instead of ServiceUnreachable then.
    """
    try:
        yield
    except ServiceUnreachable as error:
        status = error.details.get("status")
        if not isinstance(status, int) or status in TRANSIENT:
            raise
        client.whoami()  # an outage is told as such
        raise CatalogueFailed(
            f"SciCat fails on the record {pid} and answers otherwise: {error.sentence}",
            next_step="Re-execute from failure once; if it stays, give the sentence and the identifier to SciCat's operators.",
            status=status,
        ) from error


def _ensured(accounts: Accounts, record: Record, attempt: str) -> CatalogueReceipt:
    client = accounts.ingest
    calls = DatasetCalls(client, record.dataset_key, record.pid)
    body = record.body()
    _require_inputs(client, record.dataset_key, body)
    mark = {"attempt": attempt, "scan": record.dataset_key, "software": f"als-assets {__version__}"}
    body["scientificMetadata"] = {**(body.get("scientificMetadata") or {}), INGEST: mark}
    fresh, theirs = _create_or_get(calls, body, client.settings.wait_s)
    ours = _attempt_of(theirs) == attempt
    patched = () if fresh else _patch(accounts, record, body, theirs)
    issues = list(record.issues)
    patience_s = None if fresh else 0.0 if ours else client.settings.patience_s
    files = _ensure_files(calls, record, patience_s, client.settings.wait_s, issues)
    attachments = ensure_pictures(calls, record, patience_s, issues)
    url = client.settings.record_url(record.pid)
    return CatalogueReceipt(record.pid, url, ours, patched, files, attachments, tuple(issues))


def _require_inputs(client: CatalogueClient, dataset_key: str, body: Json) -> None:
    """SciCat takes any text for an input; a result whose scan has no record would be found from nowhere."""
    for pid in body.get("inputDatasets") or []:
        if _get(DatasetCalls(client, dataset_key, pid)) is None:
            raise RecordInvalid(
                f"The record {body['pid']} is not written: its input {pid} has no record in SciCat",
                next_step="Materialize scicat_record of the scan first, then this step again",
            )


def _create_or_get(calls: DatasetCalls, body: Json, wait_s: float, *, again: bool = True) -> tuple[bool, Json]:
    """The record as SciCat has it, and whether it was certainly created just now, hence has no files yet."""
    try:
        return True, calls.create(body)
    except (CatalogueConflict, ServiceUnreachable) as error:
        # After a 500 the record may be there all the same. Where nobody answers, asking again would only double the wait.
        status = error.details.get("status")
        theirs = None if status is None else _get(calls)
        if theirs is not None:
            return False, theirs
        if status != 500 or not again:
            raise
    time.sleep(wait_s)
    return _create_or_get(calls, body, wait_s, again=False)


def _get(calls: DatasetCalls) -> Json | None:
    try:
        return calls.get()
    except CatalogueRefused as error:
        raise CatalogueConflict(
            f"SciCat has a record {calls.pid} that this account may not read: {error.sentence}",
            next_step="Put the ingest account's group into the record's accessGroups, or configure its group correctly",
        ) from error


def _attempt_of(theirs: Json) -> object:
    mark = (theirs.get("scientificMetadata") or {}).get(INGEST)
    return mark.get("attempt") if isinstance(mark, dict) else None


def _patch(accounts: Accounts, record: Record, body: Json, theirs: Json) -> tuple[str, ...]:
    if theirs.get("type") != body["type"]:
        raise CatalogueConflict(
            f"SciCat's record {record.pid} is of type {theirs.get('type')!r}, ours is {body['type']!r}",
            next_step="Look at the record in SciCat; it was not made by this platform",
        )
    return patch_until_agreed(accounts, record.dataset_key, record.pid, partial(differences, body), theirs)


def patch_until_agreed(accounts: Accounts, dataset_key: str, pid: str, changes_to: Callable[[Json], Json], theirs: Json) -> tuple[str, ...]:
    """Send ``changes_to(the record)``, and only if nobody changed the record since it was read: a PATCH of metadata replaces all of it.

    Returns the names of the changed fields. Raises what ``CatalogueClient.request`` raises.
    """
    done: tuple[str, ...] = ()
    for number in range(_ROUNDS):
        changes = changes_to(theirs)
        if not changes:
            return done
        try:
            accounts.changing(partial(_send, dataset_key, pid, changes, theirs.get("updatedAt")))
        except (CatalogueConflict, ServiceUnreachable) as error:
            status = error.details.get("status")
            fresh = _get(DatasetCalls(accounts.ingest, dataset_key, pid)) if status in (412, 500) else None
            if fresh is None or number == _ROUNDS - 1:
                raise
            # After a 500 the change may be there all the same: SciCat fails on a null that the record held before.
            theirs, done = fresh, tuple(sorted(changes)) if status == 500 else ()
        else:
            return tuple(sorted(changes))
    return done


def _send(dataset_key: str, pid: str, changes: Json, seen: object, client: CatalogueClient) -> None:
    DatasetCalls(client, dataset_key, pid).patch(changes, unmodified_since=seen)


def _ensure_files(calls: DatasetCalls, record: Record, patience_s: float | None, wait_s: float, issues: list[Issue]) -> int:
    """Add the files that are missing; a list whose fate is unknown is looked for before it is sent again."""
    paths, added = {entry.path for block in record.file_blocks for entry in block}, 0
    known = found_or_awaited(lambda: _known_files(calls), paths, patience_s) or {}
    for round_number in count(1):
        known = known if round_number == 1 else _known_files(calls)
        try:
            for block in record.file_blocks:
                missing = [entry for entry in block if entry.path not in known]
                if missing:
                    calls.add_origdatablock(file_list([_data_file(e) for e in missing], _algorithm(missing)))
                    added += len(missing)
            break
        except ServiceUnreachable:
            if round_number == _ROUNDS:
                raise
            time.sleep(wait_s)
    _compare_sizes(record, known, issues)
    return added


def _known_files(calls: DatasetCalls) -> dict[str, object]:
    return {str(e.get("path")): e.get("size") for block in calls.origdatablocks() for e in block.get("dataFileList") or []}


def _compare_sizes(record: Record, known: dict[str, object], issues: list[Issue]) -> None:
    for entry in (entry for block in record.file_blocks for entry in block):
        if entry.path in known and known[entry.path] != entry.size_bytes:
            sentence = f"SciCat lists {entry.path} with {known[entry.path]} bytes, it has {entry.size_bytes}"
            issues.append(Issue("warning", "files", sentence))


def _data_file(entry: FileEntry) -> Json:
    file = DataFile(path=entry.path, size=entry.size_bytes, time=iso(entry.modified_at), chk=entry.sha256)
    fields: Json = file.model_dump(exclude_none=True)
    return fields


def _algorithm(entries: list[FileEntry]) -> str | None:
    return "sha256" if any(entry.sha256 for entry in entries) else None
