"""What SciCat is told about a scan and about a reconstruction of it.

Here: pure functions from what a scan or a product says to ``Record``; every odd value becomes a warning with a fallback, and what
SciCat would refuse becomes an error before anything is sent. Not here: sending, or reading files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pyscicat.model import Dataset, DerivedDataset, RawDataset

from als_assets import __version__
from als_assets.beamlines.base import CatalogueFields, Extract, ScanIdentity
from als_assets.catalogue import clean
from als_assets.catalogue.jsonable import free_key, json_object, json_value
from als_assets.catalogue.model import (
    LOCATIONS,
    Copy,
    FileEntry,
    Issue,
    Json,
    Record,
    Thumbnail,
    derived_pid,
    encodable,
    iso,
    location_rows,
    raw_pid,
    warn,
)
from als_assets.catalogue.people import or_unknown, people_of
from als_assets.catalogue.settings import RecordSettings

MAX_BODY_BYTES = 12_000_000  # SciCat answers 500 to 16 MB and more
MAX_LOG = 60_000
MAX_UNIT = 40
_PID = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")


class DerivedWithProposal(DerivedDataset):  # type: ignore[misc]  # pyscicat has no types
    """pyscicat's derived dataset and the link to the proposal, which SciCat accepts and the library's model lacks."""

    proposalId: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What is known about a scan beside its file: the folder that users can reach and the files relative to it, small pictures,
    where the copies are, and named addresses (scan page, viewer)."""

    source_folder: str
    files: Sequence[FileEntry]
    thumbnails: Sequence[Thumbnail] = ()
    copies: Sequence[Copy] = ()
    links: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Product:
    """A reconstruction that is in place: what made it, from which parameters, and where it is.

    ``kind`` and ``parameters`` decide the record's identity, everything else is patched when it changes. ``file_blocks``: one
    for the TIFF stack, one for the Zarr store (a store of many files is listed by its root). ``software`` entries hold versions
    and image digests. ``effective``: all parameters as the program used them (with the centre that it found), where they are known.
    ``links`` are named addresses (viewer, board).
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    software: Sequence[str]
    site: str
    job_id: str
    created_at: datetime
    source_folder: str
    file_blocks: Sequence[Sequence[FileEntry]]
    effective: Mapping[str, Any] | None = None
    log: str | None = None
    thumbnails: Sequence[Thumbnail] = ()
    copies: Sequence[Copy] = ()
    links: Mapping[str, str] | None = None


def raw_record(settings: RecordSettings, beamline: str, identity: ScanIdentity, scan: Extract, around: Surroundings) -> Record:
    """The raw record of a scan. Never raises for odd metadata: see ``Record.warnings`` and ``Record.errors``."""
    issues = [Issue("warning", "scan", text) for text in (*identity.warnings, *scan.issues)]
    people = people_of(settings, scan.catalogue, issues)
    name = _scan_name(scan.catalogue, identity, issues)
    dataset = RawDataset(
        pid=raw_pid(settings.pid_prefix, beamline, identity.relative_path),
        datasetName=name,
        description=clean.text_or_none(scan.catalogue.title) or " ".join(clean.words_of(name)) or name,
        keywords=clean.unique([*clean.words_of(name), *settings.keywords, settings.staff_group]),
        owner=people.investigator,
        principalInvestigator=people.investigator,
        ownerGroup=people.owner_group,
        accessGroups=people.access_groups,
        contactEmail=people.contact,
        proposalId=people.proposal,
        instrumentId=settings.instrument_id,
        creationLocation=or_unknown(scan.catalogue.instrument, "creationLocation", issues),
        creationTime=_created(scan, issues),
        dataFormat=settings.data_format,
        sourceFolder=_folder(around.source_folder),
        techniques=[{"pid": settings.technique_pid, "name": settings.technique_name}],
        scientificMetadata=_scientific(scan, around, people.as_written, issues),
    )
    return _finish(identity.key, dataset, [around.files], around.thumbnails, issues)


def derived_record(settings: RecordSettings, raw: Record, product: Product) -> Record:
    """The record of a reconstruction of ``raw``'s scan: same owner, groups and contact, linked by inputDatasets."""
    issues: list[Issue] = []
    source = raw.dataset
    parameters = json_object(product.parameters, "jobParameters", issues)
    issues.extend(Issue("error", "inputDatasets", f"The raw record has an error: {error.sentence}") for error in raw.errors)
    scientific: Json = {"site": product.site, "job_id": product.job_id, **(product.links or {}), **_locations(product.copies)}
    dataset = DerivedWithProposal(
        pid=derived_pid(settings.pid_prefix, raw.pid, product.kind, parameters),
        datasetName=product.name,
        description=f"{product.kind} of {source.datasetName}",
        keywords=clean.unique([*(source.keywords or []), product.kind]),
        owner=source.owner,
        investigator=source.owner,
        ownerGroup=source.ownerGroup,
        accessGroups=source.accessGroups,
        contactEmail=source.contactEmail,
        proposalId=getattr(source, "proposalId", None),
        creationTime=iso(product.created_at),
        sourceFolder=_folder(product.source_folder),
        techniques=source.techniques,
        inputDatasets=[raw.pid],
        usedSoftware=clean.unique([*product.software, f"als-assets {__version__}"]),
        jobParameters=parameters if product.effective is None else json_object(product.effective, "jobParameters", issues),
        jobLogData=_log(product.log, issues),
        scientificMetadata=json_object(scientific, "scientificMetadata", issues),
    )
    return _finish(raw.dataset_key, dataset, product.file_blocks, product.thumbnails, issues)


