"""The catalogue by hand: one scan file in, one record shown, with nothing but the part of a facility file that is about SciCat.

Here: what ``als scicat ingest`` and ``show`` do, export gate included. Not here: printing (``cli.scicat``), and the way of scans that the
platform follows by itself (``delivery``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from als_assets.beamlines.base import Beamline, Extract, Extractor, ScanIdentity
from als_assets.catalogue import clean
from als_assets.catalogue.accounts import Accounts, open_accounts
from als_assets.catalogue.client import MayLeave
from als_assets.catalogue.ensure import CatalogueReceipt, ensure_record
from als_assets.catalogue.gather import file_entries
from als_assets.catalogue.model import INGEST, Issue, Json, raw_pid
from als_assets.catalogue.pictures import thumbnail_read_by
from als_assets.catalogue.records import Surroundings, raw_record
from als_assets.errors import ConfigError, ExportRefused, ScanUnreadable
from als_assets.facility import Release
from als_assets.facility.catalogue import CatalogueFile
from als_assets.ledger import Dataset, Ledger

_MOST_RESULTS = 100


@dataclass
class Desk:
    """Use it in a with statement. ``release``: why a scan that is on no record may leave, as a person says it."""

    file: CatalogueFile
    beamlines: Mapping[str, Beamline]
    extractors: Mapping[str, Extractor]
    release: str | None = None
    _opened: list[Accounts] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for accounts in self._opened:
            accounts.close()

    def accounts(self, may_leave: MayLeave) -> Accounts:
        self._opened.append(open_accounts(self.file.scicat, self.file.identities, may_leave))
        return self._opened[-1]

    def accounts_for_tests(self) -> Accounts:
        """For requests that are about no scan at all."""
        return self.accounts(lambda key: None)

    def url(self, pid: str) -> str:
        """The page of a record."""
        return self.accounts_for_tests().ingest.settings.record_url(pid)

    def ingest(self, scan: Path, beamline: str, *, below: Path | None = None, source_folder: str = "") -> CatalogueReceipt:
        """Write the raw record of a scan file. Its path below the raw folder is what identifies it, as on the platform.

        Raises:
            ScanError: there can be no record of this file. ConfigError: the beamline is not known. ExportRefused: it must stay.
            RecordInvalid and what ``ensure_record`` raises.
        """
        path = scan.resolve()
        if not path.is_file():
            raise ScanUnreadable(f"The scan file {scan} does not exist.", next_step="Give the path of a scan file.")
        identity = self._identity(path, beamline, below)
        extract = self.extractors[beamline].extract(path)
        release = self._release(beamline, identity, extract)
        accounts = self.accounts(lambda key: _require(release, key, self.file.scicat.site))
        issues: list[Issue] = []
        picture = thumbnail_read_by(extract.thumbnail, "projection", issues)
        folder = source_folder or str(path.parent)
        around = Surroundings(folder, file_entries(extract), [] if picture is None else [picture])
        record = raw_record(accounts.ingest.settings.records, beamline, identity, extract, around)
        return ensure_record(accounts, replace(record, issues=(*record.issues, *issues)))

    def show(self, key: str, beamline: str) -> list[Json]:
        """The records of a scan and of its results, raw first; empty where there is none that the account may read."""
        client = self.accounts_for_tests().ingest
        found: list[Json] = []
        for where in self._where(key, beamline, client.settings.records.pid_prefix):
            found = client.search(where)
            if found:
                break
        raws = [record["pid"] for record in found if record.get("type") == "raw"]
        shown = {record["pid"]: record for record in found}
        for pid in raws:
            shown |= {record["pid"]: record for record in client.search({"inputDatasets": pid}, limit=_MOST_RESULTS)}
        return sorted(shown.values(), key=lambda record: (record.get("type") != "raw", record["pid"]))

    def _where(self, key: str, beamline: str, prefix: str) -> list[Json]:
        """What to look for, the surest first."""
        path = Path(key)
        if path.is_file():
            return [{"pid": raw_pid(prefix, beamline, self._identity(path.resolve(), beamline, None).relative_path)}]
        if "/" in key:
            return [{"pid": key}]
        dataset = self._on_record(lambda ledger: ledger.datasets.find(key))
        known = [] if dataset is None else [{"pid": raw_pid(prefix, dataset.beamline, PurePosixPath(dataset.raw_path))}]
        name = clean.name_without_extension(key)
        return [*known, {f"scientificMetadata.{INGEST}.scan": name}, {"datasetName": name}]

    def _identity(self, path: Path, beamline: str, below: Path | None) -> ScanIdentity:
        if beamline not in self.beamlines or beamline not in self.extractors:
            known = ", ".join(sorted(self.extractors))
            raise ConfigError(f"The beamline '{beamline}' is not known.", next_step=f"Give one of: {known}.")
        root = below.resolve() if below is not None else path.parent.parent
        if not path.is_relative_to(root):
            raise ConfigError(f"{path} is not below {root}.", next_step="Give --below a folder that the file is in.")
        return self.beamlines[beamline].identify(PurePosixPath(path.relative_to(root)))

    def _release(self, beamline: str, identity: ScanIdentity, extract: Extract) -> Release:
        """What the record says about this file, else the beamline's rules; a person may speak only where nothing but the proposal is
        unknown."""
        if self.file.on_premises:
            return Release(True, "SciCat is on the premises")
        dataset = self._on_record(lambda ledger: ledger.datasets.by_file(beamline, identity.folder, identity.file_name))
        if dataset is not None:
            return Release(dataset.may_leave, dataset.release_reason)
        proposal = clean.text_or_none(extract.catalogue.proposal)
        names = {"file_name": identity.file_name, "folder": identity.folder}
        if proposal is None and self.release and self.file.classify(beamline, proposal="unknown", **names).may_leave:
            return Release(True, f"{self.release} (said on the command line)")
        return self.file.classify(beamline, proposal=proposal, **names)

    def _on_record(self, ask: Callable[[Ledger], Dataset | None]) -> Dataset | None:
        """Ask the record of scans, where the facility file names one that exists."""
        if self.file.ledger_url is not None:
            ledger = Ledger.open(self.file.ledger_url.read())
        elif self.file.state_dir is not None and (self.file.state_dir / "ledger.sqlite").exists():
            ledger = Ledger.at(self.file.state_dir)
        else:
            return None
        try:
            return ask(ledger)
        finally:
            ledger.close()


def _require(release: Release, key: str, site: str) -> None:
    if not release.may_leave:
        raise ExportRefused(
            f"Scan {key} stays at the ALS and was not sent to {site}: {release.reason}.",
            next_step="Where nothing but the proposal is unknown, say why it may leave: als scicat ingest ... --may-leave REASON",
        )
