"""A facility of mounted folders with real bytes, a record, and movers that copy and delete there.

Here: putting copies on disk and on record. Not here: any promise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ledger_kit import Clock, new_scan

from als_assets.facility import ExportGate, Facility, Release
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import Entry, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.retention import Pruned, prune
from als_assets.transfer import TransferService
from als_assets.transfer.mover import DeleteRequest, Mover
from als_assets.transfer.posix import PosixMover

ONE = RawLeft(copies=1, sites=1, archive=False)
SCRATCH = Retention(grace_hours=24, first_raw=ONE, rules={LocationClass.SCRATCH: RetentionRule(min_age_days=14, raw=ONE)})
NO_GRACE = SCRATCH.model_copy(update={"grace_hours": 0.0})

AT_ONCE = NO_GRACE.model_copy(update={"rules": {LocationClass.SCRATCH: RetentionRule(min_age_days=0, raw=ONE)}})


class WatchedMover(PosixMover):
    """The mover for folders, which writes down what it was asked to delete; ``before_delete`` runs before each."""

    def __init__(self, gate: ExportGate) -> None:
        super().__init__(gate)
        self.deleted: list[str] = []
        self.before_delete: Any = lambda: None

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        self.before_delete()
        self.deleted.append(request.place.mover_path)
        return super().start_delete(request, prepared)


@dataclass
class Store:
    """Disks, record and movers of one test."""

    facility: Facility
    ledger: Ledger
    clock: Clock
    mover: WatchedMover = field(init=False)
    transfers: TransferService = field(init=False)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        gate = ExportGate(self.facility, lambda _key: Release(True, "a test"))
        self.mover = WatchedMover(gate)
        movers: dict[str, Mover] = {"posix": self.mover}
        self.transfers = TransferService(self.facility, self.ledger, gate, movers)

    def scan(self, key: str = "sand", content: bytes = b"raw bytes of sand", **changes: Any) -> Replica:
        """A scan at 'spot', on record."""
        new = new_scan(key, size_bytes=len(content), **changes)
        self.path("spot", new.source_path).parent.mkdir(parents=True, exist_ok=True)
        self.path("spot", new.source_path).write_bytes(content)
        self.ledger.datasets.admit(new)
        return self.ledger.replicas.of(key, location="spot")[0]

    def copy(self, location: str, product: str = "raw", key: str = "sand", content: bytes = b"raw bytes of sand") -> Replica:
        """A verified single file with its SHA-256."""
        path = self.ledger.datasets.get(key).raw_path
        self.path(location, path).parent.mkdir(parents=True, exist_ok=True)
        self.path(location, path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return self._proven(key, product, location, path, Manifest.single(len(content), digest), digest)

    def stack(self, location: str, key: str = "sand", files: int = 3) -> Replica:
        """A verified folder of slices."""
        folder = self.path(location, f"rec{key}")
        folder.mkdir(parents=True)
        for i in range(files):
            (folder / f"{i:05d}.tiff").write_bytes(b"slice" * (i + 1))
        manifest = Manifest.of(Entry(f"{i:05d}.tiff", 5 * (i + 1)) for i in range(files))
        return self._proven(key, "recon_tiff", location, f"rec{key}", manifest, None)

    def _proven(self, key: str, product: str, location: str, path: str, manifest: Manifest, digest: str | None) -> Replica:
        row = self.ledger.replicas.expect(key, product, location, path)
        return self.ledger.replicas.verified(row.id, manifest, why="proven", evidence={"how": "a test"}, sha256=digest)

    def path(self, location: str, path: str) -> Path:
        return Path(self.transfers.place(location, path).site_path)

    def where(self, replica: Replica) -> Path:
        return self.path(replica.location, replica.path)

    def state(self, replica: Replica) -> ReplicaState:
        return self.ledger.replicas.get(replica.id).state

    def prune(
        self, retention: Retention = SCRATCH, *, dry_run: bool = False, run: str = "run1", may_take_over: bool = True
    ) -> list[Pruned]:
        actor = Actor(run, lambda _run: may_take_over, lambda seconds: self.clock.turn(seconds=seconds), self.told.append)
        return prune(self.facility, retention, self.ledger, self.transfers, actor, dry_run=dry_run)

    def prune_through(self, retention: Retention = SCRATCH) -> list[Pruned]:
        """Both phases: announced now, and gone after the grace time, with proofs renewed meanwhile."""
        self.prune(retention)
        self.clock.now += timedelta(hours=retention.grace_hours)
        return self.prune(retention)

    def renew(self, *replicas: Replica) -> None:
        """The proofs of these copies were repeated now."""
        for replica in replicas:
            manifest = replica.manifest or Manifest.single(replica.size_bytes or 0)
            self.ledger.replicas.verified(replica.id, manifest, why="looked again", evidence=replica.evidence)
