"""Dispatch: which steps a scan gets and at which site, with the reason for each, from settings, export gate and facility.

Here: pure functions. Not here: launching (the sensor in ``defs``), asking sites how they are, and the choice among sites that may
do it (``compute.routing``). Export control bars a site whatever anybody pinned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from als_assets.compute.routing import Candidate, Route, route
from als_assets.compute.sites import Knowledge
from als_assets.errors import NoSiteAvailable
from als_assets.facility import Facility, Release, not_set_up
from als_assets.facility.settings import Settings

# Step of the settings -> assets that it stands for, in the order in which staff think of them.
STEP_ASSETS: Mapping[str, tuple[str, ...]] = {
    "preview": ("preview",),
    "raw_on_nersc": ("raw_on_nersc",),
    "scicat_record": ("scicat_record",),
    "reconstruction": ("recon_tiff", "recon_zarr"),
    "bring_back": ("recon_on_data832",),
}


@dataclass(frozen=True)
class Decision:
    """What shall be done with a scan. ``reasons`` maps an asset (or 'site') to why it is in, out, or there. ``held`` tells why its
    reconstruction waits (empty: it does not), ``until`` how long at least (None: until something changes)."""

    assets: tuple[str, ...]
    site: str
    reasons: Mapping[str, str]
    held: str = ""
    until: datetime | None = None


def decide(
    facility: Facility, beamline: str, settings: Settings, release: Release, knowledge: Knowledge | None = None, pinned: str = ""
) -> Decision:
    """Steps and site for a scan. Where no site can reconstruct it now, everything else is done: the first copy must not wait."""
    setup = facility.beamlines[beamline]
    assets = ["raw_on_data832"]
    reasons: dict[str, str] = {"raw_on_data832": "always: the first safe copy"}
    leaving = {"raw_on_nersc": facility.site_of(setup.raw_remote), "scicat_record": facility.scicat.site}
    for step, names in STEP_ASSETS.items():
        wanted = getattr(settings.steps, step)
        site = leaving.get(step)
        if not wanted:
            reasons |= dict.fromkeys(names, "left out: switched off in the settings")
        elif step == "bring_back" and "recon_tiff" not in assets:
            reasons |= dict.fromkeys(names, "left out: nothing is reconstructed that could be brought back")
        elif site is not None and not _may_go(facility, site, release):
            reasons |= dict.fromkeys(names, f"left out: the scan stays at the ALS because {release.reason}")
        else:
            assets += names
            reasons |= dict.fromkeys(names, "switched on in the settings")
    found = Route("", "")
    if "recon_tiff" in assets:
        found = route_of(facility, settings, release, knowledge, pinned=pinned)
        if found.site:
            reasons["site"] = found.why
        else:
            left_out = {*STEP_ASSETS["reconstruction"], *STEP_ASSETS["bring_back"]}
            assets = [name for name in assets if name not in left_out]
            reasons |= dict.fromkeys(left_out, f"held: no site can take it now: {found.why}")
    if {"scicat_record", "recon_tiff"} <= set(assets):
        assets.append("scicat_recon_record")
    held = found.why if not found.site else ""
    return Decision(tuple(assets), found.site, reasons, held, found.until)


def route_of(
    facility: Facility,
    settings: Settings,
    release: Release,
    knowledge: Knowledge | None = None,
    *,
    pinned: str = "",
    tried: Collection[str] = (),
) -> Route:
    """The site for a reconstruction, in the order of the settings; a pinned site need not be in that order, but must be allowed."""
    known = knowledge or Knowledge(datetime.now(UTC))
    names = [pinned] if pinned else settings.reconstruction.sites
    return route([_candidate(facility, settings, release, known, name) for name in names], known.now, pinned=pinned, tried=tried)


def choose_site(
    facility: Facility,
    settings: Settings,
    release: Release,
    knowledge: Knowledge | None = None,
    *,
    pinned: str = "",
    tried: Collection[str] = (),
) -> tuple[str, str]:
    """The site and the reason, which names those passed over.

    Raises:
        NoSiteAvailable: none can take it now; ``until`` in its details says how long at least.
    """
    found = route_of(facility, settings, release, knowledge, pinned=pinned, tried=tried)
    if found.site:
        return found.site, found.why
    until = {"until": f"{found.until:%Y-%m-%d %H:%M} UTC"} if found.until else {}
    raise NoSiteAvailable(
        f"No site can reconstruct this scan now: {found.why}.",
        next_step="Wait, switch a site on in the settings file, or add 'als' to reconstruction.sites.",
        **until,
    )


def _candidate(facility: Facility, settings: Settings, release: Release, known: Knowledge, name: str) -> Candidate:
    site = facility.sites.get(name)
    if site is None or site.compute is None:
        return Candidate(name, name, 0, f"{name} cannot run jobs")
    barred = ""
    if not settings.sites.get(name, False):
        barred = f"{name} is switched off"
    elif not _may_go(facility, name, release):
        barred = f"{name} is outside the ALS and the scan stays because {release.reason}"
    else:
        barred = not_set_up(facility, name)
    return Candidate(
        name,
        site.title,
        site.compute.walltime_s,
        barred,
        known.health.get(name),
        known.credentials.get(name),
        known.endings.get(name, ()),
        known.open_jobs.get(name, 0),
        site.compute.most_jobs,
    )


def _may_go(facility: Facility, site: str, release: Release) -> bool:
    entry = facility.sites.get(site)
    return release.may_leave or (entry is not None and entry.on_premises)
