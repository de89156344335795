"""Where the data of a record is, in SciCat's words: on disk, archived, retrievable, purged, and the list of all copies.

Here: the pure way from copies on record to that statement, and writing it so that what others wrote stays. Not here: when it is due
(``delivery``), and any deletion: a record whose data was pruned is marked, never removed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.compare import without_nulls
from als_assets.catalogue.ensure import patch_until_agreed, telling_failures_from_outages
from als_assets.catalogue.model import LOCATIONS, NAMESPACE, Copy, Json, iso, location_rows, moment
from als_assets.errors import CatalogueConflict, ServiceUnreachable
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.places import Place
from als_assets.ledger import Dataset, Replica, ReplicaState
from als_assets.ledger.products import RAW

# SciCat's vocabulary, as the archive systems of PSI and ETHZ use it.
ARCHIVED, NOT_ARCHIVED, MISSING = "datasetOnArchiveDisk", "datasetCreated", "missingFilesError"
_TOLD = (ReplicaState.VERIFIED, ReplicaState.SUSPECT, ReplicaState.DELETING, ReplicaState.DELETED, ReplicaState.LOST)
_DAMAGED = (ReplicaState.SUSPECT, ReplicaState.LOST)
_DISKS = (LocationClass.STAGING, LocationClass.SCRATCH)
_MOST_FILES = 2500


@dataclass(frozen=True)
class Standing:
    """``flags`` are fields of SciCat's lifecycle, ``locations`` the copies as the record lists them, ``archives`` one datablock for
    each archived copy."""

    flags: Json
    locations: tuple[Json, ...]
    archives: tuple[Json, ...] = ()

    def to_json(self) -> Json:
        return {"flags": self.flags, "locations": list(self.locations), "archives": list(self.archives)}

    @classmethod
    def from_json(cls, body: Json) -> Standing:
        return cls(body["flags"], tuple(body["locations"]), tuple(body["archives"]))


def copies_of(facility: Facility, replicas: Sequence[Replica]) -> list[Copy]:
    """What the record says about copies: those that were proven once, with what became of them."""
    told = [r for r in replicas if r.state in _TOLD and r.location in facility.locations]
    return [
        Copy(facility.site_of(r.location), _site_path(facility, r), str(r.state), _checked_at(r))
        for r in sorted(told, key=lambda r: (r.location, r.path))
    ]


def standing_of(facility: Facility, dataset: Dataset, pid: str, replicas: Sequence[Replica]) -> Standing:
    """The statement about a record whose data are these copies. Locations that left the facility file are not mentioned."""
    verified = [r for r in replicas if r.state is ReplicaState.VERIFIED]
    disks = [r for r in verified if _class_of(facility, r) in _DISKS]
    archives = [r for r in verified if _class_of(facility, r) is LocationClass.ARCHIVE]
    damaged = [r for r in replicas if r.state in _DAMAGED and _class_of(facility, r) is LocationClass.ARCHIVE]
    flags: Json = {
        "archivable": not archives,
        "retrievable": bool(archives),
        "isOnCentralDisk": bool(disks),
        "archiveStatusMessage": ARCHIVED if archives else MISSING if damaged else NOT_ARCHIVED,
        "archiveRetentionTime": iso(_years_later(dataset.acquired_at or dataset.admitted_at, facility.scicat.archive_retention_years)),
    }
    if archives:
        flags["storageLocation"] = f"{facility.site_of(archives[0].location)}: {_site_path(facility, archives[0])}"
    gone = [r.changed_at for r in replicas if r.state is ReplicaState.DELETED and _class_of(facility, r) in _DISKS]
    if gone and not disks:
        flags["dateOfDiskPurging"] = iso(max(gone))
    blocks = tuple(_archive_block(facility, pid, replica) for replica in archives)
    return Standing(flags, tuple(location_rows(copies_of(facility, replicas))), blocks)


def ensure_standing(accounts: Accounts, dataset_key: str, pid: str, standing: Standing) -> Json:
    """Make SciCat's record say it. Returns the receipt: ``pid``, ``url`` and the names of what was ``changed``.

    Raises CatalogueConflict (there is no such record), and what ``CatalogueClient.request`` and ``ensure_record`` raise.
    """
    with telling_failures_from_outages(accounts.ingest, pid):
        calls = DatasetCalls(accounts.ingest, dataset_key, pid)
        theirs = calls.get()
        if theirs is None:
            raise CatalogueConflict(
                f"SciCat has no record {pid} any more, although it was written",
                next_step="Find out who deleted it; als scicat reconcile --apply writes it again.",
            )
        put = partial(patch_until_agreed, accounts, dataset_key, pid, partial(_changed_locations, standing))
        healed: tuple[str, ...] = ()
        if None in (theirs.get("scientificMetadata") or {}).values():  # with a null in it the record takes no other change
            healed, theirs = put(theirs), calls.get() or theirs
        changed = [f"archive block {block['archiveId']}" for block in standing.archives if _add_archive(calls, block)]
        flags = _changed_flags(standing.flags, theirs.get("datasetlifecycle") or {})
        if flags:
            accounts.changing(partial(_send_flags, dataset_key, pid, flags))
            # The answer to that PATCH is not the record, and the record has a new time of change.
            theirs = calls.get() or theirs
        changed += [*sorted(flags), *(healed or put(theirs))]
    return {"pid": pid, "url": accounts.ingest.settings.record_url(pid), "changed": changed}


def disagreements(standing: Standing, theirs: Json) -> list[str]:
    """What SciCat's record says differently: names of lifecycle fields, and ``locations``."""
    found = sorted(_changed_flags(standing.flags, theirs.get("datasetlifecycle") or {}))
    return [*found, LOCATIONS] if _changed_locations(standing, theirs) else found


