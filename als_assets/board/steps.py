"""The steps of a scan and the state of each, derived from copies, operations and notes; the record stores no 'state of a step'.

Here: the table of steps and which rows belong to each. Not here: the judgement over those rows (``verdict``). The first SciCat
operation of a scan is its own record's, later identifiers are of reconstructions: those need the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from als_assets.board.records import ScanRecord
from als_assets.board.verdict import Matter, Step, StepState, judge
from als_assets.facility import Facility
from als_assets.facility.models import BeamlineSetup
from als_assets.ledger import Operation, OperationKind, OperationState, OutboxKind, Replica, ReplicaState
from als_assets.ledger.products import RAW, TIFF, ZARR


@dataclass(frozen=True)
class StepSpec:
    """``needs``: the steps that must be done before."""

    asset: str
    title: str
    needs: tuple[str, ...] = ()


SPECS = (
    StepSpec("raw_on_data832", "Copy at data832"),
    StepSpec("raw_on_nersc", "Copy at NERSC", ("raw_on_data832",)),
    StepSpec("preview", "First pictures", ("raw_on_data832",)),
    StepSpec("scicat_record", "SciCat record", ("raw_on_data832",)),
    StepSpec("recon_tiff", "Reconstruction", ("raw_on_data832",)),
    StepSpec("recon_zarr", "Multi-resolution volume", ("recon_tiff",)),
    StepSpec("recon_on_data832", "Results at data832", ("recon_tiff", "recon_zarr")),
    StepSpec("scicat_recon_record", "SciCat record of the results", ("scicat_record", "recon_tiff", "recon_zarr")),
)
PRODUCTS = (TIFF, ZARR)


def steps_of(facility: Facility, record: ScanRecord, preview_at: datetime | None) -> list[Step]:
    """Every step in the order in which staff think of them; none for a beamline that the facility file does not name.

    ``preview_at``: when the pictures were made, None where there are none.
    """
    setup = facility.beamlines.get(record.dataset.beamline)
    if setup is None:
        return []
    steps: dict[str, Step] = {}
    for spec in SPECS:
        matter = _MATTERS[spec.asset](record, setup, preview_at)
        missing = [steps[name] for name in spec.needs if steps[name].state is not StepState.DONE]
        steps[spec.asset] = judge(facility, record, spec.asset, spec.title, matter, missing)
    return list(steps.values())


def _copies(record: ScanRecord, products: Iterable[str], location: str | None = None) -> list[Replica]:
    return [r for r in record.replicas if r.product in products and location in (None, r.location)]


def _matter(record: ScanRecord, replicas: list[Replica], products: tuple[str, ...], kind: OperationKind) -> Matter:
    """What is on record about copies that must exist: those of one product and variant stand for each other."""
    operations = [o for o in record.operations if o.kind is kind and o.replica_id in {r.id for r in replicas}]
    verified = [r for r in replicas if r.state is ReplicaState.VERIFIED]
    settled = {(r.product, r.variant) for r in verified}
    there = set(products) <= {product for product, _ in settled}
    times = [r.verified_at or r.changed_at for r in verified]
    return Matter(
        operations=operations,
        replicas=replicas,
        settled=frozenset(r.id for r in replicas if (r.product, r.variant) in settled),
        done_at=max(times) if there and times else None,
        complete=there and {(r.product, r.variant) for r in replicas} == settled,
    )


def _raw_at_home(record: ScanRecord, setup: BeamlineSetup, _preview_at: datetime | None) -> Matter:
    return _matter(record, _copies(record, (RAW,), setup.raw), (RAW,), OperationKind.TRANSFER)


def _raw_remote(record: ScanRecord, setup: BeamlineSetup, _preview_at: datetime | None) -> Matter:
    return _matter(record, _copies(record, (RAW,), setup.raw_remote), (RAW,), OperationKind.TRANSFER)


def _made(product: str) -> Callable[[ScanRecord, BeamlineSetup, datetime | None], Matter]:
    """Products where a job makes them, not the copies that were brought back."""

    def matter(record: ScanRecord, _setup: BeamlineSetup, _preview_at: datetime | None) -> Matter:
        by_jobs = {o.replica_id for o in record.operations if o.kind is OperationKind.JOB}
        replicas = [r for r in _copies(record, (product,)) if r.id in by_jobs or "report" in r.evidence]
        return _matter(record, replicas, (product,), OperationKind.JOB)

    return matter


def _brought_back(record: ScanRecord, setup: BeamlineSetup, _preview_at: datetime | None) -> Matter:
    return _matter(record, _copies(record, PRODUCTS, setup.results), PRODUCTS, OperationKind.TRANSFER)


def _pictures(_record: ScanRecord, _setup: BeamlineSetup, preview_at: datetime | None) -> Matter:
    return Matter(done_at=preview_at)


def _catalogued(*, raw: bool) -> Callable[[ScanRecord, BeamlineSetup, datetime | None], Matter]:
    def matter(record: ScanRecord, _setup: BeamlineSetup, _preview_at: datetime | None) -> Matter:
        every = [o for o in record.operations if o.kind is OperationKind.CATALOGUE and not o.key.startswith("lifecycle:")]
        first = every[-1].key if every else ""
        mine: list[Operation] = [o for o in every if (o.key == first) is raw]
        times = [o.finished_at for o in mine if o.state is OperationState.SUCCEEDED and o.finished_at is not None]
        kind = OutboxKind.RAW if raw else OutboxKind.DERIVED
        # A row without a next try was refused: that is a failure, which a person must look at.
        unwritten = next((row for row in record.outbox if row.kind is kind and row.next_try_at is not None), None)
        return Matter(operations=mine, done_at=max(times, default=None), unwritten=unwritten)

    return matter


_MATTERS: dict[str, Callable[[ScanRecord, BeamlineSetup, datetime | None], Matter]] = {
    "raw_on_data832": _raw_at_home,
    "raw_on_nersc": _raw_remote,
    "preview": _pictures,
    "scicat_record": _catalogued(raw=True),
    "recon_tiff": _made("recon_tiff"),
    "recon_zarr": _made("recon_zarr"),
    "recon_on_data832": _brought_back,
    "scicat_recon_record": _catalogued(raw=False),
}
