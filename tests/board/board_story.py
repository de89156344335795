"""A facility with two sites, and ``Story``, which tells a scan's life in the record's own calls.

Here: values and helpers that the board's tests share. Not here: tests, fixtures, and anything of HTTP or HTML (``board_pages``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from als_assets.ledger import Dataset, Ledger, Manifest, Operation, OperationKind, OperationState, Replica, ReplicaState
from als_assets.ledger.datasets import NewDataset

START = datetime(2026, 3, 1, 17, 0, tzinfo=UTC)
SHA = "ab" * 32
TASK = "0f6d5b1c-0000-4000-8000-000000000001"


def _location(site: str, root: str, kind: str, mounted: bool = True) -> dict[str, Any]:
    return {"site": site, "collection": "44ae904c-ab64-4145-a8f0-7287de38324d", "root": root, "mounted": mounted, "class": kind}


def facility_document(state_dir: Path) -> dict[str, Any]:
    """A facility file's content."""
    secret = {"env": "ALS_TEST_VALUE"}
    globus = {"kind": "globus", "client_id": secret, "client_secret": secret}
    return {
        "name": "als",
        "state_dir": str(state_dir),
        "board_url": "http://127.0.0.1:8832",
        "dagster_url": "http://127.0.0.1:3000",
        "sites": {
            "als": {"title": "ALS (data832)", "on_premises": True},
            "nersc": {"title": "NERSC (Perlmutter)"},
            "scicat": {"title": "SciCat"},
        },
        "locations": {
            "spot832": _location("als", "/spot", "acquisition"),
            "data832_raw": _location("als", "/data/raw", "staging"),
            "data832_scratch": _location("als", "/data/scratch", "scratch"),
            "nersc832_raw": _location("nersc", "/cfs/raw", "staging", mounted=False),
            "nersc832_scratch": _location("nersc", "/pscratch/scratch", "scratch", mounted=False),
        },
        "identities": {
            "mover": globus,
            "pruner": globus,
            "catalogue": {"kind": "scicat", "username": secret, "password": secret},
        },
        "globus": {"mover": "mover", "pruner": "pruner"},
        "scicat": {
            "site": "scicat",
            "api_url": "http://127.0.0.1:9/api/v3",
            "frontend_url": "http://127.0.0.1:9",
            "identity": "catalogue",
        },
        "beamlines": {
            "bl832": {
                "acquisition": "spot832",
                "raw": "data832_raw",
                "raw_remote": "nersc832_raw",
                "results": "data832_scratch",
                "settings": str(state_dir.parent / "bl832.yaml"),
            }
        },
    }