def _send_flags(dataset_key: str, pid: str, flags: Json, client: CatalogueClient) -> None:
    DatasetCalls(client, dataset_key, pid).patch_lifecycle(flags)


def _changed_flags(flags: Json, theirs: Json) -> Json:
    return {name: wanted for name, wanted in flags.items() if (moment(wanted) or wanted) != (moment(theirs.get(name)) or theirs.get(name))}


def _changed_locations(standing: Standing, theirs: Json) -> Json:
    found = theirs.get("scientificMetadata") or {}
    wanted, kept = list(standing.locations), without_nulls(found)
    same = kept == found and (found.get(LOCATIONS) or []) == wanted
    return {} if same else {"scientificMetadata": {**kept, LOCATIONS: wanted}}


def _add_archive(calls: DatasetCalls, block: Json) -> bool:
    """Add an archived copy once. SciCat answers 500 to an archiveId that exists, so a failure is looked at before it is believed."""
    if _has_archive(calls, block):
        return False
    try:
        calls.add_datablock(block)
    except ServiceUnreachable:
        if not _has_archive(calls, block):
            raise
    return True


def _has_archive(calls: DatasetCalls, block: Json) -> bool:
    return any(found.get("archiveId") == block["archiveId"] for found in calls.datablocks())


def _archive_block(facility: Facility, pid: str, replica: Replica) -> Json:
    """One archived copy: its files with their sums, or its root where they are too many for one request."""
    when = iso(_checked_at(replica))
    entries = replica.manifest.entries if replica.manifest else ()
    if replica.product == RAW or not 0 < len(entries) <= _MOST_FILES:
        files = [_file(replica.path, replica.size_bytes or 0, when, replica.sha256)]
    else:
        files = [_file(f"{replica.path}/{e.path}", e.size_bytes, when, e.sha256) for e in entries]
    block: Json = {
        "archiveId": str(uuid.uuid5(NAMESPACE, f"archive|{pid}|{replica.location}|{replica.path}")),
        "size": replica.size_bytes or 0,
        "packedSize": replica.size_bytes or 0,
        "version": "1",
        "dataFileList": files,
    }
    return {**block, "chkAlg": "sha256"} if any("chk" in file for file in files) else block


def _file(path: str, size_bytes: int, when: str, sha256: str | None) -> Json:
    return {"path": path, "size": size_bytes, "time": when, **({"chk": sha256} if sha256 else {})}


def _class_of(facility: Facility, replica: Replica) -> LocationClass | None:
    location = facility.locations.get(replica.location)
    return None if location is None else location.location_class


def _site_path(facility: Facility, replica: Replica) -> str:
    return str(Place(replica.location, facility.location(replica.location), replica.path).site_path)


def _checked_at(replica: Replica) -> datetime:
    return replica.verified_at if replica.state is ReplicaState.VERIFIED and replica.verified_at else replica.changed_at


def _years_later(time: datetime, years: int) -> datetime:
    try:
        return time.replace(year=time.year + years)
    except ValueError:  # the 29th of February
        return time.replace(year=time.year + years, day=28)
