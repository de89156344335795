"""What the definitions of retention share: which asset stands for a copy, and the rules in force.

Here: two functions and the time zone. Not here: definitions.
"""

from __future__ import annotations

from als_assets.defs.bl832.common import BEAMLINE
from als_assets.facility.retention import Retention
from als_assets.ledger.products import RAW, TIFF, ZARR
from als_assets.platform import Platform

ZONE = "America/Los_Angeles"


def rules(parts: Platform) -> Retention:
    return parts.settings(BEAMLINE).settings.retention


def asset_of(parts: Platform, product: str, location: str) -> str | None:
    """The asset that stands for a copy, so that staff see there what became of it."""
    setup = parts.facility.beamlines[BEAMLINE]
    table = {(RAW, setup.raw): "raw_on_data832", (RAW, setup.raw_remote): "raw_on_nersc", (RAW, setup.acquisition): "raw_on_spot832"}
    if product in (TIFF, ZARR):
        return "recon_on_data832" if location == setup.results else product
    return table.get((product, location))
