"""The parts of a scan's page that are lists: copies with their evidence, facts, decision and history.

Here: rows turned into what a template prints, as plain text; nothing is marked as safe HTML anywhere. Not here: the safety sentence
(``safety``), steps (``verdict``), pictures (``media``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from als_assets.board.records import DISPATCH, ScanRecord
from als_assets.board.verdict import link_of, settling_words
from als_assets.errors import PathOutsideLocation
from als_assets.facility import Facility, Place
from als_assets.ledger import Audit, Replica, ReplicaState
from als_assets.ledger.products import RAW, STAGED_RAW, TIFF, ZARR
from als_assets.words import duration_words, size_words

PRODUCTS = {
    RAW: "Raw file",
    TIFF: "TIFF stack",
    ZARR: "Multi-resolution Zarr",
    STAGED_RAW: "Raw file, staged for a job",
}
LOOKS = {
    ReplicaState.VERIFIED: "good",
    ReplicaState.COPYING: "busy",
    ReplicaState.EXPECTED: "quiet",
    ReplicaState.SUSPECT: "bad",
    ReplicaState.LOST: "bad",
    ReplicaState.DELETING: "quiet",
    ReplicaState.DELETED: "quiet",
}
_FACTS = {
    "sample_name": "Sample",
    "user": "User",
    "projections": "Projections",
    "rows": "Rows",
    "columns": "Columns",
    "flats": "Flat fields",
    "darks": "Dark fields",
    "angle_range_deg": "Angle range (degrees)",
    "pixel_size_mm": "Pixel size (mm)",
}
_SECONDS = ("queue_wait_s", "used_s", "asked_s")
_REPORT = {
    "job_id": "Job",
    "state": "Scheduler's word",
    "exit_code": "Exit code",
    "step": "Step of the script",
    "nodes": "Nodes",
    "queue_wait_s": "Waited in the queue",
    "used_s": "Ran",
    "asked_s": "Time asked for",
    "max_rss": "Most memory",
    "log_path": "Log at the site",
}

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class CopyView:
    """One copy of something, where it is and how that is known."""

    product: str
    variant: str
    location: str
    site: str
    path: str
    state: str
    look: str
    size: str
    files: int | None
    sha256: str
    verified_at: datetime | None
    prune_announced_at: datetime | None
    checksum: str
    link: str
    evidence: Rows
    next_step: str


def copies_of(facility: Facility, record: ScanRecord) -> list[CopyView]:
    """Every copy on record: raw files first, those that are gone last."""
    gone = (ReplicaState.DELETED, ReplicaState.LOST)
    order = list(PRODUCTS)
    rank = {r.id: (r.state in gone, order.index(r.product) if r.product in order else len(order), r.id) for r in record.replicas}
    return [_copy(facility, r) for r in sorted(record.replicas, key=lambda r: rank[r.id])]


def _copy(facility: Facility, replica: Replica) -> CopyView:
    location = facility.locations.get(replica.location)
    evidence = replica.evidence
    return CopyView(
        product=PRODUCTS.get(replica.product, replica.product),
        variant=replica.variant,
        location=replica.location,
        site=facility.sites[location.site].title if location is not None else "not in the facility file any more",
        path=_path(facility, replica),
        state=str(replica.state),
        look=LOOKS[replica.state],
        size=size_words(replica.size_bytes) if replica.size_bytes is not None else "",
        files=replica.files,
        sha256=replica.sha256 or "",
        verified_at=replica.verified_at,
        prune_announced_at=replica.prune_announced_at,
        checksum=str(evidence.get("checksum") or evidence.get("witnesses") or evidence.get("how") or ""),
        link=link_of(evidence),
        evidence=_evidence(evidence),
        next_step=settling_words(replica),
    )


def _path(facility: Facility, replica: Replica) -> str:
    """The full path as programs at the site see it."""
    location = facility.locations.get(replica.location)
    if location is None:
        return replica.path
    try:
        return str(Place(replica.location, location, replica.path).site_path)
    except PathOutsideLocation:
        return replica.path


def _evidence(evidence: Mapping[str, Any]) -> Rows:
    """Evidence that is a plain value; tables inside it have places of their own on the page."""
    shown_elsewhere = ("link", "checksum", "witnesses", "how")
    rows = [(n.replace("_", " "), _text(v)) for n, v in evidence.items() if n not in shown_elsewhere and _plain(v)]
    proof = evidence.get("proof")
    copies = proof.get("copies") if isinstance(proof, Mapping) else None
    if isinstance(copies, list):
        rows += [("copy looked at before deletion", _looked_at(c)) for c in copies if isinstance(c, Mapping)]
    report = evidence.get("report")
    return rows + (report_rows(report) if isinstance(report, Mapping) else [])


def _looked_at(copy: Mapping[str, Any]) -> str:
    return f"{copy.get('location')}: {copy.get('path')} at {copy.get('looked_at')}"


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float)) and value != ""


def _text(value: object) -> str:
    return str(value)[:2000]


def report_rows(report: Mapping[str, Any]) -> Rows:
    """What is known of a job, without its log."""
    rows = []
    for name, title in _REPORT.items():
        value = report.get(name)
        if _plain(value):
            rows.append((title, duration_words(float(value)) if name in _SECONDS and isinstance(value, (int, float)) else _text(value)))
    return rows


def log_tails(report: Mapping[str, Any]) -> Rows:
    """The last lines of a job's log, what went wrong first."""
    names = {"stderr_tail": "Last lines of its error output", "stdout_tail": "Last lines of its output"}
    return [(title, _text(report[name])) for name, title in names.items() if report.get(name)]


