"""Moments as people read them: how long ago, and exactly.

Here: two pure functions. Not here: durations and sizes (``als_assets.words``).
"""

from __future__ import annotations

from datetime import UTC, datetime


def ago(moment: datetime, now: datetime) -> str:
    """'just now', '5 min ago', '3 h ago', '2 days ago'; a moment in the future (clocks differ) is 'just now'."""
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "just now"
    for limit, unit_s, name in ((3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit_s)} {name} ago"
    days = int(seconds // 86400)
    return "1 day ago" if days == 1 else f"{days} days ago"


def exact(moment: datetime) -> str:
    """'2026-03-01 17:04:09 UTC'."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
