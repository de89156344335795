"""What SciCat is told about a scan and about a reconstruction of it.

Here: pure functions from facts to ``Record``; every odd value becomes a warning with a fallback, and what SciCat would refuse
becomes an error before anything is sent. Not here: sending, or reading files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pyscicat.model import Dataset, DerivedDataset, RawDataset

from als_assets import __version__
from als_assets.beamlines.base import ScanFacts, ScanIdentity
from als_assets.catalogue import clean
from als_assets.catalogue.fields import CatalogueFields, bl832_fields
from als_assets.catalogue.jsonable import free_key, json_object, json_value
from als_assets.catalogue.model import Copy, FileEntry, Issue, Json, Record, Thumbnail, derived_pid, encodable, iso, raw_pid
from als_assets.catalogue.settings import RecordSettings

MAX_BODY_BYTES = 12_000_000  # SciCat answers 500 to 16 MB and more
MAX_LOG = 60_000
MAX_UNIT = 40
UNKNOWN = "Unknown"
_PID = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")


class DerivedWithProposal(DerivedDataset):  # type: ignore[misc]  # pyscicat has no types
    """pyscicat's derived dataset and the link to the proposal, which SciCat accepts and the library's model lacks."""

    proposalId: str | None = None


@dataclass(frozen=True)
class Product:
    """A reconstruction that is in place: what made it, from which parameters, and where it is.

    ``kind`` and ``parameters`` decide the record's identity, everything else is patched when it changes. ``file_blocks``: one
    for the TIFF stack, one for the Zarr store (a store of many files is listed by its root). ``software`` entries hold versions
    and image digests. ``links`` are named addresses (viewer, board).
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
    log: str | None = None
    thumbnails: Sequence[Thumbnail] = ()
    copies: Sequence[Copy] = ()
    links: Mapping[str, str] | None = None


def raw_record(
    settings: RecordSettings,
    beamline: str,
    identity: ScanIdentity,
    facts: ScanFacts,
    *,
    source_folder: str,
    files: Sequence[FileEntry],
    thumbnails: Sequence[Thumbnail] = (),
    copies: Sequence[Copy] = (),
    links: Mapping[str, str] | None = None,
    extract: Callable[[ScanFacts], CatalogueFields] = bl832_fields,
) -> Record:
    """The raw record of a scan. ``source_folder`` is the folder that users can reach; ``files`` are relative to it.

    Never raises for odd metadata: see ``Record.warnings`` and ``Record.errors``.
    """
    fields = extract(facts)
    issues = [Issue("warning", "scan", text) for text in (*identity.warnings, *facts.warnings)]
    people = _people(settings, fields, issues)
    name = _scan_name(fields, identity, issues)
    scientific = _scientific(fields, facts, copies, links, people.as_written, issues)
    dataset = RawDataset(
        pid=raw_pid(settings.pid_prefix, beamline, identity.relative_path),
        datasetName=name,
        description=clean.text_or_none(fields.title) or " ".join(clean.words_of(name)) or name,
        keywords=_keywords(settings, name),
        owner=people.investigator,
        principalInvestigator=people.investigator,
        ownerGroup=people.owner_group,
        accessGroups=people.access_groups,
        contactEmail=people.contact,
        proposalId=people.proposal,
        instrumentId=settings.instrument_id,
        creationLocation=_or_unknown(fields.instrument, "creationLocation", issues),
        creationTime=_created(facts, issues),
        dataFormat=settings.data_format,
        sourceFolder=_folder(source_folder),
        techniques=[{"pid": settings.technique_pid, "name": settings.technique_name}],
        scientificMetadata=scientific,
    )
    return _finish(identity.key, dataset, [files], thumbnails, issues)


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
        jobParameters=parameters,
        jobLogData=_log(product.log, issues),
        scientificMetadata=json_object(scientific, "scientificMetadata", issues),
    )
    return _finish(raw.dataset_key, dataset, product.file_blocks, product.thumbnails, issues)


@dataclass(frozen=True)
class _People:
    investigator: str
    contact: str
    proposal: str | None
    owner_group: str
    access_groups: list[str]
    as_written: dict[str, str]