def _scan_name(fields: CatalogueFields, identity: ScanIdentity, issues: list[Issue]) -> str:
    written = clean.text_or_none(fields.name)
    if written is None:
        warn(issues, "datasetName", f"The scan has no name inside the file; its file name {identity.file_name!r} is used")
    name = clean.name_without_extension(PurePosixPath(written or identity.stem).name)
    return name or identity.key


def _scientific(scan: Extract, around: Surroundings, as_written: Mapping[str, str], issues: list[Issue]) -> Json:
    """Single values by their path in the file, samples of per-frame values below ``data_sample``, then what we add."""
    single: Json = {}
    samples: Json = {}
    for path, value in scan.scientific.items():
        item = json_value(value, f"scientificMetadata.{path}", issues)
        if item is None:
            continue
        kept, word = (samples, "values") if isinstance(item, list) else (single, "value")
        unit = scan.units.get(path, "")[:MAX_UNIT]
        kept[free_key(clean.metadata_key(path), kept)] = {word: item, "unit": unit} if unit else item
    summary = json_object(scan.summary, "scientificMetadata", issues)
    ours = json_object({"as_written": as_written, **(around.links or {})}, "scientificMetadata", issues)
    found = {**single, **summary, "data_sample": samples, **ours, **_locations(around.copies)}
    return {name: value for name, value in found.items() if value != {}}


def _locations(copies: Sequence[Copy]) -> Json:
    rows = location_rows(copies)
    return {LOCATIONS: rows} if rows else {}


def _created(scan: Extract, issues: list[Issue]) -> str:
    if scan.created_at is not None:
        return iso(scan.created_at)
    warn(issues, "creationTime", "The file does not say when the scan was taken; the time of the file is used")
    return iso(max((file.modified_at for file in scan.files), default=datetime.fromtimestamp(0, UTC)))


def _log(log: str | None, issues: list[Issue]) -> str | None:
    if log is None or len(log) <= MAX_LOG:
        return log
    warn(issues, "jobLogData", f"The log has {len(log)} characters; the last {MAX_LOG} are kept")
    return log[-MAX_LOG:]


def _folder(source_folder: str) -> str:
    return source_folder.rstrip("/") or "/"


def _finish(
    key: str, dataset: Dataset, blocks: Sequence[Sequence[FileEntry]], thumbnails: Sequence[Thumbnail], issues: list[Issue]
) -> Record:
    """Put the record together and say what would make SciCat refuse it."""
    file_blocks = tuple(tuple(replace(entry, path=encodable(entry.path)) for entry in block) for block in blocks if block)
    record = Record(str(dataset.pid), key, dataset, file_blocks, tuple(thumbnails))
    if not _PID.fullmatch(record.pid):
        _error(issues, "pid", f"The identifier {record.pid!r} holds characters that SciCat's addresses do not carry")
    if not dataset.sourceFolder.startswith("/"):
        _error(issues, "sourceFolder", f"The source folder {dataset.sourceFolder!r} is not an absolute path")
    if not file_blocks:
        _error(issues, "files", "The record lists no file")
    for entry in (entry for block in file_blocks for entry in block):
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or not entry.path:
            _error(issues, "files", f"The file {entry.path!r} is not below the source folder")
        if entry.modified_at.tzinfo is None or entry.size_bytes < 0:
            _error(issues, "files", f"The file {entry.path!r} has no usable time or size")
    size = len(json.dumps(record.body()).encode("utf-8"))
    if size > MAX_BODY_BYTES:
        _error(issues, "scientificMetadata", f"The record has {size} bytes, SciCat takes no more than {MAX_BODY_BYTES}")
    return Record(record.pid, key, dataset, file_blocks, record.thumbnails, tuple(issues))


def _error(issues: list[Issue], field: str, sentence: str) -> None:
    issues.append(Issue("error", field, sentence))
