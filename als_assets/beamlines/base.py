"""The interface between a beamline's file format and the rest of the platform.

Here: what a scan is called (``ScanIdentity``), what one look into its file found (``ScanFacts``), and the ``Beamline``
protocol. Not here: any particular format, reading of files, or configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

from als_assets.errors import PathOutsideLocation


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
