"""How a site is, as it says itself: able to take jobs, and its announced maintenance.

Here: the one value that every transport's ``health`` returns. Not here: asking a site (the transports), and what follows from the
answer for a scan (``routing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class SiteHealth:
    """``ok``: it takes jobs now. ``sentence`` is fit for staff. The next announced outage, in UTC, if there is one: ``outage_to`` is
    None where its end is not known."""

    ok: bool
    sentence: str
    outage_from: datetime | None = None
    outage_to: datetime | None = None
