"""Reconstruction of 8.3.2: the TIFF stack, the multi-resolution Zarr, and both brought back to data832.

Here: assets about products. Not here: scripts and sites (``compute``) and numbers (``recon``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from collections.abc import Collection
from typing import Any

import dagster as dg
from pydantic import Field

from als_assets.compute.service import ProductReceipt
from als_assets.defs.bl832.common import BEAMLINE, GLOBUS_POOL, scan_asset
from als_assets.defs.bl832.raw import ensure_raw
from als_assets.defs.evidence import Metadata, copy_metadata, product_metadata, view_link
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import working
from als_assets.errors import JobError, NoSiteAvailable, NoVerifiedSource
from als_assets.facility import Release
from als_assets.facility.settings import Settings
from als_assets.intake.dispatch import choose_site
from als_assets.ledger import Dataset, OperationKind, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import parameters_of
from als_assets.ledger.products import TIFF, ZARR
from als_assets.ledger.states import OPEN_OPERATIONS
from als_assets.platform import Platform


class ReconstructionConfig(dg.Config):
    """What staff can choose in the Launchpad."""

    site: str = Field("auto", description="Where to run: auto (the first site that fits), or the name of a site for this run.")
    center: str = Field("auto", description="Centre of rotation: auto (the picked one, else found), pc, vo, or pixels from the left.")
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
        receipt, why = _reconstruct(context, parts, actor, config, dataset)
        metadata = product_metadata(parts.facility, receipt.replica, made=receipt.made, site=receipt.site, report=receipt.report)
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
        metadata = product_metadata(parts.facility, receipt.replica, made=receipt.made, site=receipt.site, report=receipt.report)
        return dg.MaterializeResult(metadata={"look at it": view_link(parts.facility, dataset.key), **metadata})


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
        metadata: Metadata = {"look at it": view_link(parts.facility, context.partition_key)}
        for product in (TIFF, ZARR):
            made = newest(parts, context.partition_key, product)
            receipt = parts.transfers.ensure_replica(actor, made.dataset_key, product, results, made.path, made.variant)
            shown = copy_metadata(parts.facility, receipt.replica, made=receipt.made, seconds=receipt.seconds, link=receipt.link)
            metadata |= {f"{product.removeprefix('recon_')} {name}": value for name, value in shown.items() if name != "scan page"}
            metadata["scan page"] = shown["scan page"]
        return dg.MaterializeResult(metadata=metadata)


def newest(parts: Platform, key: str, product: str) -> Replica:
    """The most recently made replica of a product, of any variant, at the site that made it (proving an older one again does not
    make it newer).

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
    return max(made, key=lambda c: c.changed_at)


def _reconstruct(
    context: dg.AssetExecutionContext, parts: Platform, actor: Actor, config: ReconstructionConfig, dataset: Dataset
) -> tuple[ProductReceipt, str]:
    """At the first site that fits; where that fails for a reason of its own, once at another."""
    settings = parts.settings(BEAMLINE).settings
    failed: JobError | None = None
    site, why = choice(parts, settings, config.site, dataset)
    while True:
        _record(context, parts, site, why)
        try:
            ensure_raw(parts, actor, dataset.key, parts.compute.setup(site).raw)
            overrides = {**parameters_of(dataset), **config.overrides()}
            return parts.compute.reconstruct(actor, dataset, site, overrides, settings.reconstruction.parameters), why
        except JobError as error:
            if failed is not None or config.site != "auto" or not site_is_guilty(error):
                raise
            failed = error
        try:
            site, why = choice(parts, settings, config.site, dataset, tried=(site,))
        except NoSiteAvailable as none:
            context.log.warning(none.sentence)
            raise failed from none
        context.log_event(dg.AssetObservation(context.asset_key, partition=dataset.key, description=f"{failed.sentence} Trying {site}."))


def site_is_guilty(error: JobError) -> bool:
    """Whether a job failed through its site's fault, and may succeed elsewhere."""
    report = error.details.get("report")
    return bool(error.details.get("site_fault") or (isinstance(report, dict) and report.get("site_fault")))


def choice(parts: Platform, settings: Settings, wanted: str, dataset: Dataset, tried: Collection[str] = ()) -> tuple[str, str]:
    """The site and why. A scan for which none fits now is put on hold, and launched by itself when one does.

    Raises:
        NoSiteAvailable.
    """
    if wanted != "auto":
        return wanted, "chosen for this run"
    going_on = job_under_way(parts, dataset) if not tried else ""
    if going_on:
        return going_on, "a job for this scan is under way there"
    pin = parts.ledger.placing.pin_of(dataset.key)
    release = Release(dataset.may_leave, dataset.release_reason)
    knowledge, pinned = parts.sites.knowledge(), pin.site if pin else ""
    try:
        return choose_site(parts.facility, settings, release, knowledge, pinned=pinned, tried=tried)
    except NoSiteAvailable as none:
        if not tried:
            parts.ledger.placing.hold(dataset.key, none.sentence, None)
        raise


def job_under_way(parts: Platform, dataset: Dataset) -> str:
    """The site where an earlier run left a reconstruction of this scan going on (empty: nowhere)."""
    sites = [
        str(o.request.get("site", ""))
        for o in parts.ledger.operations.of(dataset.key)
        if o.kind is OperationKind.JOB and o.state in OPEN_OPERATIONS and o.request.get("steps", [""])[0] == "reconstruct"
    ]
    return next((site for site in sites if site in parts.transports), "")


def _record(context: dg.AssetExecutionContext, parts: Platform, site: str, why: str) -> None:
    """The decision on the run, where its list shows it, and in the record, where the board does."""
    context.log.info(f"Reconstructing at {site}: {why}.")
    context.instance.add_run_tags(context.run.run_id, {"als/site": site, "als/site_reason": why[:500]})
    subject = f"site of {context.partition_key}"
    parts.ledger.audit.note(subject, why=f"{site}: {why}", dataset_key=context.partition_key, evidence={"run_id": context.run.run_id})


def _center(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
