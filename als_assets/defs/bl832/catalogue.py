"""SciCat records of 8.3.2: one for the raw scan, one for each reconstruction, linked to each other.

Here: the two assets and how they show what became of their record. Not here: what the records say (``catalogue.gather``), requests, and
the outbox in which a record waits while SciCat is down (``defs/catalogue.py``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from typing import Any

import dagster as dg

from als_assets.catalogue.delivery import Delivery, Fate
from als_assets.catalogue.gather import RecordSource
from als_assets.catalogue.model import Record
from als_assets.defs.bl832.common import BEAMLINE, scan_asset
from als_assets.defs.bl832.raw import ensure_raw
from als_assets.defs.bl832.reconstruction import newest
from als_assets.defs.evidence import Metadata, board_link, evidence_table
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import working
from als_assets.ledger import Dataset, OutboxKind, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import TIFF, ZARR
from als_assets.platform import Platform


@scan_asset(
    description="The scan's record in SciCat: who, what, when, and where its copies are.",
    kinds={"scicat"},
    priority=7,
    deps=["raw_on_data832"],
)
def scicat_record(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    with working(context, parts) as actor:
        dataset = parts.ledger.datasets.get(context.partition_key)
        parts.gate.require(dataset.key, parts.facility.scicat.site)
        delivery = parts.deliveries.deliver(actor, _raw(parts, actor, dataset), OutboxKind.RAW)
        return dg.MaterializeResult(metadata=delivery_metadata(parts, dataset, delivery))


@scan_asset(
    description="The reconstruction's record in SciCat, linked to the scan's: parameters, software, job and files.",
    kinds={"scicat"},
    priority=0,
    deps=["scicat_record", "recon_tiff", "recon_zarr", "recon_on_data832"],
)
def scicat_recon_record(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    with working(context, parts) as actor:
        dataset = parts.ledger.datasets.get(context.partition_key)
        parts.gate.require(dataset.key, parts.facility.scicat.site)
        stack = newest(parts, dataset.key, TIFF)
        volumes = parts.ledger.replicas.of(dataset.key, product=ZARR, variant=stack.variant, state=ReplicaState.VERIFIED)
        record = _source(parts).derived(dataset, _raw(parts, actor, dataset), stack, volumes[0] if volumes else None)
        delivery = parts.deliveries.deliver(actor, record, OutboxKind.DERIVED, stack.variant)
        return dg.MaterializeResult(metadata=delivery_metadata(parts, dataset, delivery))


def _source(parts: Platform) -> RecordSource:
    return parts.record_source(BEAMLINE)


def _raw(parts: Platform, actor: Actor, dataset: Dataset) -> Record:
    """The raw record, from the file itself: its metadata is the truth."""
    return _source(parts).raw(dataset, ensure_raw(parts, actor, dataset.key, parts.facility.beamlines[BEAMLINE].raw).replica)


def delivery_metadata(parts: Platform, dataset: Dataset, delivery: Delivery) -> Metadata:
    """What is shown of a record that was written, or that waits for SciCat."""
    outcome, settings = delivery.row.outcome, parts.catalogue.settings
    written = delivery.fate is Fate.WRITTEN
    made = ("created now" if outcome["created"] else "was there") if "created" in outcome else outcome.get("sentence")
    rows = {
        "identifier": delivery.row.pid,
        "state": made if written else delivery.sentence,
        "fields corrected": ", ".join(outcome.get("patched", outcome.get("changed", ()))),
        "files listed": outcome.get("files"),
        "pictures": outcome.get("attachments"),
        "warnings": "; ".join(outcome.get("warnings", ())),
    }
    shown: Metadata = {
        "record": dg.MetadataValue.url(settings.record_url(delivery.row.pid)),
        "evidence": evidence_table(rows),
        "scan page": dg.MetadataValue.url(board_link(parts.facility, dataset.key)),
    }
    if not written:
        shown["waiting"] = delivery.sentence
    if dataset.proposal:
        shown["proposal"] = dg.MetadataValue.url(settings.proposal_url(dataset.proposal))
    return shown
