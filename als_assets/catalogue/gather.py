"""Everything a record says, gathered from where it is: the scan file, the record of copies and jobs, previews and the product itself.

Here: reading and putting together, for one beamline; the same for a step, the command line and a repair. Not here: the fields of a
record (``records``) and its delivery. What only makes a record nicer (pictures, versions, the log) is left out where it cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from als_assets import __version__
from als_assets.beamlines.base import Beamline, Extract, Extractor
from als_assets.catalogue.lifecycle import copies_of
from als_assets.catalogue.model import FileEntry, Issue, Record, Thumbnail
from als_assets.catalogue.records import Product, Surroundings, derived_record, raw_record
from als_assets.catalogue.settings import RecordSettings
from als_assets.facility import Facility
from als_assets.facility.places import Place
from als_assets.ledger import Dataset, Ledger, OperationKind, OperationState, Replica
from als_assets.ledger.products import RAW, TIFF, ZARR

# Thousands of files are listed by their folder: SciCat takes seconds for each thousand, and refuses bodies above 16 MB.
LISTED_FILES = 2500


@dataclass(frozen=True)
class RecordSource:
    """What records of one beamline's scans are made from."""

    facility: Facility
    ledger: Ledger
    settings: RecordSettings
    beamline: Beamline
    extractor: Extractor

    def raw(self, dataset: Dataset, replica: Replica) -> Record:
        """The raw record, from a copy of the file that this machine sees. Raises the ScanError that says why there is none."""
        path = Path(self._place(replica).site_path)
        scan = self.extractor.extract(path)
        # Keys are never reused, so a second file of the same name has another key than its name says.
        identity = replace(self.beamline.identify(PurePosixPath(dataset.raw_path)), key=dataset.key)
        issues: list[Issue] = []
        around = Surroundings(
            source_folder=str(self._users_copy(dataset).parent),
            files=file_entries(scan, replica.sha256),
            thumbnails=self._projection(dataset.key, scan, issues),
            copies=copies_of(self.facility, self.ledger.replicas.of(dataset.key, product=RAW)),
            links={"scan_page": self._page("scan", dataset.key)},
        )
        return _with(raw_record(self.settings, self.beamline.name, identity, scan, around), issues)

    def derived(self, dataset: Dataset, raw: Record, stack: Replica, volume: Replica | None) -> Record:
        """The record of a reconstruction whose TIFF stack (and Zarr) are verified. ``stack`` is the replica at the site that made it."""
        issues: list[Issue] = []
        report = stack.evidence.get("report", {})
        made = self._made_with(stack, issues)
        products = [r for p in (TIFF, ZARR) for r in self.ledger.replicas.of(dataset.key, product=p, variant=stack.variant)]
        record = derived_record(
            self.settings,
            raw,
            Product(
                kind="reconstruction",
                name=f"rec{dataset.key}{'-' + stack.variant if stack.variant else ''}",
                parameters=json.loads(stack.evidence["parameters"]),
                effective=_effective(made),
                software=_software(made, str(report.get("image") or "")),
                site=str(report.get("site", "")),
                job_id=str(report.get("job_id", "")),
                created_at=stack.verified_at or self.ledger.clock(),
                source_folder=str(self._results(stack).parent),
                file_blocks=[_listed(stack), *([_listed(volume)] if volume else [])],
                log=self._log(dataset.key, stack),
                thumbnails=self._slices(dataset.key, volume, issues),
                copies=copies_of(self.facility, products),
                links={"viewer": self._page("view", dataset.key), "scan_page": self._page("scan", dataset.key)},
            ),
        )
        return _with(record, issues)

    def _place(self, replica: Replica) -> Place:
        return Place(replica.location, self.facility.location(replica.location), replica.path)

    def _users_copy(self, dataset: Dataset) -> PurePosixPath:
        """Where users find the raw file: the lasting copy at the computing centre, not the disk that this machine mounts."""
        name = self.facility.beamlines[self.beamline.name].raw_remote
        return Place(name, self.facility.location(name), dataset.raw_path).site_path

    def _results(self, replica: Replica) -> PurePosixPath:
        name = self.facility.beamlines[self.beamline.name].results
        return Place(name, self.facility.location(name), replica.path).site_path

    def _page(self, kind: str, key: str) -> str:
        return f"{self.facility.board_url}/{kind}/{quote(key)}"

    def _projection(self, key: str, scan: Extract, issues: list[Issue]) -> list[Thumbnail]:
        from als_assets.catalogue.pictures import thumbnail_read_by  # numpy and pillow: a run that writes no record needs neither

        ready = self._previews(key, ("projection",), issues)
        return ready or [t for t in [thumbnail_read_by(scan.thumbnail, "projection", issues)] if t is not None]

    def _slices(self, key: str, volume: Replica | None, issues: list[Issue]) -> list[Thumbnail]:
        """Of the volume itself where this machine sees it, else of the preview."""
        from als_assets.catalogue.pictures import thumbnail_of_pixels
        from als_assets.catalogue.slices import orthogonal_slices

        store = Path(self._results(volume)) if volume else None
        if store is None or not store.is_dir():
            return self._previews(key, ("preview_xy", "preview_xz", "preview_yz"), issues)
        try:
            planes = orthogonal_slices(store)
        except (OSError, LookupError, ValueError, TypeError) as error:
            issues.append(Issue("warning", "thumbnail", f"There are no slices of {store.name}: {error}"))
            return []
        made = (thumbnail_of_pixels(plane, name, issues) for name, plane in planes.items())
        return [thumbnail for thumbnail in made if thumbnail is not None]

    def _previews(self, key: str, names: Sequence[str], issues: list[Issue]) -> list[Thumbnail]:
        from als_assets.catalogue.pictures import thumbnail_of_image

        folder = self.facility.state_dir / "media" / key
        found = [(name.replace("_", " "), folder / f"{name}.jpg") for name in names]
        made = (thumbnail_of_image(path.read_bytes(), title, issues) for title, path in found if path.exists())
        return [thumbnail for thumbnail in made if thumbnail is not None]

    def _made_with(self, stack: Replica, issues: list[Issue]) -> dict[str, Any]:
        """What the program wrote beside its result: every parameter, the centre it found, and versions."""
        path = Path(self._results(stack)) / "parameters.json"
        try:
            made: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            issues.append(Issue("warning", "jobParameters", f"The result's own list of parameters cannot be read: {error}"))
            return {}
        return made

    def _log(self, key: str, stack: Replica) -> str:
        """Which job, then the last lines of what it said."""
        jobs = [o for o in self.ledger.operations.of(key) if o.kind is OperationKind.JOB and o.state is OperationState.SUCCEEDED]
        job = next((o for o in jobs if o.replica_id == stack.id), None)
        report: dict[str, Any] = (job.outcome.get("report") if job else None) or stack.evidence.get("report", {})
        run = job.holder if job else None
        head = {"site": report.get("site"), "job": report.get("job_id"), "run": run, "log": report.get("log_path")}
        lines = [f"{name}: {value}" for name, value in head.items() if value]
        tails = [str(report[name]) for name in ("sentence", "stdout_tail", "stderr_tail") if report.get(name)]
        return "\n".join([*lines, *tails])


