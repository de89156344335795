"""A running simulated facility with the real platform wired to it, for the tests of transfers and jobs.

Here: starting it, admitting scans with real bytes, and looks at what the simulator saw. Not here: promises.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from als_assets.facility import load_facility
from als_assets.ledger import Dataset, Entry, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.workers import Life
from als_assets.platform import Platform
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.config import load_config
from als_assets.simulator.control import Control
from als_assets.simulator.server import Simulator

RAW, NERSC_RAW = "data832_raw", "nersc832_alsdev_raw"
SCRATCH, PSCRATCH = "data832_scratch", "nersc832_alsdev_pscratch_scratch"
FOLDER = "ALS-00832_tester"
PAUSE_S = 0.03  # what actors wait between two looks, whatever the facility says


@dataclass
class Bench:
    """A facility: its folders, the simulator behind it, and the platform in front of it."""

    box: Box
    control: Control
    platform: Platform
    told: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return self.platform.ledger

    def actor(self, run_id: str = "", **options: Any) -> Actor:
        """A run of its own, which looks often and remembers what it is told."""
        options = {"wait": lambda _seconds: time.sleep(PAUSE_S), "tell": self.told.append, **options}
        return Actor(run_id or f"run-{uuid.uuid4().hex[:8]}", self.is_gone, **options)

    def is_gone(self, run_id: str) -> bool:
        return self.ledger.workers.life_of(run_id) is not Life.ALIVE

    def admit(
        self, name: str = "", content: bytes | None = None, *, may_leave: bool = True, facts: dict[str, Any] | None = None
    ) -> Dataset:
        """A scan at the detector: a file (of random bytes, or as it lies there already) and its row."""
        key = f"scan-{uuid.uuid4().hex[:10]}"
        name = name or f"{key}.h5"
        path = self.box.watched / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None or not path.exists():
            path.write_bytes(os.urandom(120_000) if content is None else content)
        new = NewDataset(
            key=key,
            beamline="bl832",
            folder=FOLDER,
            file_name=name,
            proposal="ALS-00832",
            size_bytes=path.stat().st_size,
            acquired_at=None,
            may_leave=may_leave,
            release_reason="proposal ALS-00832 is not under export control" if may_leave else "its owner asked for it",
            source_location="spot832",
            source_path=f"{FOLDER}/{name}",
            facts=facts or {},
        )
        return self.ledger.datasets.admit(new)

    def copy(self, dataset: Dataset, location: str, actor: Actor | None = None) -> Any:
        return self.platform.transfers.ensure_replica(actor or self.actor(), dataset.key, "raw", location, dataset.raw_path)

    def raw_file(self, dataset: Dataset, location: str) -> Path:
        return Path(self.platform.transfers.place(location, dataset.raw_path).site_path)

    def stack(self, dataset: Dataset, files: dict[str, bytes], location: str = PSCRATCH) -> Replica:
        """A verified folder of files at a location, as a job would leave it."""
        path = f"{FOLDER}/rec{dataset.key}"
        folder = Path(self.platform.transfers.place(location, path).site_path)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        row = self.ledger.replicas.expect(dataset.key, "recon_tiff", location, path)
        manifest = Manifest.of(Entry(name, len(content)) for name, content in files.items())
        return self.ledger.replicas.verified(row.id, manifest, why="made by the test", evidence={})

    def newest(self, dataset: Dataset) -> Any:
        """The latest operation about a dataset."""
        return self.ledger.operations.of(dataset.key)[0]

    def assert_arrives(self, dataset: Dataset, *, tasks: int) -> None:
        """A further attempt makes the copy at data832, with so many tasks in all."""
        self.copy(dataset, RAW)
        assert self.raw_file(dataset, RAW).read_bytes() == self.raw_file(dataset, "spot832").read_bytes()
        assert self.state(dataset, RAW) is ReplicaState.VERIFIED
        assert len(self.tasks(dataset)) == tasks
        assert self.ledger.operations.open_with(f"transfer:{RAW}:{dataset.raw_path}") is None

    def replica(self, dataset: Dataset, location: str, product: str = "raw") -> Replica:
        (row,) = self.ledger.replicas.of(dataset.key, product=product, location=location)
        return row

    def state(self, dataset: Dataset, location: str, product: str = "raw") -> ReplicaState:
        return self.replica(dataset, location, product).state

    def tasks(self, dataset: Dataset, kind: str = "TRANSFER") -> list[dict[str, Any]]:
        """The Globus tasks about a dataset, whoever submitted them."""
        found = [task for task in self.control.tasks() if task["type"] == kind]
        return [task for task in found if dataset.key in json.dumps(task["document"]["DATA"]) or dataset.key in (task["label"] or "")]


def dies(*_work: object, **_more: object) -> None:
    """In the place of a method: the process ends before it could do that."""
    raise KeyboardInterrupt


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _impatient(platform: Platform) -> None:
    """The SDK's own retries, with all their rules, but with short pauses between them."""
    for role in ("mover", "pruner"):
        client = platform.transfers._movers[role]._client.transfer
        client.retry_config.max_sleep = PAUSE_S


def platform_of(box: Box) -> Platform:
    platform = Platform(load_facility(box.facility_file), who="tests")
    _impatient(platform)
    return platform


@contextmanager
def running_facility(folder: Path, *, slurm: bool = False) -> Iterator[Bench]:
    """A facility in ``folder`` until the end of the block; its machines run processes, or a real Slurm each."""
    simulator_settings = {
        "globus": {"retry_s": 0.05},
        "sfapi": {"queue_wait_s": 0.05, "kill_wait_s": 0.3, "slots": 4},
    }
    box = make_box(folder, Ports(_free_port(), _free_port(), _free_port()))
    document = json.loads(box.simulator_file.read_text())
    for service, changes in simulator_settings.items():
        document[service].update(changes)
    for iri in document["iri"].values():
        iri.update(simulator_settings["sfapi"])
    box.simulator_file.write_text(json.dumps(document))
    config = load_config(box.simulator_file)
    with Simulator(config.on_slurm() if slurm else config) as simulator:
        bench = Bench(box, simulator.control, platform_of(box))
        yield bench
        bench.platform.close()
