"""Times as the services write them.

Here: now, and the three spellings that the wire needs. Not here: waiting and deadlines.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def iso_seconds(moment: datetime | None = None) -> str:
    """Globus: ``2026-11-22T19:20:08+00:00``."""
    return (moment or now()).astimezone(UTC).replace(microsecond=0).isoformat()


def iso_millis(moment: datetime | None = None) -> str:
    """SciCat: ``2026-11-22T19:20:08.123Z``."""
    return (moment or now()).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listing(epoch_s: float) -> str:
    """Globus listings: ``2026-11-22 19:20:08+00:00``."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S+00:00")


def slurm(epoch_s: float | None, timezone: str) -> str:
    """Slurm: ``2026-11-22T19:20:08`` in the cluster's own time zone, without an offset; Unknown when there is none."""
    if epoch_s is None:
        return "Unknown"
    return datetime.fromtimestamp(epoch_s, ZoneInfo(timezone)).strftime("%Y-%m-%dT%H:%M:%S")


def parse(text: str) -> datetime:
    """An ISO 8601 time; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
