"""A platform with a simulated SciCat for tests about the outbox, the lifecycle and the comparison: real scan files, real requests.

Here: the world and its hands. Not here: any promise. Its ingest account is no admin, and a second account may change what it does not own.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from als_assets.catalogue.model import Record
from als_assets.facility import load_facility
from als_assets.facility.catalogue import CatalogueFile
from als_assets.ledger import Entry, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.products import RAW, TIFF, ZARR
from als_assets.platform import Platform
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.config import load_config
from als_assets.simulator.detector import synthetic_scan
from als_assets.simulator.server import Simulator

FOLDER = "dabramov-00847_dabramov"


@dataclass
class World:
    """The box on disk, its simulator and the platform on them. ``late`` is how far the record's clock is ahead of the host's."""

    box: Box
    simulator: Simulator
    parts: Platform
    late: timedelta = field(default_factory=timedelta)

    @property
    def ledger(self) -> Ledger:
        return self.parts.ledger

    @property
    def actor(self) -> Actor:
        return Actor("run-1", lambda other: True)

    def turn(self, **by: float) -> None:
        """Time passes for the record; everything due is tried again."""
        self.late += timedelta(**by)

    def scan(self, key: str, *, may_leave: bool = True) -> Replica:
        """A scan on record with its file at data832, proven."""
        path = self.box.data832_raw / FOLDER / f"{key}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic_scan(path, rows=4, columns=32, angles=5)
        size = path.stat().st_size
        new = NewDataset(key, "bl832", FOLDER, path.name, "ALS-00847", size, None, may_leave, "a test", "spot832", f"{FOLDER}/{key}.h5")
        self.ledger.datasets.admit(new)
        return self.copy(key, "data832_raw", sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def copy(self, key: str, location: str, sha256: str | None = None) -> Replica:
        """A proven copy of the raw file (on record; only data832 has bytes)."""
        dataset = self.ledger.datasets.get(key)
        replica = self.ledger.replicas.expect(key, RAW, location, dataset.raw_path)
        self.ledger.replicas.move(replica.id, ReplicaState.COPYING, why="a test")
        manifest = Manifest.single(dataset.size_bytes, sha256)
        return self.ledger.replicas.verified(replica.id, manifest, why="a test", evidence={}, sha256=sha256)

    def gone(self, key: str, location: str) -> None:
        """A copy was pruned."""
        (replica,) = self.ledger.replicas.of(key, product=RAW, location=location)
        for state in (ReplicaState.DELETING, ReplicaState.DELETED):
            self.ledger.replicas.move(replica.id, state, why="a test", evidence={})

    def product(self, key: str, variant: str = "", **report: Any) -> tuple[Replica, Replica]:
        """A reconstruction at NERSC and its Zarr, on record."""
        name = "/".join(part for part in (FOLDER, variant, f"rec{key}") if part)
        entries = [Entry(f"{key}_{i:05d}.tiff", 100) for i in range(3)]
        said = {"site": "nersc", "job_id": "4711", "image": "ghcr.io/als-computing/microct@sha256:" + "0" * 64, **report}
        evidence = {"report": said, "parameters": json.dumps({"center": "auto", "variant": variant})}
        return (
            self._made(key, TIFF, variant, name, Manifest.of(entries), evidence),
            self._made(key, ZARR, variant, f"{name}.zarr", Manifest.of([Entry("0/0", 50), Entry(".zattrs", 10)]), evidence),
        )

    def _made(self, key: str, product: str, variant: str, path: str, manifest: Manifest, evidence: dict[str, Any]) -> Replica:
        replica = self.ledger.replicas.expect(key, product, "nersc832_alsdev_pscratch_scratch", path, variant)
        self.ledger.replicas.move(replica.id, ReplicaState.COPYING, why="a test")
        return self.ledger.replicas.verified(replica.id, manifest, why="a test", evidence=evidence)

    def raw(self, key: str) -> Record:
        """What its record says."""
        (replica,) = self.ledger.replicas.of(key, product=RAW, location="data832_raw")
        return self.parts.record_source("bl832").raw(self.ledger.datasets.get(key), replica)

    def stored(self, pid: str) -> dict[str, Any]:
        """The record as SciCat has it."""
        return next(dict(item) for item in self.simulator.control.records() if item["pid"] == pid)

    def has(self, pid: str) -> bool:
        return any(item["pid"] == pid for item in self.simulator.control.records())

    def down(self, how: str = "bad_gateway") -> None:
        """SciCat is not there until the faults are cleared."""
        self.simulator.control.add_fault(where="scicat", action=how, times=None)

    def up(self) -> None:
        self.simulator.control.clear_faults()


@contextmanager
def world_in(folder: Path, *, admin: bool = True, personality: str = "5.2", catalogue: CatalogueFile | None = None) -> Iterator[World]:
    """A running world. ``admin``: whether the second account may change everything. ``catalogue``: another SciCat."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = make_box(folder, Ports(port, 2, 3), simulator={})
    configured = json.loads(box.simulator_file.read_text())
    configured["scicat"]["users"]["archiver"]["admin"] = admin
    configured["scicat"]["personality"] = personality
    box.simulator_file.write_text(json.dumps(configured))
    with Simulator(load_config(box.simulator_file)) as simulator:
        facility = load_facility(box.facility_file)
        if catalogue is not None:
            identities = {**facility.identities, **catalogue.identities}
            facility = facility.model_copy(update={"scicat": catalogue.scicat, "identities": identities})
        quick = facility.scicat.model_copy(update={"timeout_s": 3.0, "attempts": 1})
        world = World(box, simulator, Platform(facility.model_copy(update={"scicat": quick})))
        clock = world.ledger.clock
        _turn(world.ledger, lambda: clock() + world.late)
        yield world
        world.parts.close()


def _turn(ledger: Ledger, clock: Any) -> None:
    ledger.clock = clock
    for part in (ledger.datasets, ledger.replicas, ledger.operations, ledger.outbox):
        part._clock = clock
