"""Dispatch: which steps a scan gets and at which site, with the reason for each, from settings, export gate and facility.

Here: one pure function. Not here: launching (the sensor in ``defs``) and health of sites over the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from als_assets.errors import NoSiteAvailable
from als_assets.facility import Facility, Release
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
    """What shall be done with a scan. ``reasons`` maps an asset (or 'site') to why it is in, out, or there."""

    assets: tuple[str, ...]
    site: str
    reasons: Mapping[str, str]


def decide(facility: Facility, beamline: str, settings: Settings, release: Release) -> Decision:
    """Steps and site for a scan. Where no site can reconstruct it now, everything else is done: the first copy must not wait."""
    setup = facility.beamlines[beamline]
    assets = ["raw_on_data832"]
    reasons: dict[str, str] = {"raw_on_data832": "always: the first safe copy"}
    leaving = {"raw_on_nersc": facility.site_of(setup.raw_remote), "scicat_record": facility.scicat.site}
    for step, names in STEP_ASSETS.items():
        wanted = getattr(settings.steps, step)
        site = leaving.get(step)
        if step == "bring_back" and wanted and "recon_tiff" not in assets:
            reasons |= dict.fromkeys(names, "left out: nothing is reconstructed that could be brought back")
        elif not wanted:
            reasons |= dict.fromkeys(names, "left out: switched off in the settings")
        elif step == "bring_back" and "recon_tiff" not in assets:
            reasons |= dict.fromkeys(names, "left out: nothing is reconstructed")
        elif site is not None and not _may_go(facility, site, release):
            reasons |= dict.fromkeys(names, f"left out: the scan stays at the ALS because {release.reason}")
        else:
            assets += names
            reasons |= dict.fromkeys(names, "switched on in the settings")
    site = ""
    if "recon_tiff" in assets:
        try:
            site, reasons["site"] = choose_site(facility, settings, release)
        except NoSiteAvailable as none:
            left_out = {*STEP_ASSETS["reconstruction"], *STEP_ASSETS["bring_back"]}
            assets = [name for name in assets if name not in left_out]
            reasons |= dict.fromkeys(left_out, f"left out: {none.sentence}")
    if {"scicat_record", "recon_tiff"} <= set(assets):
        assets.append("scicat_recon_record")
    return Decision(tuple(assets), site, reasons)


def choose_site(facility: Facility, settings: Settings, release: Release) -> tuple[str, str]:
    """The first site in order of preference that is on, able, and allowed; and the reason, naming those passed over.

    Raises:
        NoSiteAvailable: none is.
    """
    passed: list[str] = []
    for name in settings.reconstruction.sites:
        site = facility.sites.get(name)
        if site is None or site.compute is None:
            passed.append(f"{name} cannot run jobs")
        elif not settings.sites.get(name, False):
            passed.append(f"{name} is switched off")
        elif not _may_go(facility, name, release):
            passed.append(f"{name} is outside the ALS and the scan stays because {release.reason}")
        else:
            why = f"{site.title} is the first site that is on and allowed"
            return name, f"{why} ({'; '.join(passed)})" if passed else why
    raise NoSiteAvailable(
        f"No site can reconstruct this scan now: {'; '.join(passed) or 'no site is listed'}.",
        next_step="Switch a site on in the settings file, or add 'als' to reconstruction.sites.",
    )


def _may_go(facility: Facility, site: str, release: Release) -> bool:
    entry = facility.sites.get(site)
    return release.may_leave or (entry is not None and entry.on_premises)
