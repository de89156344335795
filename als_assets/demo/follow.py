"""Following scans to their end: what the record and Dagster say about each, as rows for a table that is drawn again and again.

Here: reading and wording. Not here: starting anything, and drawing (``show``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from als_assets.ledger import Ledger, OperationState
from als_assets.ledger.states import OPEN_OPERATIONS

ASSETS = (
    "raw_on_data832",
    "preview",
    "scicat_record",
    "raw_on_nersc",
    "recon_tiff",
    "recon_zarr",
    "recon_on_data832",
    "scicat_recon_record",
)
_OVER = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class Progress:
    """One scan at one moment. ``seconds`` maps finished assets to how long they took; ``over`` tells that its run has ended."""

    name: str
    words: str
    done: Sequence[str]
    wanted: Sequence[str]
    over: bool
    failed: bool

    @property
    def complete(self) -> bool:
        return bool(self.wanted) and set(self.wanted) <= set(self.done)


class Follower:
    """Watches scans by file name."""

    def __init__(self, ledger: Ledger, instance: dg.DagsterInstance) -> None:
        self._ledger = ledger
        self._instance = instance

    def look(self, file_names: Sequence[str]) -> list[Progress]:
        """Every scan at this moment."""
        storage = self._instance.event_log_storage
        made = {name: storage.get_materialized_partitions(dg.AssetKey(name)) for name in ASSETS}
        return [self._look(name, made) for name in file_names]

    def key_of(self, file_name: str) -> str | None:
        """The dataset that a file became."""
        return next((d.key for d in self._ledger.datasets.list() if d.file_name == file_name), None)

    def _look(self, file_name: str, made: Mapping[str, set[str]]) -> Progress:
        dataset = next((d for d in self._ledger.datasets.list() if d.file_name == file_name), None)
        if dataset is None:
            return Progress(file_name, self._before(file_name), (), (), False, False)
        filters = dg.RunsFilter(tags={"dagster/partition": dataset.key})
        records = self._instance.get_run_records(filters, limit=1)
        if not records:
            return Progress(file_name, "admitted; its run is about to start", (), (), False, False)
        run = records[0].dagster_run
        wanted = [name for name in ASSETS if dg.AssetKey(name) in (run.asset_selection or {dg.AssetKey(a) for a in ASSETS})]
        done = [name for name in wanted if dataset.key in made[name]]
        over = run.status in _OVER
        return Progress(file_name, self._words(dataset.key, run.status, over), done, wanted, over, over and run.status.value != "SUCCESS")

    def _before(self, file_name: str) -> str:
        for sighting in self._ledger.sightings.list():
            if sighting.path.endswith(file_name):
                return sighting.problem or f"being written, {sighting.size_bytes / 1e6:.1f} MB so far"
        return "not there yet"

    def _words(self, key: str, status: dg.DagsterRunStatus, over: bool) -> str:
        for operation in self._ledger.operations.of(key):
            if operation.state in OPEN_OPERATIONS:
                return str(operation.handle.get("progress") or f"{operation.kind} begins")
            if operation.state is OperationState.FAILED and over:
                return str(operation.outcome.get("sentence", "failed"))
        return "finished" if over else status.value.lower()

    def seconds_of(self, key: str, asset: str) -> float | None:
        """How long the last run of an asset took."""
        event = self._instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key]), limit=1
        ).records
        if not event:
            return None
        stats = self._instance.get_run_step_stats(event[0].run_id, step_keys=[asset])
        return stats[0].end_time - stats[0].start_time if stats and stats[0].end_time and stats[0].start_time else None
