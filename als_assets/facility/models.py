"""The shape of a facility file: sites, locations, identities, images, services and beamlines, and how they must fit.

Here: the file as a whole and the checks across its parts (references exist, roots do not overlap). Not here: identities and
processors (modules of their own), reading files
(``load``), secrets' values (``secrets``), and what staff change from day to day (``settings``).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from als_assets.errors import ConfigError
from als_assets.facility.base import AbsolutePath, Name, Strict, Url
from als_assets.facility.compute import Compute, GlobusCompute, IriCompute, LocalCompute, SfapiCompute
from als_assets.facility.identities import Identity
from als_assets.facility.secrets import SecretRef


class LocationClass(StrEnum):
    """What a location is for; retention is decided by it. A ``view`` only names a root: nothing is written or deleted there."""

    ACQUISITION = "acquisition"
    STAGING = "staging"
    ARCHIVE = "archive"
    SCRATCH = "scratch"
    VIEW = "view"


class MoverKind(StrEnum):
    GLOBUS = "globus"
    POSIX = "posix"


class Location(Strict):
    """A named root on a site. ``root`` is the path inside the mover's collection, ``path_on_site`` the same folder as programs
    on that site see it (default: the same), ``mounted`` tells that this machine sees ``path_on_site`` too. ``prefix`` is the
    folder below the root under which datasets lie."""

    site: Name
    mover: MoverKind = MoverKind.GLOBUS
    collection: UUID | None = None
    root: AbsolutePath
    path_on_site: AbsolutePath | None = None
    mounted: bool = False
    prefix: str = ""
    location_class: LocationClass = Field(alias="class")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mover is MoverKind.GLOBUS and self.collection is None:
            raise ValueError("a location moved by globus needs 'collection', the id of its Globus collection")
        if self.mover is MoverKind.POSIX and not self.mounted:
            raise ValueError("a location moved by posix must be 'mounted: true' on this machine")
        if PurePosixPath(self.prefix).is_absolute() or ".." in PurePosixPath(self.prefix).parts:
            raise ValueError("'prefix' must be a relative folder below the root")
        return self

    @property
    def site_root(self) -> PurePosixPath:
        return self.path_on_site or self.root


class Image(Strict):
    """A container image; a job always names it by digest, so that a result can be repeated."""

    reference: Annotated[str, Field(pattern=r"^[a-z0-9./_-]+$")]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | SecretRef


class Site(Strict):
    """Where bytes and processors are. Data that must stay may only be at a site with ``on_premises``."""

    title: str
    on_premises: bool = False
    compute: Compute | None = None


class Globus(Strict):
    """Addresses of Globus; empty means the real service. After ``rest_after_failures`` failures in a row a collection gets nothing
    new for ``rest_s``, doubled with every further failure up to ``rest_most_s``."""

    auth_url: Url = ""
    transfer_url: Url = ""
    compute_url: Url = ""
    web_url: Url = "https://app.globus.org"
    mover: Name
    pruner: Name
    poll_s: Annotated[float, Field(gt=0)] = 5.0
    rest_after_failures: Annotated[int, Field(ge=1)] = 3
    rest_s: Annotated[float, Field(gt=0)] = 60.0
    rest_most_s: Annotated[float, Field(gt=0)] = 3600.0


class Scicat(Strict):
    """SciCat and what is the same in all records. ``identity`` ingests; ``lifecycle_identity`` may change records that it does not own
    (an admin, or a member of SciCat's lifecycle group). ``ingest_group`` is the ingest account's own group, ``staff_group`` that of
    the beamline's staff; both may read every record. ``beamline_aliases``: how the beamline is written in files -> its group."""

    site: Name = "scicat"
    api_url: Url
    frontend_url: Url
    identity: Name
    pid_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "als"
    lifecycle_identity: Name | None = None
    ingest_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "als_ingest"
    staff_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "8.3.2"
    beamline_aliases: dict[str, str] = Field(default_factory=lambda: {"bl832": "8.3.2", "832": "8.3.2", "bl8.3.2": "8.3.2"})
    fallback_contact: str = "unknown@example.com"
    instrument_id: str | None = None
    archive_retention_years: Annotated[int, Field(ge=1, le=100)] = 10
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    attempts: Annotated[int, Field(ge=1, le=10)] = 2


class BeamlineSetup(Strict):
    """Which location plays which part for a beamline."""

    acquisition: Name
    raw: Name
    raw_remote: Name
    results: Name
    settings: Path
    watch: bool = True


def _with_store(pattern: str) -> str:
    if "{store}" not in pattern:
        raise ValueError(f"'{pattern}' must hold {{store}}, the place for a volume's address")
    return pattern


# The address of a viewer elsewhere, for instance https://kitware.github.io/itk-vtk-viewer/app/?fileToLoad={store}
ViewerPattern = Annotated[Url, AfterValidator(_with_store)]


class Facility(Strict):
    """One facility: everything a run needs to know that is not about one scan."""

    name: Name
    state_dir: Path
    ledger_url: SecretRef | None = None  # a PostgreSQL address, with its password; without it: SQLite in the state folder
    board_url: Url
    dagster_url: Url = ""
    sites: dict[Name, Site]
    locations: dict[Name, Location]
    identities: dict[Name, Identity]
    images: dict[Name, Image] = Field(default_factory=dict)
    globus: Globus
    scicat: Scicat
    beamlines: dict[Name, BeamlineSetup]
    viewers: dict[str, ViewerPattern] = Field(default_factory=dict)

    def location(self, name: str) -> Location:
        """Raises ConfigError for a name that is not in the file, for instance of an old copy on record."""
        try:
            return self.locations[name]
        except KeyError:
            raise ConfigError(
                f"The location '{name}' is not in the facility file.", next_step="Put it back: the record has copies there."
            ) from None

    def site_of(self, location_name: str) -> str:
        """Raises ConfigError for a name that is not in the file."""
        return self.location(location_name).site

    @model_validator(mode="after")
    def _references(self) -> Self:
        for place, name, table in self._named():
            if name not in table:
                known = ", ".join(sorted(table)) or "none"
                raise ValueError(f"{place}: '{name}' is not defined (known: {known})")
        self._kinds()
        self._no_overlap()
        return self

    def _named(self) -> list[tuple[str, str, dict[str, object]]]:
        sites: dict[str, object] = dict(self.sites)
        locations: dict[str, object] = dict(self.locations)
        identities: dict[str, object] = dict(self.identities)
        rows: list[tuple[str, str, dict[str, object]]] = [
            ("globus.mover", self.globus.mover, identities),
            ("globus.pruner", self.globus.pruner, identities),
            ("scicat.identity", self.scicat.identity, identities),
            ("scicat.site", self.scicat.site, sites),
        ]
        rows += [("scicat.lifecycle_identity", n, identities) for n in [self.scicat.lifecycle_identity] if n is not None]
        rows += [(f"locations.{n}.site", loc.site, sites) for n, loc in self.locations.items()]
        for n, beamline in self.beamlines.items():
            parts = ("acquisition", "raw", "raw_remote", "results")
            rows += [(f"beamlines.{n}.{part}", getattr(beamline, part), locations) for part in parts]
        for n, site in self.sites.items():
            if (c := site.compute) is None:
                continue
            rows += [(f"sites.{n}.compute.raw", c.raw, locations), (f"sites.{n}.compute.scratch", c.scratch, locations)]
            rows += [(f"sites.{n}.compute.scratch_raw", c.scratch_raw, locations)] if c.scratch_raw else []
            rows += [(f"sites.{n}.compute.container.image", c.container.image, dict(self.images))] if c.container.image else []
            rows += [(f"sites.{n}.compute.identity", c.identity, identities)] if not isinstance(c, LocalCompute) else []
            rows += [(f"sites.{n}.compute.inbox", c.inbox, locations)] if isinstance(c, IriCompute) and c.inbox else []
        return rows

    def _kinds(self) -> None:
        wanted = [("globus.mover", self.globus.mover, "globus"), ("globus.pruner", self.globus.pruner, "globus")]
        wanted.append(("scicat.identity", self.scicat.identity, "scicat"))
        wanted += [("scicat.lifecycle_identity", n, "scicat") for n in [self.scicat.lifecycle_identity] if n is not None]
        for n, site in self.sites.items():
            if isinstance(site.compute, SfapiCompute):
                wanted.append((f"sites.{n}.compute.identity", site.compute.identity, "sfapi"))
            if isinstance(site.compute, GlobusCompute):
                wanted.append((f"sites.{n}.compute.identity", site.compute.identity, "globus"))
            if isinstance(site.compute, IriCompute):
                kind = "sfapi" if site.compute.token_url else "token"
                wanted.append((f"sites.{n}.compute.identity", site.compute.identity, kind))
        for place, name, kind in wanted:
            if self.identities[name].kind != kind:
                raise ValueError(f"{place}: identity '{name}' is of kind {self.identities[name].kind}, not {kind}")

    def _no_overlap(self) -> None:
        """Two roots where bytes are kept must not lie inside each other: pruning one would reach into the other."""
        kept = [(n, loc) for n, loc in sorted(self.locations.items()) if loc.location_class is not LocationClass.VIEW]
        for i, (a, one) in enumerate(kept):
            for b, two in kept[i + 1 :]:
                same_collection = one.collection is not None and one.collection == two.collection
                if same_collection and _nested(one.root / one.prefix, two.root / two.prefix):
                    raise ValueError(f"locations.{b}: its root {two.root} overlaps that of '{a}' ({one.root})")
                if one.site == two.site and _nested(one.site_root / one.prefix, two.site_root / two.prefix):
                    raise ValueError(f"locations.{b}: its folder {two.site_root} overlaps that of '{a}' ({one.site_root})")


def _nested(a: PurePosixPath, b: PurePosixPath) -> bool:
    return a.is_relative_to(b) or b.is_relative_to(a)
