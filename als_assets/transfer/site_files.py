"""Small looks at the disks of a site that only Globus can see: listings, and the ends of logs fetched to a folder of ours.

Here: what a transport of ``compute`` needs where the site's own API has no files (OLCF). Not here: copies that count as evidence
(``ensure``): what is fetched here is read once and removed, is no replica, and is not on record.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from als_assets.errors import ConfigError, ServiceUnreachable
from als_assets.facility import Facility
from als_assets.facility.models import MoverKind
from als_assets.facility.places import Place
from als_assets.transfer.mover import Mover, TaskState, TransferRequest

_FOLDER = ".als-assets-logs"
_TIMEOUT_S = 600.0
_LEFT_S = 86_400.0


class SiteFiles:
    """The files of one site. ``inbox`` names a location that this machine sees, for what is fetched."""

    def __init__(self, facility: Facility, site: str, inbox: str, mover: Callable[[], Mover]) -> None:
        self._facility, self._site, self._inbox, self._mover = facility, site, inbox, mover

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        """Relative path -> size in bytes of every file below ``path`` ("" for a single file); None where nothing is there.

        Raises:
            ConfigError: no location covers the path.
        """
        return self._mover().listing(self._place(path))

    def tail(self, path: PurePosixPath, lines: int) -> str:
        """The last lines of a text file, empty where there is none.

        Raises:
            ServiceUnreachable: it could not be fetched, which says nothing about the job that wrote it.
        """
        source = self._place(path)
        if self._mover().listing(source) is None:
            return ""
        target = Place(self._inbox, self._facility.location(self._inbox), f"{_FOLDER}/{uuid.uuid4().hex}/{path.name}")
        folder = Path(target.site_path).parent
        _clear(folder.parent)
        try:
            self._fetch(source, target)
            return "\n".join(Path(target.site_path).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError as error:
            raise _not_fetched(path, f"it did not arrive at {target.location_name}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, source: Place, target: Place) -> None:
        mover = self._mover()
        request = TransferRequest("log", source, target, False, f"log {source.site_path.name}")
        handle = mover.start_transfer(request, mover.prepare())
        deadline, pause = time.monotonic() + _TIMEOUT_S, 0.05
        while (view := mover.look(handle)).state in (TaskState.QUEUED, TaskState.ACTIVE) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 1.5, mover.poll_s)
        if view.state is not TaskState.SUCCEEDED:
            mover.cancel(handle)
            raise _not_fetched(source.site_path, view.sentence)

    def _place(self, path: PurePosixPath) -> Place:
        """The path at the location with the longest root above it."""
        rows = [(n, loc) for n, loc in self._facility.locations.items() if loc.site == self._site and loc.mover is MoverKind.GLOBUS]
        roots = [(loc.site_root / loc.prefix, n, loc) for n, loc in rows if path.is_relative_to(loc.site_root / loc.prefix)]
        if not roots:
            raise ConfigError(
                f"No location of site '{self._site}' holds {path}.",
                next_step="Add a location (class view will do) for the folder of that site's logs to the facility file.",
            )
        root, name, location = max(roots, key=lambda row: len(row[0].parts))
        return Place(name, location, str(path.relative_to(root)))


def _clear(inbox: Path) -> None:
    """Remove what processes left that were killed while they fetched."""
    for folder in inbox.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed its own
            if time.time() - folder.stat().st_mtime > _LEFT_S:
                shutil.rmtree(folder, ignore_errors=True)


def _not_fetched(path: PurePosixPath, words: str) -> ServiceUnreachable:
    return ServiceUnreachable(f"The log {path} could not be fetched: {words}", next_step="It is tried again by itself.")
