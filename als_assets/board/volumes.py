"""Which multi-resolution volumes of a scan this machine can show, and what to say of those that it cannot.

Here: replicas on record and their folders on mounted locations. Not here: bytes and metadata of a store (``stores``) and pages
(``viewer``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from als_assets.errors import PathOutsideLocation
from als_assets.facility import Facility, Place
from als_assets.ledger import Ledger, Replica, ReplicaState
from als_assets.ledger.products import ZARR


@dataclass(frozen=True)
class Volume:
    """A verified volume on record. ``folder`` is None where this machine does not see it; ``site`` says in words where it is."""

    replica_id: int
    variant: str
    site: str
    path: str
    folder: Path | None

    @property
    def name(self) -> str:
        """The last part of its address: viewers know a store by the ending .zarr."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]


def volumes_of(facility: Facility, ledger: Ledger, key: str) -> list[Volume]:
    """Newest first, those that can be shown before those that cannot."""
    copies = ledger.replicas.of(key, product=ZARR, state=ReplicaState.VERIFIED)
    found = [_volume(facility, replica) for replica in copies]
    return sorted(found, key=lambda volume: volume.folder is None)


def volume(facility: Facility, ledger: Ledger, key: str, replica_id: int) -> Volume | None:
    """One of them, by its number."""
    return next((v for v in volumes_of(facility, ledger, key) if v.replica_id == replica_id), None)


def _volume(facility: Facility, replica: Replica) -> Volume:
    location = facility.locations.get(replica.location)
    if location is None:
        return Volume(replica.id, replica.variant, replica.location, replica.path, None)
    site = facility.sites[location.site].title
    try:
        place = Place(replica.location, location, replica.path).site_path
    except PathOutsideLocation:
        return Volume(replica.id, replica.variant, site, replica.path, None)
    folder = _inside(Path(location.site_root / location.prefix), Path(place)) if location.mounted else None
    return Volume(replica.id, replica.variant, site, str(place), folder)


def _inside(root: Path, folder: Path) -> Path | None:
    """The folder without links, if it is there and below the location's root."""
    try:
        real = folder.resolve(strict=True)
    except OSError:
        return None
    return real if real.is_dir() and real.is_relative_to(root.resolve()) else None
