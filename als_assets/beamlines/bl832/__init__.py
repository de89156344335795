"""Beamline 8.3.2, X-ray micro-tomography: one HDF5 file a scan, in a folder named after the proposal and the user.

Here: ``BL832``, the beamline as the platform sees it. Not here: the layout (``layout``), reading (``reader``) and writing
(``writer``) of files, which need h5py and are imported only when a file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from als_assets.beamlines.base import Beamline, ScanFacts, ScanIdentity
from als_assets.beamlines.bl832 import identity


@dataclass(frozen=True)
class Bl832:
    """The ``Beamline`` of 8.3.2; has no state."""

    name: str = "bl832"

    def is_candidate(self, relative_path: PurePosixPath) -> bool:
        """Whether the path ends in .h5 and no part of it is hidden or unfinished."""
        return identity.is_candidate(relative_path)

    def identify(self, relative_path: PurePosixPath) -> ScanIdentity:
        """Key, folder, proposal and user. Raises PathOutsideLocation."""
        return identity.identify(relative_path)

    def inspect(self, path: Path) -> ScanFacts:
        """Counts, geometry and metadata of a complete scan. Raises a ScanError that names the field at fault."""
        from als_assets.beamlines.bl832.reader import inspect  # h5py is slow to import and most callers only need names

        return inspect(path)


BL832: Beamline = Bl832()

__all__ = ["BL832", "Bl832"]
