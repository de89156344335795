"""SciCat records of 8.3.2: one for the raw scan, one for each reconstruction, linked to each other.

Here: the two assets, and the gathering of what the records say. Not here: fields and requests (``catalogue``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg

import als_assets
from als_assets.catalogue.act import RecordAct
from als_assets.catalogue.model import Copy, FileEntry, Record, Thumbnail
from als_assets.catalogue.records import Product, derived_record, raw_record
from als_assets.compute.service import TIFF, ZARR
from als_assets.defs.bl832.common import BEAMLINE, RAW, scan_asset
from als_assets.defs.bl832.raw import ensure_raw
from als_assets.defs.bl832.reconstruction import newest
from als_assets.defs.evidence import Metadata, board_link, evidence_table
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import working
from als_assets.ledger import Dataset, Operation, Replica, ReplicaState
from als_assets.ledger.acting import Actor, carry_out
from als_assets.platform import BEAMLINES, Platform

# A stack of thousands of files is listed by its folder: SciCat refuses bodies above 16 MB.
_LISTED_FILES = 2500


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
        return _write(parts, actor, dataset, _raw(parts, actor, dataset))


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
        raw = _raw(parts, actor, dataset)
        product = _product(parts, dataset)
        return _write(parts, actor, dataset, derived_record(parts.catalogue.settings.records, raw, product))


def _write(parts: Platform, actor: Actor, dataset: Dataset, record: Record) -> dg.MaterializeResult[Any]:
    act = RecordAct(parts.catalogue, record, dataset.key)
    operation = carry_out(parts.ledger, actor, act, wanted_since=parts.ledger.clock())
    return dg.MaterializeResult(metadata=_shown(parts, dataset, operation))


def _shown(parts: Platform, dataset: Dataset, operation: Operation) -> Metadata:
    outcome = operation.outcome
    rows = {
        "identifier": outcome["pid"],
        "state": "created now" if outcome["created"] else "was there",
        "fields corrected": ", ".join(outcome["patched"]),
        "files listed": outcome["files"],
        "pictures": outcome["attachments"],
        "warnings": "; ".join(outcome["warnings"]),
    }
    shown: Metadata = {
        "record": dg.MetadataValue.url(outcome["url"]),
        "evidence": evidence_table(rows),
        "scan page": dg.MetadataValue.url(board_link(parts.facility, dataset.key)),
    }
    if dataset.proposal:
        shown["proposal"] = dg.MetadataValue.url(parts.catalogue.settings.proposal_url(dataset.proposal))
    return shown


def _raw(parts: Platform, actor: Actor, dataset: Dataset) -> Record:
    """The raw record, from the file itself (its metadata is the truth) and the copies on record."""
    setup = parts.facility.beamlines[BEAMLINE]
    replica = ensure_raw(parts, actor, dataset.key, setup.raw).replica
    path = Path(parts.transfers.place(replica.location, replica.path).site_path)
    beamline = BEAMLINES[BEAMLINE]
    facts = beamline.inspect(path)
    when = datetime.fromtimestamp(facts.mtime_ns / 1e9, UTC)
    return raw_record(
        parts.catalogue.settings.records,
        BEAMLINE,
        beamline.identify(PurePosixPath(dataset.raw_path)),
        facts,
        source_folder=str(path.parent),
        files=[FileEntry(path.name, facts.size_bytes, when, replica.sha256)],
        thumbnails=_thumbnails(parts, dataset.key, ["projection"]),
        copies=_copies(parts, dataset.key, (RAW,)),
        links={"scan_page": board_link(parts.facility, dataset.key)},
    )


def _product(parts: Platform, dataset: Dataset) -> Product:
    stack, volume = newest(parts, dataset.key, TIFF), newest(parts, dataset.key, ZARR)
    report = stack.evidence["report"]
    results = parts.facility.beamlines[BEAMLINE].results
    folder = parts.transfers.place(results, stack.path).site_path.parent
    return Product(
        kind="reconstruction",
        name=f"rec{dataset.key}{'-' + stack.variant if stack.variant else ''}",
        parameters=json.loads(stack.evidence["parameters"]),
        software=[f"als-assets {als_assets.__version__}"],
        site=str(report["site"]),
        job_id=str(report["job_id"]),
        created_at=stack.verified_at or parts.ledger.clock(),
        source_folder=str(folder),
        file_blocks=[_listed(stack), _listed(volume)],
        log=str(report.get("sentence", "")),
        thumbnails=_thumbnails(parts, dataset.key, ["preview_xy", "preview_xz", "preview_yz"]),
        copies=_copies(parts, dataset.key, (TIFF, ZARR)),
        links={"scan_page": board_link(parts.facility, dataset.key)},
    )


def _listed(replica: Replica) -> Sequence[FileEntry]:
    """The files of a product, relative to the folder that holds it."""
    root, when = PurePosixPath(replica.path).name, replica.verified_at or replica.created_at
    entries = replica.manifest.entries if replica.manifest else ()
    if replica.product == ZARR or len(entries) > _LISTED_FILES:
        return [FileEntry(root, replica.size_bytes or 0, when)]
    return [FileEntry(f"{root}/{e.path}", e.size_bytes, when, e.sha256) for e in entries]


def _copies(parts: Platform, key: str, products: Sequence[str]) -> list[Copy]:
    rows = [r for product in products for r in parts.ledger.replicas.of(key, product=product, state=ReplicaState.VERIFIED)]
    return [
        Copy(parts.facility.site_of(r.location), str(parts.transfers.place(r.location, r.path).site_path), str(r.state), r.verified_at)
        for r in sorted(rows, key=lambda r: r.id)
        if r.verified_at is not None
    ]


def _thumbnails(parts: Platform, key: str, names: Sequence[str]) -> list[Thumbnail]:
    """Pictures of the preview, where it was made; a record without pictures is still a record."""
    folder = parts.facility.state_dir / "media" / key
    found = [(name, folder / f"{name}.jpg") for name in names]
    return [Thumbnail(name.replace("_", " "), "image/jpeg", path.read_bytes()) for name, path in found if path.exists()]
