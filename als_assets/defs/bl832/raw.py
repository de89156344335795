"""Raw data of 8.3.2: the file at the detector, its copies at data832 and NERSC, and the preview.

Here: assets about the raw file. Not here: what is computed from it (``reconstruction``) and its record (``catalogue``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from pathlib import Path
from typing import Any

import dagster as dg

from als_assets.defs.bl832.common import BEAMLINE, GLOBUS_POOL, GROUP, OWNERS, SCANS, scan_asset
from als_assets.defs.evidence import board_link, copy_metadata, evidence_table, pictures_markdown
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import working
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import RAW
from als_assets.platform import Platform
from als_assets.transfer import Receipt

raw_on_spot832 = dg.AssetSpec(
    "raw_on_spot832",
    partitions_def=SCANS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"hdf5"},
    description="The scan file as the detector wrote it. The new-scan sensor notices it when it is complete.",
)


@scan_asset(
    description="The first safe copy of the raw file, at data832. Checksums of both sides were compared.",
    kinds={"globus", "hdf5"},
    priority=9,
    deps=["raw_on_spot832"],
    pool=GLOBUS_POOL,
)
def raw_on_data832(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    return _copy_step(context, platform.platform, platform.platform.facility.beamlines[BEAMLINE].raw)


@scan_asset(
    description="The second safe copy of the raw file, at NERSC, compared with the SHA-256 taken at data832.",
    kinds={"globus", "nersc"},
    priority=2,
    deps=["raw_on_data832"],
    pool=GLOBUS_POOL,
)
def raw_on_nersc(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    return _copy_step(context, platform.platform, platform.platform.facility.beamlines[BEAMLINE].raw_remote)


@scan_asset(
    description="First pictures: three slices through the volume, a projection, and nine guesses of the centre of rotation.",
    kinds={"jpeg"},
    priority=8,
    deps=["raw_on_data832"],
)
def preview(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    with working(context, parts) as actor:
        receipt = ensure_raw(parts, actor, context.partition_key, parts.facility.beamlines[BEAMLINE].raw)
        place = parts.transfers.place(receipt.replica.location, receipt.replica.path)
        shown = parts.previews.make(context.partition_key, Path(place.site_path))
        numbers = {k: v for k, v in shown.facts.items() if isinstance(v, (int, float, str))}
        return dg.MaterializeResult(
            metadata={
                "pictures": pictures_markdown(shown.pictures),
                "numbers": evidence_table(numbers),
                "scan page": dg.MetadataValue.url(board_link(parts.facility, context.partition_key)),
            }
        )


def ensure_raw(parts: Platform, actor: Actor, key: str, location: str) -> Receipt:
    """A verified copy of the raw file at a location."""
    dataset = parts.ledger.datasets.get(key)
    return parts.transfers.ensure_replica(actor, key, RAW, location, dataset.raw_path)


def _copy_step(context: dg.AssetExecutionContext, parts: Platform, location: str) -> dg.MaterializeResult[Any]:
    with working(context, parts) as actor:
        receipt = ensure_raw(parts, actor, context.partition_key, location)
        metadata = copy_metadata(parts.facility, receipt.replica, made=receipt.made, seconds=receipt.seconds, link=receipt.link)
        return dg.MaterializeResult(metadata=metadata)
