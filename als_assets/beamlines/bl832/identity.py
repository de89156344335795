"""What a scan of 8.3.2 is called: its dataset key, and proposal and user from the name of its folder.

Here: pure rules over relative paths. Not here: opening files, or where the raw root is.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from als_assets.beamlines.base import ScanIdentity, require_inside
from als_assets.beamlines.keys import key_for

SUFFIX = ".h5"
FOLDER_PATTERN = re.compile(r"(?P<prefix>.+)-(?P<proposal>[0-9]{5})_(?P<user>.+)", re.DOTALL)


def is_candidate(relative_path: PurePosixPath) -> bool:
    """Whether a path below the raw root looks like a scan: ``.h5``, nothing hidden in it, not a temporary name.

    The detector and copying programs write under names that start with a dot or end in ``.tmp`` or ``.partial``.
    """
    if any(part.startswith(".") for part in relative_path.parts):
        return False
    return relative_path.suffix == SUFFIX and bool(relative_path.stem)


def identify(relative_path: PurePosixPath) -> ScanIdentity:
    """The identity of the scan at ``<folder>/<file>.h5`` below the raw root.

    The folder is ``<prefix>-<5 digits>_<user>``; another folder is accepted with a warning. Raises PathOutsideLocation for
    a path that leaves the root, ScanError for a file without a name.
    """
    path = require_inside(relative_path)
    folder = "" if path.parent == PurePosixPath(".") else str(path.parent)
    match = FOLDER_PATTERN.fullmatch(folder) if "/" not in folder else None
    warnings: tuple[str, ...] = ()
    if match is None:
        place = f"The folder {folder!r}" if folder else "The raw root itself"
        warnings = (f"{place} does not have the form <prefix>-<5 digits>_<user>, so proposal and user are unknown from it",)
    return ScanIdentity(
        key=key_for(path.stem),
        stem=path.stem,
        file_name=path.name,
        folder=folder,
        relative_path=path,
        prefix=match["prefix"] if match else None,
        proposal_number=match["proposal"] if match else None,
        user=match["user"] if match else None,
        warnings=warnings,
    )