def _people(settings: RecordSettings, fields: CatalogueFields, issues: list[Issue]) -> _People:
    as_written: dict[str, str] = {}
    proposal = clean.group_name(fields.proposal)
    owner_group = proposal or settings.staff_group
    if proposal is None:
        _warn(issues, "ownerGroup", f"The proposal {fields.proposal!r} is not usable; the record belongs to {owner_group}")
    groups = clean.beamline_groups(fields.beamline, settings.beamline_aliases)
    addresses = clean.email_addresses(fields.email)
    if not addresses:
        _warn(issues, "contactEmail", f"No usable address in {fields.email!r}; {settings.fallback_contact} is given")
    contact = "; ".join(addresses) or settings.fallback_contact
    if not all(clean.is_email(part.strip()) for part in contact.split(";")):
        issues.append(Issue("error", "contactEmail", f"The fallback contact {contact!r} is no e-mail address"))
    for name, written, used in (
        ("proposal", fields.proposal, proposal),
        ("beamline", fields.beamline, fields.beamline if str(fields.beamline) in _known(settings) else None),
        ("email", fields.email, contact),
    ):
        if isinstance(written, str) and written and written != used:
            as_written[name] = written
    return _People(
        investigator=_or_unknown(fields.investigator, "principalInvestigator", issues),
        contact=contact,
        proposal=proposal,
        owner_group=owner_group,
        access_groups=clean.unique([*groups, settings.staff_group, settings.ingest_group]),
        as_written=as_written,
    )


def _known(settings: RecordSettings) -> set[str]:
    return {*settings.beamline_aliases, *settings.beamline_aliases.values()}


def _scan_name(fields: CatalogueFields, identity: ScanIdentity, issues: list[Issue]) -> str:
    written = clean.text_or_none(fields.name)
    if written is None:
        _warn(issues, "datasetName", f"The scan has no name inside the file; its file name {identity.file_name!r} is used")
    name = clean.name_without_extension(PurePosixPath(written or identity.stem).name)
    return name or identity.key


def _keywords(settings: RecordSettings, name: str) -> list[str]:
    return clean.unique([*clean.words_of(name), *settings.keywords, settings.staff_group])


def _scientific(
    fields: CatalogueFields,
    facts: ScanFacts,
    copies: Sequence[Copy],
    links: Mapping[str, str] | None,
    as_written: Mapping[str, str],
    issues: list[Issue],
) -> Json:
    """Single values by their path in the file, samples of per-frame values below ``data_sample``, then what we add."""
    single: Json = {}
    samples: Json = {}
    for path, value in facts.metadata.items():
        if path in fields.taken:
            continue
        item = json_value(value, f"scientificMetadata.{path}", issues)
        if item is None:
            continue
        kept, word = (samples, "values") if isinstance(item, list) else (single, "value")
        unit = facts.units.get(path, "")[:MAX_UNIT]
        kept[free_key(clean.metadata_key(path), kept)] = {word: item, "unit": unit} if unit else item
    geometry = {
        "projections": facts.projections,
        "rows": facts.rows,
        "columns": facts.columns,
        "flat_fields": facts.flats,
        "dark_fields": facts.darks,
    }
    ours = json_object({"as_written": as_written, **(links or {})}, "scientificMetadata", issues)
    found = {**single, "geometry": geometry, "data_sample": samples, **ours, **_locations(copies)}
    return {name: value for name, value in found.items() if value != {}}


def _locations(copies: Sequence[Copy]) -> Json:
    places = [{"site": c.site, "path": c.path, "state": c.state, "checked_at": iso(c.checked_at)} for c in copies]
    return {"locations": places} if places else {}


def _created(facts: ScanFacts, issues: list[Issue]) -> str:
    if facts.acquired_at is not None:
        return iso(facts.acquired_at)
    _warn(issues, "creationTime", "The file does not say when the scan was taken; the time of the file is used")
    return iso(datetime.fromtimestamp(facts.mtime_ns / 1e9, UTC))


def _or_unknown(value: object, field: str, issues: list[Issue]) -> str:
    text = clean.text_or_none(value)
    if text is None:
        _warn(issues, field, f"{field} is not in the file; {UNKNOWN!r} is given")
    return (text or UNKNOWN)[:200]


def _log(log: str | None, issues: list[Issue]) -> str | None:
    if log is None or len(log) <= MAX_LOG:
        return log
    _warn(issues, "jobLogData", f"The log has {len(log)} characters; the last {MAX_LOG} are kept")
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


def _warn(issues: list[Issue], field: str, sentence: str) -> None:
    issues.append(Issue("warning", field, sentence))


def _error(issues: list[Issue], field: str, sentence: str) -> None:
    issues.append(Issue("error", field, sentence))
