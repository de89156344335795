"""Is my data safe: one word and one sentence, from the verified raw copies and the sites they are at.

Here: a pure function of record and facility. Not here: copies of products, and why a copy is missing (``steps``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from als_assets.board.moments import ago
from als_assets.board.records import ScanRecord
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.ledger import Replica, ReplicaState
from als_assets.ledger.products import RAW


@dataclass(frozen=True)
class SiteCopies:
    """A site and the locations there that hold a verified raw copy; none: a copy shall be there and is not."""

    name: str
    title: str
    locations: tuple[str, ...]

    @property
    def safe(self) -> bool:
        return bool(self.locations)


@dataclass(frozen=True)
class Safety:
    """``verified_sites`` counts sites with a verified raw copy, ``copies`` the copies. ``answer`` begins ``sentence``."""

    sites: tuple[SiteCopies, ...]
    copies: int
    answer: str
    sentence: str

    @property
    def verified_sites(self) -> int:
        return sum(site.safe for site in self.sites)


def safety_of(facility: Facility, record: ScanRecord, now: datetime) -> Safety:
    """The answer for one scan."""
    verified = [r for r in record.replicas if _counts(facility, r)]
    sites = _sites(facility, record, verified)
    answer, sentence = _words(record, verified, sites, now)
    return Safety(sites, len(verified), answer, sentence)


def _counts(facility: Facility, replica: Replica) -> bool:
    """A location that left the facility file counts for nothing: nobody could say at which site it is."""
    location = facility.locations.get(replica.location)
    kept = location is not None and location.location_class is not LocationClass.VIEW
    return kept and replica.product == RAW and replica.state is ReplicaState.VERIFIED


def _sites(facility: Facility, record: ScanRecord, verified: list[Replica]) -> tuple[SiteCopies, ...]:
    setup = facility.beamlines.get(record.dataset.beamline)
    wanted = [] if setup is None else [facility.site_of(setup.raw)]
    if setup is not None and record.dataset.may_leave:
        wanted.append(facility.site_of(setup.raw_remote))
    names = list(dict.fromkeys([*wanted, *(facility.site_of(r.location) for r in verified)]))
    return tuple(
        SiteCopies(name, facility.sites[name].title, tuple(r.location for r in verified if facility.site_of(r.location) == name))
        for name in names
    )


def _words(record: ScanRecord, verified: list[Replica], sites: tuple[SiteCopies, ...], now: datetime) -> tuple[str, str]:
    safe = [site for site in sites if site.safe]
    if not safe:
        return "No", "no verified copy of the raw file is on record. Delete nothing at the detector, and call an operator at once."
    newest = max((r.verified_at for r in verified if r.verified_at), default=None)
    proven = f" Last proof {ago(newest, now)}." if newest else ""
    if len(safe) > 1:
        return "Yes", f"the raw file is verified at {len(safe)} sites, {_list([site.title for site in safe])}.{proven}"
    count = "there is one verified copy" if len(verified) == 1 else f"there are {len(verified)} verified copies"
    where = f"{count}, at one site, {safe[0].title}."
    if not record.dataset.may_leave:
        return "At the ALS only", f"{where} It goes nowhere else: {record.dataset.release_reason}.{proven}"
    return "Not yet", f"{where} The second site is still missing.{proven}"


def _list(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
