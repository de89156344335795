"""Reconciling: the record against what lies at a location, both ways, with a proposal for everything that does not fit.

Here: comparing and proposing. Not here: repairing; a person does that, because the machine that is wrong about what lies there must not
be the one that puts it right. At mounted locations every folder is looked into, at others those that the record knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from als_assets.errors import AlsError
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.ledger import Ledger, Manifest, Replica, ReplicaState
from als_assets.transfer import TransferService
from als_assets.words import size_words

S = ReplicaState
# A file that is younger may just be arriving.
SETTLED = timedelta(hours=1)
# Folders of the platform itself: what it fetched to look at.
OURS = ".als-assets-"


class Kind(StrEnum):
    DARK = "dark"  # a file that the record does not know
    LOST = "lost"  # a copy on record of which nothing is there
    CHANGED = "changed"  # a copy on record with other files or sizes
    UNREGISTERED = "unregistered"  # a scan that never became a dataset


@dataclass(frozen=True)
class Finding:
    """Something that does not fit. ``dataset_key`` is None where no scan is known; ``command`` is what would mend it."""

    kind: Kind
    location: str
    path: str
    words: str
    command: str
    dataset_key: str | None = None
    size_bytes: int = 0


@dataclass
class Report:
    """What was found; ``unseen`` are locations that could not be looked at, with the reason (nothing is said about those)."""

    findings: list[Finding] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    copies: int = 0
    files: int = 0


def reconcile(facility: Facility, ledger: Ledger, transfers: TransferService, beamline: str, only: Sequence[str] = ()) -> Report:
    """Compare every location where something is kept, or those named in ``only``. Raises ConfigError for an unknown name."""
    report = Report()
    names = only or [n for n, place in facility.locations.items() if place.location_class is not LocationClass.VIEW]
    for name in names:
        facility.location(name)
        rows = [r for r in ledger.replicas.at_location(name) if r.state not in (S.DELETED, S.LOST)]
        if not rows and name not in _parts(facility, beamline):
            continue
        try:
            _location(facility, ledger, transfers, beamline, name, rows, report)
        except (AlsError, OSError) as error:
            report.unseen[name] = error.sentence if isinstance(error, AlsError) else str(error)
    return report


def compare(transfers: TransferService, copy: Replica) -> Finding | None:
    """One verified copy against what lies there. Raises AlsError when that cannot be looked at."""
    return _judged(copy, transfers.listing(copy))


def _parts(facility: Facility, beamline: str) -> set[str]:
    return {value for _, value in facility.beamlines[beamline] if isinstance(value, str)}


def _location(
    facility: Facility, ledger: Ledger, transfers: TransferService, beamline: str, name: str, rows: Sequence[Replica], report: Report
) -> None:
    files: dict[str, int] = {}
    for folder in _folders(facility, name, rows):
        found = transfers.listing(Replica(location=name, path=folder))
        files |= {f"{folder}/{path}" if path else folder: size for path, size in (found or {}).items()}
    report.copies += len(rows)
    report.files += len(files)
    for row in rows:
        mine = {path[len(row.path) :].lstrip("/"): files.pop(path) for path in _under(files, row.path)}
        finding = _judged(row, mine or None) if row.state is S.VERIFIED else None
        if finding is not None:
            report.findings.append(finding)
    if name == facility.beamlines[beamline].acquisition:
        report.findings += _never_registered(ledger, transfers, beamline, name, files)
    else:
        report.findings += [_dark(name, path, size) for path, size in sorted(files.items())]


def _folders(facility: Facility, name: str, rows: Iterable[Replica]) -> list[str]:
    """The first folder of every path on record and, where this machine can look, of everything that is there."""
    known = {row.path.split("/")[0] for row in rows}
    place = facility.location(name)
    if place.mounted:
        root = Path(place.site_root / place.prefix)
        entries = os.scandir(root) if root.is_dir() else ()
        known |= {entry.name for entry in entries if not entry.is_symlink() and not entry.name.startswith(OURS)}
    return sorted(known)


def _under(files: dict[str, int], path: str) -> list[str]:
    return [path] if path in files else [name for name in files if name.startswith(f"{path}/")]


def _judged(row: Replica, found: dict[str, int] | None) -> Finding | None:
    again = f"als scan show {row.dataset_key}"
    if found is None:
        words = f"{row.name} is on record as verified, but nothing is there. Make it again, or find out who took it."
        return Finding(Kind.LOST, row.location, row.path, words, again, row.dataset_key, row.size_bytes or 0)
    wrong = (row.manifest or Manifest.single(row.size_bytes or 0)).differences(found)
    if not wrong:
        return None
    words = f"{row.name} is not what was proven: {'; '.join(wrong)}. Make it again from another copy."
    return Finding(Kind.CHANGED, row.location, row.path, words, again, row.dataset_key, row.size_bytes or 0)


def _dark(name: str, path: str, size: int) -> Finding:
    words = f"{path} at {name} ({size_words(size)}) is not on record, so nothing will ever delete it. Look at it, then keep or remove it."
    return Finding(Kind.DARK, name, path, words, f"ls -l {path!r}", size_bytes=size)


def _never_registered(ledger: Ledger, transfers: TransferService, beamline: str, name: str, files: dict[str, int]) -> list[Finding]:
    """Scan files that the new-file sensor has not even seen although they have been there for long."""
    known = {f"{folder}/{file}" if folder else file for folder, file in ledger.datasets.files(beamline)}
    seen = {row.path for row in ledger.sightings.list(beamline)}
    findings = []
    for path, size in sorted(files.items()):
        if path in known or path in seen or not path.endswith(".h5") or _young(transfers, name, path):
            continue
        words = f"{path} ({size_words(size)}) never became a scan, and the new-file sensor has not seen it: is the sensor on?"
        findings.append(Finding(Kind.UNREGISTERED, name, path, words, f"als scan announce {path}", size_bytes=size))
    return findings


def _young(transfers: TransferService, name: str, path: str) -> bool:
    place = transfers.place(name, path)
    if not place.location.mounted:
        return False
    return time.time() - Path(place.site_path).stat().st_mtime < SETTLED.total_seconds()