@dataclass
class Clock:
    """Time that only a test moves."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@dataclass
class Story:
    """One scan's life, told to the record as the platform tells it."""

    ledger: Ledger
    clock: Clock
    key: str
    run: str = "run-1"
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        new = {
            "key": self.key,
            "beamline": "bl832",
            "folder": "dd-00847_hexemer",
            "file_name": f"{self.key}.h5",
            "proposal": "DD-00847",
            "size_bytes": 12_900_000_000,
            "acquired_at": self.clock() - timedelta(minutes=3),
            "may_leave": True,
            "release_reason": "proposal DD-00847 is not under export control",
            "source_location": "spot832",
            "facts": {"projections": 1969, "rows": 2160, "columns": 2560, "sample_name": "Sandstone plug", "warnings": []},
            **self.changes,
        }
        new.setdefault("source_path", f"{new['folder']}/{new['file_name']}")
        self.dataset: Dataset = self.ledger.datasets.admit(NewDataset(**new))

    def decided(self, **reasons: str) -> None:
        """As the sensor writes a decision."""
        every = {
            "raw_on_data832": "always: the first safe copy",
            **dict.fromkeys(("preview", "raw_on_nersc", "scicat_record", "recon_tiff", "recon_zarr"), "switched on in the settings"),
            "recon_on_data832": "switched on in the settings",
            "site": "NERSC (Perlmutter) is the first site that is on and allowed",
            **reasons,
        }
        self.ledger.audit.note(f"dispatch of {self.key}", why="site: nersc", dataset_key=self.key, evidence=every)

    def started(self, *, alive: bool = False) -> None:
        """A run has begun; ``alive``: this test's process is its worker."""
        if alive:
            self.ledger.workers.register(self.run, self.key)
        self.ledger.datasets.mark_started(self.key, self.run)

    def open(self, kind: OperationKind, replica: Replica | None, key: str, *, submitted: bool = True, **handle: Any) -> Operation:
        """An act on its way."""
        operation = self.ledger.operations.begin(key, kind, self.key, {}, replica.id if replica else None)
        operation = self.ledger.operations.take(operation.id, self.run, lambda _other: True)
        if submitted:
            operation = self.ledger.operations.submitted(operation, **handle)
        return operation

    def end(self, operation: Operation, state: OperationState = OperationState.SUCCEEDED, **outcome: Any) -> None:
        self.clock.pass_(seconds=30)
        self.ledger.operations.finish(operation, state, why=str(outcome.get("sentence", "it ended")), outcome=outcome)

    def copying(self, location: str, product: str = "raw", variant: str = "", **handle: Any) -> tuple[Replica, Operation]:
        """A transfer on its way."""
        replica = self.ledger.replicas.expect(self.key, product, location, self._path(product, variant), variant)
        replica = self.ledger.replicas.move(replica.id, ReplicaState.COPYING, why="copying from spot832")
        operation = self.open(OperationKind.TRANSFER, replica, f"transfer:{location}:{replica.path}", task_id=TASK, **handle)
        return replica, operation

    def copied(self, location: str, product: str = "raw", variant: str = "") -> Replica:
        """A proven copy."""
        replica, operation = self.copying(location, product, variant)
        self.end(operation, link=f"https://app.globus.org/activity/{TASK}")
        evidence = {
            "copied_from": "spot832",
            "task": TASK,
            "link": f"https://app.globus.org/activity/{TASK}",
            "checksum": "mover compared checksums of both sides; SHA-256 taken at the destination",
            "files_compared": 1,
        }
        manifest = Manifest.single(12_900_000_000, SHA)
        return self.ledger.replicas.verified(replica.id, manifest, why="copied and proven", evidence=evidence, sha256=SHA)

    def copy_failed(self, location: str, sentence: str, product: str = "raw") -> None:
        replica, operation = self.copying(location, product)
        self.end(operation, OperationState.FAILED, sentence=sentence)
        self.ledger.replicas.move(replica.id, ReplicaState.EXPECTED, why=sentence)

    def job(self, product: str, variant: str = "", location: str = "nersc832_scratch", **handle: Any) -> tuple[Replica, Operation]:
        replica = self.ledger.replicas.expect(self.key, product, location, self._path(product, variant), variant)
        replica = self.ledger.replicas.move(replica.id, ReplicaState.COPYING, why="a job at nersc makes it")
        return replica, self.open(OperationKind.JOB, replica, f"job:{location}:{replica.path}", job_id="1001", **handle)

    def made(self, product: str, variant: str = "", location: str = "nersc832_scratch") -> Replica:
        """A product, made by a job and proven."""
        replica, operation = self.job(product, variant, location)
        report = job_report("succeeded", "")
        self.end(operation, sentence=report["sentence"], report=report)
        evidence = {"report": report, "parameters": "{}", "witnesses": "scheduler state, exit codes and the output agree"}
        return self.ledger.replicas.verified(replica.id, Manifest.single(5), why=report["sentence"], evidence=evidence)

    def job_failed(self, product: str, variant: str = "", location: str = "nersc832_scratch") -> dict[str, Any]:
        replica, operation = self.job(product, variant, location)
        report = job_report("failed with exit code 12", "Read the last lines of its log below; then re-execute from failure.")
        self.end(operation, OperationState.FAILED, sentence=report["sentence"], report=report)
        self.ledger.replicas.move(replica.id, ReplicaState.EXPECTED, why=report["sentence"])
        return report

    def catalogued(self, pid: str) -> None:
        operation = self.open(OperationKind.CATALOGUE, None, f"catalogue:{pid}", pid=pid)
        self.end(operation, pid=pid, url=f"https://dataportal.als.lbl.gov/datasets/{pid}", created=True)

    def noted(self, asset: str, sentence: str, next_step: str) -> None:
        """As a step writes down that it failed."""
        evidence = {"next_step": next_step, "page": "service-unreachable", "run_id": self.run}
        self.ledger.audit.note(f"step {asset} of {self.key}", why=sentence, dataset_key=self.key, evidence=evidence)

    def pictures(self, state_dir: Path) -> Path:
        """A preview, as the program leaves it."""
        folder = state_dir / "media" / self.key
        folder.mkdir(parents=True)
        for name in ("preview_xy", "preview_xz", "centers", "projection"):
            (folder / f"{name}.jpg").write_bytes(b"\xff\xd8\xff" + name.encode())
        numbers = '{"center": {"value": 1281.37, "method": "vo", "confidence": "high"}, "images": {"preview_xy.jpg": {"width_px": 640, '
        (folder / "preview.json").write_text(numbers + '"height_px": 640}}, "centers_shown": [1277.4, 1285.4]}')
        stamp = self.clock().timestamp()
        os.utime(folder / "preview.json", (stamp, stamp))
        return folder

    def finished(self, state_dir: Path) -> None:
        """Everything that a scan gets."""
        self.decided()
        self.started()
        self.copied("data832_raw")
        self.pictures(state_dir)
        self.catalogued("als/1111")
        self.copied("nersc832_raw")
        self.made("recon_tiff")
        self.made("recon_zarr")
        self.copied("data832_scratch", "recon_tiff")
        self.copied("data832_scratch", "recon_zarr")
        self.catalogued("als/2222")

    def _path(self, product: str, variant: str) -> str:
        folder = f"{self.dataset.folder}/{variant}" if variant else self.dataset.folder
        names = {"raw": self.dataset.file_name, "recon_tiff": f"rec{self.key}", "recon_zarr": f"rec{self.key}.zarr"}
        return f"{folder}/{names[product]}"


def job_report(what: str, next_step: str) -> dict[str, Any]:
    return {
        "sentence": f"The reconstruction at NERSC (Perlmutter) (job 1001) {what} after 3 min 20 s.",
        "next_step": next_step,
        "reason": "none",
        "site": "nersc",
        "job_id": "1001",
        "state": "FAILED" if next_step else "COMPLETED",
        "exit_code": "12:0" if next_step else "0:0",
        "nodes": "nid004242",
        "queue_wait_s": 12.0,
        "used_s": 200.0,
        "asked_s": 900,
        "stdout_tail": "",
        "stderr_tail": "reading <frames>\nTruncatedInput: the file ends before frame 1200 & stops" if next_step else "",
        "log_path": "/pscratch/logs/rec-1.err",
    }