def file_entries(scan: Extract, sha256: str | None = None) -> list[FileEntry]:
    """The files of a scan; a checksum is that of the only one."""
    known = sha256 if len(scan.files) == 1 else None
    return [FileEntry(file.path, file.size_bytes, file.modified_at, known) for file in scan.files]


def _with(record: Record, issues: Sequence[Issue]) -> Record:
    return replace(record, issues=(*record.issues, *issues))


def _effective(made: dict[str, Any]) -> dict[str, Any] | None:
    kept = {name: made[name] for name in ("center", "pixel_size_mm", "engine", "output") if name in made}
    return {**made["parameters"], **{f"used_{name}": value for name, value in kept.items()}} if "parameters" in made else None


def _software(made: dict[str, Any], image: str) -> list[str]:
    versions = made.get("versions") or {"als-assets": __version__}
    return [*(f"{name} {version}" for name, version in versions.items()), *([image] if image else [])]


def _listed(replica: Replica) -> list[FileEntry]:
    """The files of a product, relative to the folder that holds it; a huge stack or store by its root."""
    root, when = PurePosixPath(replica.path).name, replica.verified_at or replica.created_at
    entries = replica.manifest.entries if replica.manifest else ()
    if not 0 < len(entries) <= LISTED_FILES:
        return [FileEntry(root, replica.size_bytes or 0, when.astimezone(UTC))]
    return [FileEntry(f"{root}/{e.path}", e.size_bytes, when.astimezone(UTC), e.sha256) for e in entries]