def facts_of(record: ScanRecord) -> Rows:
    """What the scan is, as far as its file told."""
    facts = record.dataset.facts
    known = [(title, _text(facts[name])) for name, title in _FACTS.items() if _plain(facts.get(name))]
    others = [(n.replace("_", " "), _text(v)) for n, v in facts.items() if n not in _FACTS and n != "warnings" and _plain(v)]
    return known + others


def warnings_of(record: ScanRecord) -> list[str]:
    """Sentences about the file that do not forbid using it."""
    warnings = record.dataset.facts.get("warnings")
    return [_text(w) for w in warnings] if isinstance(warnings, list) else []


@dataclass(frozen=True)
class Decision:
    """What the dispatcher decided and why: ``site`` in words, ``reasons`` by step."""

    at: datetime
    site: str
    why_site: str
    reasons: Rows


def decision_of(facility: Facility, record: ScanRecord) -> Decision | None:
    """The newest decision, None where there is none."""
    note = record.decision
    if note is None:
        return None
    name = note.why.removeprefix("site: ")
    site = facility.sites[name].title if name in facility.sites else name
    reasons = [(n, _text(v)) for n, v in note.evidence.items() if n != "site"]
    return Decision(note.at, site, _text(note.evidence.get("site", "")), reasons)


@dataclass(frozen=True)
class Happening:
    """One row of the history."""

    at: datetime
    who: str
    what: str
    change: str
    why: str


def history_of(rows: Sequence[Audit], dataset_key: str) -> list[Happening]:
    """Audit rows for people, in the order given."""
    return [Happening(row.at, row.who, _subject(row, dataset_key), _change(row), _text(row.why)) for row in rows]


def _subject(row: Audit, dataset_key: str) -> str:
    """The page is about one scan: its name need not be in every line."""
    if row.subject in (f"dataset {dataset_key}", f"{DISPATCH}{dataset_key}"):
        return row.subject.split(" ", 1)[0]
    return row.subject.replace(f" of {dataset_key}", "")


def _change(row: Audit) -> str:
    return " → ".join(part for part in (row.before, row.after) if part)
