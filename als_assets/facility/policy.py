"""The export gate: may bytes or words about a dataset leave for a site?

Here: the one question that movers, compute transports and the catalogue client ask before every request, and how a scan is
classified. Not here: who asks, and where the answer was stored. The answer for anything unknown is *stay*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from als_assets.errors import ExportRefused
from als_assets.facility.models import Facility


@dataclass(frozen=True)
class Release:
    """Whether a dataset may leave the ALS, and the reason in words that staff understand."""

    may_leave: bool
    reason: str


UNKNOWN = Release(False, "nobody has said that it may leave")


class ExportGate:
    """Asks the record about a dataset at the moment of the request, so that a flag set by staff works at once.

    ``release_of`` gives a dataset's release by key, or None where the dataset is not known.
    """

    def __init__(self, facility: Facility, release_of: Callable[[str], Release | None]) -> None:
        self._facility = facility
        self._release_of = release_of

    def may_leave(self, dataset_key: str, site: str) -> Release:
        """The answer, without raising."""
        entry = self._facility.sites.get(site)
        if entry is not None and entry.on_premises:
            return Release(True, f"{entry.title} is on the premises")
        return self._release_of(dataset_key) or UNKNOWN

    def require(self, dataset_key: str, site: str) -> None:
        """Pass, or raise.

        Raises:
            ExportRefused: the dataset must stay; nothing was sent.
        """
        release = self.may_leave(dataset_key, site)
        if not release.may_leave:
            raise ExportRefused(
                f"Scan {dataset_key} stays at the ALS and was not sent to {site}: {release.reason}.",
                next_step="Nothing to do if that is right. Otherwise a beamline scientist runs: als scan release " + dataset_key,
                dataset=dataset_key,
                site=site,
            )
