"""The platform put together: from a facility file to the record, the gate, the movers, the transports and the catalogue.

Here: construction, once per process, nothing opened before it is used. Not here: Dagster, and any rule; the command line and the
definitions both start from this.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from als_assets.beamlines.base import Beamline, Extractor
from als_assets.beamlines.bl832 import BL832
from als_assets.beamlines.bl832.extract import EXTRACTOR
from als_assets.catalogue.accounts import Accounts, open_accounts
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.delivery import DeliveryService
from als_assets.catalogue.gather import RecordSource
from als_assets.catalogue.reconcile import Reconciler
from als_assets.compute import ComputeService
from als_assets.compute.local import LocalTransport
from als_assets.compute.preview import PreviewMaker
from als_assets.compute.sites import Sites
from als_assets.compute.streaming.service import StreamService
from als_assets.compute.transport import Transport
from als_assets.errors import ConfigError
from als_assets.facility import ExportGate, Facility, Release, load_facility
from als_assets.facility.compute import GlobusCompute, IriCompute, LocalCompute
from als_assets.facility.identities import GlobusIdentity, SfapiIdentity, TokenIdentity
from als_assets.facility.settings import LoadedSettings, read_settings
from als_assets.intake import Intake
from als_assets.ledger import Ledger, Operation, OperationKind
from als_assets.transfer import Mover, TransferService
from als_assets.transfer.globus import GlobusMover
from als_assets.transfer.globus_client import GlobusClient
from als_assets.transfer.posix import PosixMover
from als_assets.transfer.site_files import SiteFiles

BEAMLINES: dict[str, Beamline] = {BL832.name: BL832}
EXTRACTORS: dict[str, Extractor] = {BL832.name: EXTRACTOR}


class Platform:
    """Everything that acts, for one facility."""

    def __init__(self, facility: Facility, *, who: str = "als-assets") -> None:
        self.facility = facility
        self._who = who

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.of(self.facility, who=self._who)

    @cached_property
    def gate(self) -> ExportGate:
        return ExportGate(self.facility, self._release_of)

    def _release_of(self, dataset_key: str) -> Release | None:
        row = self.ledger.datasets.find(dataset_key)
        return None if row is None else Release(row.may_leave, row.release_reason)

    @cached_property
    def movers(self) -> dict[str, Mover]:
        movers: dict[str, Mover] = {"posix": PosixMover(self.gate)}
        globus = self.facility.globus
        for role, name in (("mover", globus.mover), ("pruner", globus.pruner)):
            identity = self.facility.identities[name]
            assert isinstance(identity, GlobusIdentity)  # checked when the file was loaded
            movers[role] = GlobusMover(GlobusClient(globus, name, identity), self.gate, globus)
        return movers

    @cached_property
    def transfers(self) -> TransferService:
        return TransferService(self.facility, self.ledger, self.gate, self.movers)

    @cached_property
    def compute(self) -> ComputeService:
        return ComputeService(self.facility, self.ledger, self.gate, self.transports)

    @cached_property
    def sites(self) -> Sites:
        return Sites(self.facility, self.ledger, self.transports)

    @cached_property
    def streams(self) -> StreamService:
        return StreamService(self.facility, self.ledger, self.transports)

    @cached_property
    def transports(self) -> dict[str, Transport]:
        transports: dict[str, Transport] = {}
        for name, site in self.facility.sites.items():
            if isinstance(site.compute, LocalCompute):
                transports[name] = LocalTransport(site.compute.walltime_max_s, site.compute.poll_s)
            elif isinstance(site.compute, GlobusCompute):
                transports[name] = self._globus_compute(name, site.title, site.compute)
            elif isinstance(site.compute, IriCompute):
                transports[name] = self._iri(name, site.title, site.compute)
            elif site.compute is not None:
                from als_assets.compute.sfapi.transport import SfapiTransport  # its client takes long to import

                identity = self.facility.identities[site.compute.identity]
                assert isinstance(identity, SfapiIdentity)  # checked when the file was loaded
                transports[name] = SfapiTransport(site.compute, identity)
        return transports

    def _globus_compute(self, name: str, title: str, setup: GlobusCompute) -> Transport:
        from als_assets.compute.globus_compute.client import ComputeClient  # not imported by who has no such site
        from als_assets.compute.globus_compute.notes import Notes
        from als_assets.compute.globus_compute.transport import GlobusComputeTransport

        globus, identity = self.facility.globus, self.facility.identities[setup.identity]
        assert isinstance(identity, GlobusIdentity)  # checked when the file was loaded
        client = ComputeClient(globus.compute_url, globus.auth_url, setup.identity, identity)
        notes = Notes(self.facility.state_dir / "globus_compute" / name)
        places = [place for place in (setup.raw, setup.scratch, setup.scratch_raw) if place is not None]
        return GlobusComputeTransport(title, setup, client, notes, [self.facility.location(place).site_root for place in places])

    def _iri(self, name: str, title: str, setup: IriCompute) -> Transport:
        from als_assets.compute.iri.transport import IriTransport  # not imported by who has no such site

        identity = self.facility.identities[setup.identity]
        assert isinstance(identity, TokenIdentity | SfapiIdentity)  # checked when the file was loaded
        if setup.inbox is None:
            return IriTransport(setup, identity, title)
        return IriTransport(setup, identity, title, SiteFiles(self.facility, name, setup.inbox, lambda: self.movers["mover"]))

    @cached_property
    def previews(self) -> PreviewMaker:
        return PreviewMaker(self.facility.state_dir, self.facility.board_url)

    @cached_property
    def accounts(self) -> Accounts:
        """Who the platform is at SciCat; every request about a dataset asks the gate first."""
        scicat = self.facility.scicat
        return open_accounts(scicat, self.facility.identities, lambda key: self.gate.require(key, scicat.site))

    @cached_property
    def catalogue(self) -> CatalogueClient:
        return self.accounts.ingest

    @cached_property
    def deliveries(self) -> DeliveryService:
        return DeliveryService(self.ledger, lambda: self.accounts)

    def record_source(self, beamline: str) -> RecordSource:
        """What records of a beamline's scans are made from."""
        settings = self.catalogue.settings.records
        return RecordSource(self.facility, self.ledger, settings, BEAMLINES[beamline], EXTRACTORS[beamline])

    def reconciler(self) -> Reconciler:
        """The comparison of the record with SciCat."""
        return Reconciler(self.facility, self.ledger, self.gate, self.accounts, self.deliveries, self.record_source)

    def intake(self, beamline: str) -> Intake:
        return Intake(self.facility, self.ledger, BEAMLINES[beamline])

    def settings(self, beamline: str) -> LoadedSettings:
        return read_settings(self.facility.beamlines[beamline].settings, self.facility.state_dir / "settings")

    def close(self) -> None:
        """Close the connections that were opened, to services and to the record."""
        opened = self.__dict__
        parts = [opened.get("accounts"), *opened.get("movers", {}).values(), *opened.get("transports", {}).values(), opened.get("ledger")]
        for part in parts:
            if hasattr(part, "close"):
                part.close()

    def cancel(self, operation: Operation) -> None:
        """Stop the remote work of an open operation."""
        if operation.kind in (OperationKind.TRANSFER, OperationKind.DELETE):
            self.transfers.cancel(operation)
        elif operation.kind is OperationKind.JOB:
            self.compute.cancel(operation)


_OPEN: dict[Path, Platform] = {}


def platform_of(path: Path) -> Platform:
    """The platform of a facility file, one per process.

    Raises:
        ConfigError: the file is wrong.
    """
    if path in _OPEN:
        return _OPEN[path]
    if not path.exists():
        raise ConfigError(
            f"The facility file {path} does not exist.", next_step="Set ALS_FACILITY to the path of a facility file, or run: als demo"
        )
    return _OPEN.setdefault(path, Platform(load_facility(path)))  # two threads may come here at once; both get the same one


def close_platforms() -> None:
    """Close every platform of this process; the next to ask gets a fresh one."""
    while _OPEN:
        _OPEN.popitem()[1].close()
