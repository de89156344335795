"""The interface between a beamline's file format and the rest of the platform.

Here: what a scan is called (``ScanIdentity``), what one look into its file found (``ScanFacts``), what it says for the catalogue
(``Extract``), and the protocols ``Beamline`` and ``Extractor``. Not here: any particular format, reading of files, or configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from als_assets.errors import PathOutsideLocation

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ScanIdentity:
    """What a scan is called, from its path below the raw root alone.

    ``prefix``, ``proposal_number`` (digits as text, "00847") and ``user`` come from the folder's name and are None where it
    does not follow the beamline's rule; ``warnings`` then says so. ``folder`` is "" for a file directly in the root.
    """

    key: str
    stem: str
    file_name: str
    folder: str
    relative_path: PurePosixPath
    prefix: str | None
    proposal_number: str | None
    user: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanFacts:
    """What one look into a complete scan file found.

    ``rows`` and ``columns`` are detector pixels, ``acquired_at`` is in UTC. ``metadata`` maps paths inside the file to plain
    Python values (text, int, float, bool, lists of them; floats may be NaN) and ``units`` those paths to their unit, where the
    file or the layout names one. ``warnings`` are complete sentences; none of them forbids using the scan.
    """

    size_bytes: int
    mtime_ns: int
    projections: int
    rows: int
    columns: int
    flats: int
    darks: int
    angle_range_deg: float
    pixel_size_mm: float
    proposal: str | None
    acquired_at: datetime | None
    sample_name: str | None
    metadata: Mapping[str, object]
    warnings: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


class Beamline(Protocol):
    """What the platform asks of a beamline."""

    @property
    def name(self) -> str:
        """The beamline's short name, e.g. ``bl832``."""

    def is_candidate(self, relative_path: PurePosixPath) -> bool:
        """Whether a path below the raw root looks like a scan file (nothing is opened)."""

    def identify(self, relative_path: PurePosixPath) -> ScanIdentity:
        """The identity of the scan at that path. Raises PathOutsideLocation for a path that leaves the root."""

    def inspect(self, path: Path) -> ScanFacts:
        """Look into a file; returns only for a complete scan. Raises the ScanError that says what is wrong."""


@dataclass(frozen=True)
class CatalogueFields:
    """Who, what and where, as it is written in the file (None where absent, any type where the file is odd)."""

    name: object = None
    title: object = None
    investigator: object = None
    proposal: object = None
    beamline: object = None
    email: object = None
    instrument: object = None


@dataclass(frozen=True)
class ExtractedFile:
    """One file of a scan. ``path`` is relative to the scan's folder."""

    path: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Extract:
    """What a scan says about itself, for the catalogue; the same for every beamline and format.

    ``scientific`` maps names (paths inside the file, header keys) to plain values as they were found, without what became a field of
    ``catalogue``; ``units`` gives those names their unit where the file or the layout states one. ``summary`` holds numbers under
    names of ours. ``created_at`` (with its zone) is when the data were taken, None where nothing says so. ``thumbnail`` reads one
    picture, shape (rows, columns), when it is wanted; what its reader raises for a damaged file costs only the picture. ``issues``
    are sentences about what is odd; what forbids a record is raised as a ScanError instead.
    """

    catalogue: CatalogueFields
    scientific: Mapping[str, object]
    files: tuple[ExtractedFile, ...]
    created_at: datetime | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, object] = field(default_factory=dict)
    thumbnail: Callable[[], NDArray[Any]] | None = None
    issues: tuple[str, ...] = ()


class Extractor(Protocol):
    """What the catalogue asks of a beamline: 8.3.2 reads one HDF5 file; others may read a header file or a folder of frames."""

    def extract(self, path: Path) -> Extract:
        """Look into a scan. Raises the ScanError that says why there can be no record of it."""


def require_inside(relative_path: PurePosixPath) -> PurePosixPath:
    """The same path, if it stays below the root it is relative to; raises PathOutsideLocation otherwise."""
    text = str(relative_path)
    reason = None
    if relative_path.is_absolute():
        reason = "it is absolute"
    elif ".." in relative_path.parts:
        reason = "it contains '..'"
    elif "\0" in text:
        reason = "it contains a zero byte"
    elif text == ".":
        reason = "it names no file"
    if reason:
        raise PathOutsideLocation(
            f"The path {text!r} is refused because {reason}",
            next_step="Announce scans by their path below the raw folder, for example <folder>/<file>.h5",
        )
    return relative_path
