"""Reconstruction of 8.3.2: the TIFF stack, the multi-resolution Zarr, and both brought back to data832.

Here: assets about products. Not here: scripts and sites (``compute``) and numbers (``recon``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from typing import Any

import dagster as dg
from pydantic import Field

from als_assets.compute.service import TIFF, ZARR
from als_assets.defs.bl832.common import BEAMLINE, GLOBUS_POOL, scan_asset
from als_assets.defs.bl832.raw import ensure_raw
from als_assets.defs.evidence import Metadata, copy_metadata, product_metadata
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import working
from als_assets.errors import NoVerifiedSource
from als_assets.facility import Release
from als_assets.facility.settings import Settings
from als_assets.intake.dispatch import choose_site
from als_assets.ledger import Dataset, Replica, ReplicaState
from als_assets.platform import Platform


class ReconstructionConfig(dg.Config):
    """What staff can choose in the Launchpad."""

    site: str = Field("auto", description="Where to run: auto (the first site that is on and allowed), or the name of a site.")
    center: str = Field("auto", description="Centre of rotation: auto, pc, vo, or a number in pixels from the left edge.")
    parameters: dict[str, Any] = Field({}, description="Further reconstruction parameters; see docs/staff/parameters.md.")

    def overrides(self) -> dict[str, Any]:
        """What differs from the standard parameters; nothing means the standard result."""
        chosen = {} if self.center == "auto" else {"center": _center(self.center)}
        return {**self.parameters, **chosen}


@scan_asset(
    description="The reconstructed volume: one TIFF (float32, 1/cm) for each detector row, with the parameters that made it.",
    kinds={"tiff"},
    priority=1,
    deps=["raw_on_data832"],
)
def recon_tiff(context: dg.AssetExecutionContext, config: ReconstructionConfig, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    with working(context, parts) as actor:
        dataset = parts.ledger.datasets.get(context.partition_key)
        settings = parts.settings(BEAMLINE).settings
        site, why = _site(parts, settings, config.site, dataset)
        context.log.info(f"Reconstructing at {site}: {why}.")
        ensure_raw(parts, actor, dataset.key, parts.compute.setup(site).raw)
        receipt = parts.compute.reconstruct(actor, dataset, site, config.overrides(), settings.reconstruction.parameters)
        metadata = product_metadata(parts.facility, receipt.replica, made=receipt.made, site=site, report=receipt.report)
        return dg.MaterializeResult(metadata={**metadata, "why this site": why})


@scan_asset(
    description="The same volume as OME-Zarr with several resolutions, for viewing without loading it all.",
    kinds={"zarr"},
    priority=0,
    deps=["recon_tiff"],
)
def recon_zarr(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    with working(context, parts) as actor:
        dataset = parts.ledger.datasets.get(context.partition_key)
        stack = newest(parts, dataset.key, TIFF)
        receipt = parts.compute.multires(actor, dataset, stack)
        return dg.MaterializeResult(
            metadata=product_metadata(parts.facility, receipt.replica, made=receipt.made, site=receipt.site, report=receipt.report)
        )


@scan_asset(
    description="TIFF stack and Zarr brought back to data832; every file was compared with what the site holds.",
    kinds={"globus", "tiff", "zarr"},
    priority=0,
    deps=["recon_tiff", "recon_zarr"],
    pool=GLOBUS_POOL,
)
def recon_on_data832(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    results = parts.facility.beamlines[BEAMLINE].results
    with working(context, parts) as actor:
        metadata: Metadata = {}
        for product in (TIFF, ZARR):
            made = newest(parts, context.partition_key, product)
            receipt = parts.transfers.ensure_replica(actor, made.dataset_key, product, results, made.path, made.variant)
            shown = copy_metadata(parts.facility, receipt.replica, made=receipt.made, seconds=receipt.seconds, link=receipt.link)
            metadata |= {f"{product.removeprefix('recon_')} {name}": value for name, value in shown.items() if name != "scan page"}
            metadata["scan page"] = shown["scan page"]
        return dg.MaterializeResult(metadata=metadata)


def newest(parts: Platform, key: str, product: str) -> Replica:
    """The most recently verified replica of a product, of any variant, at the site that made it.

    Raises:
        NoVerifiedSource: it was never made, or is gone.
    """
    copies = parts.ledger.replicas.of(key, product=product, state=ReplicaState.VERIFIED)
    made = [c for c in copies if "report" in c.evidence] or list(copies)
    if not made:
        raise NoVerifiedSource(
            f"There is no verified {product} of scan {key}.",
            next_step="Materialize recon_tiff of this scan first; it may have failed or been pruned.",
        )
    return made[0]


def _site(parts: Platform, settings: Settings, wanted: str, dataset: Dataset) -> tuple[str, str]:
    if wanted != "auto":
        return wanted, "chosen for this run"
    return choose_site(parts.facility, settings, Release(dataset.may_leave, dataset.release_reason))


def _center(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
