"""Admission: every file at acquisition becomes a dataset exactly once, or is remembered with the reason why not.

Here: walking the watched folder, waiting until a file is still, looking into it, and recording it. Not here: the rules of a file
format (``beamlines``). No file, however broken or hostile its name, stops the walk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from als_assets.beamlines.base import Beamline, ScanFacts, ScanIdentity
from als_assets.beamlines.stability import Sighting, require_settled
from als_assets.errors import AlsError, ConfigError, PathOutsideLocation, ScanError, ScanStillWriting, ScanUnreadable
from als_assets.facility import Facility
from als_assets.facility.places import jailed
from als_assets.facility.settings import Settings
from als_assets.ledger import Dataset, Ledger
from als_assets.ledger.datasets import NewDataset


@dataclass(frozen=True)
class Refusal:
    """A file that is not a dataset (yet). ``waiting`` tells that nothing is wrong: it is still being written."""

    path: str
    error: AlsError
    waiting: bool


class Intake:
    """Admission for one beamline."""

    def __init__(self, facility: Facility, ledger: Ledger, beamline: Beamline) -> None:
        self._facility = facility
        self._ledger = ledger
        self._beamline = beamline
        self.location_name = facility.beamlines[beamline.name].acquisition
        location = facility.location(self.location_name)
        if not location.mounted:
            raise ConfigError(
                f"The location '{self.location_name}' is not mounted here, so its files cannot be looked into.",
                next_step="Mount it and set 'mounted: true' and 'path_on_site' in the facility file.",
            )
        self.root = Path(location.site_root / location.prefix)

    def look(self, settings: Settings, limit: int) -> tuple[list[Dataset], list[Refusal]]:
        """One round over the watched folder: at most ``limit`` new datasets, and the files that are none (yet).

        Raises:
            ScanUnreadable: the watched folder itself is not there; that must not look like a day without scans.
        """
        if not self.root.is_dir():
            raise ScanUnreadable(
                f"The watched folder {self.root} is not there.", next_step="Mount it, or mend its path in the facility file."
            )
        admitted: list[Dataset] = []
        refused: list[Refusal] = []
        unreadable: list[OSError] = []
        candidates = list(self._candidates(unreadable))
        if not unreadable:
            self._forget_vanished({_words(relative) for relative in candidates})
        for relative in candidates:
            if len(admitted) >= limit:
                break
            try:
                dataset = self.consider(relative, settings)
            except AlsError as error:
                refused.append(self._refuse(relative, error))
            else:
                admitted += [dataset] if dataset is not None else []
        return admitted, refused + [self._unreadable(error) for error in unreadable]

    def consider(self, relative: PurePosixPath, settings: Settings, *, announced: bool = False) -> Dataset | None:
        """Admit one file by its path below the watched folder; None if it is a dataset already.

        ``announced``: the acquisition says that the file is complete, so it need not lie still first.

        Raises:
            ScanError: it cannot be admitted (now). PathOutsideLocation: its path leaves the folder.
        """
        identity = self._beamline.identify(relative)
        text = _words(relative)
        if text == str(relative) and self._ledger.datasets.by_file(self._beamline.name, identity.folder, identity.file_name) is not None:
            return None
        path = self.root / relative
        current = Sighting.of(path)
        seen = self._ledger.sightings.see(self._beamline.name, text, current.size_bytes, current.mtime_ns)
        self._require_fit(relative, text)
        if not announced:
            before = Sighting(seen.size_bytes, seen.mtime_ns, seen.unchanged_since)
            now = Sighting(current.size_bytes, current.mtime_ns, self._ledger.clock())
            require_settled(identity.file_name, before, now, settings.quiet_s)
        facts = self._beamline.inspect(path)
        if Sighting.of(path).mtime_ns != current.mtime_ns:
            raise _still_writing(identity.file_name)
        dataset = self._ledger.datasets.admit(self._new(identity, facts, settings, relative))
        self._ledger.sightings.forget(self._beamline.name, text)
        return dataset

    def _require_fit(self, relative: PurePosixPath, text: str) -> None:
        """Raises ScanError, PathOutsideLocation for a name that no other place could take, and for what a link only points at."""
        if text != str(relative):
            raise ScanError(f"The name of the file {text} is not UTF-8.", next_step="Rename it; Globus and the record take UTF-8 only.")
        jailed(self.location_name, PurePosixPath(self.root), text)
        if (self.root / relative).resolve() != self.root.resolve() / relative:
            raise PathOutsideLocation(
                f"The file {text} is reached through a link.", next_step="Put the file itself there, or announce it where it is."
            )

    def _candidates(self, unreadable: list[OSError]) -> Iterator[PurePosixPath]:
        """Scan files below the watched folder that are no datasets yet, in order of name."""
        known = self._ledger.datasets.files(self._beamline.name)
        for folder, folders, names in os.walk(self.root, onerror=unreadable.append):
            folders.sort()
            below = PurePosixPath(folder).relative_to(self.root)
            for name in sorted(names):
                relative = below / name
                inside = "" if str(below) == "." else str(below)
                if (inside, name) not in known and self._beamline.is_candidate(relative):
                    yield relative

    def _forget_vanished(self, there: set[str]) -> None:
        """A file that is gone needs no reason any more why it is no scan."""
        for sighting in self._ledger.sightings.list(self._beamline.name):
            if sighting.path not in there:
                self._ledger.sightings.forget(sighting.beamline, sighting.path)

    def _refuse(self, relative: PurePosixPath, error: AlsError) -> Refusal:
        waiting = isinstance(error, ScanStillWriting)
        if not waiting:
            self._ledger.sightings.refuse(self._beamline.name, _words(relative), error.sentence, error.next_step)
        return Refusal(_words(relative), error, waiting)

    def _unreadable(self, error: OSError) -> Refusal:
        text = _words(PurePosixPath(os.fsdecode(error.filename)).relative_to(self.root))
        reason = ScanUnreadable(f"The folder {text} cannot be looked into: {error.strerror}.", next_step="Let this account read it.")
        return Refusal(text, reason, waiting=False)

    def _new(self, identity: ScanIdentity, facts: ScanFacts, settings: Settings, relative: PurePosixPath) -> NewDataset:
        release = settings.export_control.classify(proposal=facts.proposal, file_name=identity.file_name, folder=identity.folder)
        return NewDataset(
            key=self._free_key(identity),
            beamline=self._beamline.name,
            folder=identity.folder,
            file_name=identity.file_name,
            proposal=facts.proposal,
            size_bytes=facts.size_bytes,
            acquired_at=facts.acquired_at,
            may_leave=release.may_leave,
            release_reason=release.reason,
            source_location=self.location_name,
            source_path=str(relative),
            facts=_small(identity, facts),
        )

    def _free_key(self, identity: ScanIdentity) -> str:
        """Keys are never reused: the same file name in another folder gets a key of its own."""
        if self._ledger.datasets.find(identity.key) is None:
            return identity.key
        digest = hashlib.sha256(os.fsencode(str(identity.relative_path))).hexdigest()[:8]
        return f"{identity.key[:190]}-{digest}"


def _small(identity: ScanIdentity, facts: ScanFacts) -> dict[str, object]:
    """What every page wants to know; the full metadata stays in the file and goes to the catalogue."""
    return {
        "projections": facts.projections,
        "rows": facts.rows,
        "columns": facts.columns,
        "flats": facts.flats,
        "darks": facts.darks,
        "angle_range_deg": facts.angle_range_deg,
        "pixel_size_mm": facts.pixel_size_mm,
        "sample_name": facts.sample_name,
        "user": identity.user,
        "warnings": [*identity.warnings, *facts.warnings],
    }


def _words(relative: PurePosixPath) -> str:
    """The path as text that any database takes (file names may hold bytes that are no UTF-8)."""
    return os.fsencode(str(relative)).decode("utf-8", errors="backslashreplace")


def _still_writing(name: str) -> ScanStillWriting:
    return ScanStillWriting(f"The scan file {name} changed while it was read.", next_step="Nothing to do: it is looked at again.")
