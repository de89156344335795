"""What a mover is: something that copies and deletes bytes between locations and can be asked what became of it.

Here: the protocol, its values, and the jail that keeps every path under its location's root. Not here: any particular mover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Protocol

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
    """``root / path``. Raises PathOutsideLocation for absolute paths, '..', empty parts and control characters."""
    relative = PurePosixPath(path)
    hostile = relative.is_absolute() or ".." in relative.parts or path in ("", ".") or any(ord(c) < 32 for c in path)
    if hostile:
        raise PathOutsideLocation(
            f"The path {path!r} would leave the location {name}; nothing was done.",
            next_step="Rename the file at the beamline, then announce it again.",
            location=name,
        )
    return root / relative


class TaskState(StrEnum):
    """What a mover says of a task, in our words. Anything unheard-of is UNKNOWN, and UNKNOWN is red."""

    QUEUED = "queued"
    ACTIVE = "active"
    DAMAGED = "damaged"  # checksums keep disagreeing
    HOPELESS = "hopeless"  # the mover would go on trying for a day: the source is missing, or access is denied
    NEEDS_PERSON = "needs person"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TaskView:
    """A look at one task. ``sentence`` is for staff; ``facts`` are the mover's own numbers and last events."""

    state: TaskState
    sentence: str
    facts: Mapping[str, Any]
    link: str = ""


@dataclass(frozen=True)
class TransferRequest:
    """A copy from one place to another; ``sha256`` (of a single file) is what the destination must have."""

    dataset_key: str
    source: Place
    destination: Place
    is_directory: bool
    label: str
    sha256: str | None = None


@dataclass(frozen=True)
class DeleteRequest:
    dataset_key: str
    place: Place
    is_directory: bool
    label: str


class Mover(Protocol):
    """A mover. ``prepare`` returns what must be on record before the first request (for Globus the submission id); ``start_*``
    with the same preparation twice starts one task."""

    poll_s: float

    def prepare(self) -> dict[str, Any]: ...

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def look(self, handle: Mapping[str, Any]) -> TaskView: ...

    def cancel(self, handle: Mapping[str, Any]) -> None: ...

    def listing(self, place: Place) -> dict[str, int] | None:
        """Files at a place: relative path -> size in bytes ("" -> size for a single file); None where nothing is there."""
        ...
