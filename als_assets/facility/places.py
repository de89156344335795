"""A place: a path at a location, kept under the location's root whatever the path says.

Here: the one jail for names that come from outside. Not here: looking at what lies there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from als_assets.errors import PathOutsideLocation
from als_assets.facility.models import Location


@dataclass(frozen=True)
class Place:
    """A path at a location, below the location's prefix."""

    location_name: str
    location: Location
    path: str

    @property
    def mover_path(self) -> str:
        """As the mover's collection sees it."""
        return str(jailed(self.location_name, self.location.root / self.location.prefix, self.path))

    @property
    def site_path(self) -> PurePosixPath:
        """As programs on the site see it."""
        return jailed(self.location_name, self.location.site_root / self.location.prefix, self.path)


def jailed(name: str, root: PurePosixPath, path: str) -> PurePosixPath:
    """``root / path``. Raises PathOutsideLocation for absolute paths, '..', the root itself and control characters."""
    relative = PurePosixPath(path)
    hostile = relative.is_absolute() or ".." in relative.parts or not relative.parts or any(ord(c) < 32 for c in path)
    if hostile:
        raise PathOutsideLocation(
            f"The path {path!r} would leave the location {name} or holds control characters; nothing was done.",
            next_step="Rename the file at the beamline, then announce it again.",
            location=name,
        )
    return root / relative
