"""When a file that somebody else writes may be looked into: when its size and mtime have stopped changing.

Here: sightings of a file and pure rules over them. Not here: looking into the file (a quiet file can still be incomplete;
``Beamline.inspect`` decides that), polling, or keeping sightings between looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from als_assets.errors import ScanStillWriting, ScanUnreadable


@dataclass(frozen=True)
class Sighting:
    """Size and mtime of a file as seen at one moment (``seen_at`` in UTC)."""

    size_bytes: int
    mtime_ns: int
    seen_at: datetime

    @classmethod
    def of(cls, path: Path, seen_at: datetime | None = None) -> Sighting:
        """Look at a file now. Raises ScanUnreadable where it is missing or closed to this account."""
        try:
            status = path.stat()
        except OSError as error:
            raise ScanUnreadable(
                f"The scan file {path.name} cannot be looked at: {error.strerror}",
                next_step="Check that the file still exists and that this account may read its folder",
            ) from error
        return cls(status.st_size, status.st_mtime_ns, seen_at or datetime.now(UTC))

    def same_file_state(self, other: Sighting) -> bool:
        """Whether size and mtime are the same in both sightings."""
        return (self.size_bytes, self.mtime_ns) == (other.size_bytes, other.mtime_ns)


def is_settled(previous: Sighting | None, current: Sighting, quiet_s: float) -> bool:
    """Whether size and mtime are unchanged between two sightings at least ``quiet_s`` seconds apart."""
    if previous is None or not previous.same_file_state(current):
        return False
    return (current.seen_at - previous.seen_at).total_seconds() >= quiet_s


def remember(previous: Sighting | None, current: Sighting) -> Sighting:
    """The sighting to keep for the next look: the older one while nothing changes, so that its quiet time can grow.

    A clock that was set back makes the older one lie in the future; then the quiet time starts anew.
    """
    if previous is not None and previous.same_file_state(current) and previous.seen_at <= current.seen_at:
        return previous
    return current


def require_settled(name: str, previous: Sighting | None, current: Sighting, quiet_s: float) -> None:
    """Raise ScanStillWriting unless the file has settled (see ``is_settled``)."""
    if is_settled(previous, current, quiet_s):
        return
    raise ScanStillWriting(
        f"The scan file {name} is still being written ({current.size_bytes} bytes so far)",
        next_step=f"Nothing to do: it is taken once its size and time have not changed for {quiet_s:g} s",
        size_bytes=current.size_bytes,
    )
