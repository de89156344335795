"""Products of a scan, made as real jobs at both kinds of site: complete, proven, and made once.

The first tests run the real programs; the others a stand-in of the same words, because they are about the record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from facility_in_a_box import FOLDER, NERSC_RAW, PSCRATCH, RAW, SCRATCH, Bench

from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.compute.service import TIFF, ZARR, ComputeService, variant_of
from als_assets.errors import ExportRefused, JobError, JobFailed
from als_assets.facility.compute import Container
from als_assets.ledger import Dataset, OperationState, ReplicaState
from als_assets.simulator.detector import synthetic_scan

ROWS = 4
HOME, NERSC = ("als", RAW, SCRATCH), ("nersc", NERSC_RAW, PSCRATCH)


@pytest.fixture(scope="session")
def tiny_scan(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("scan") / "tiny.h5"
    synthetic_scan(path, rows=ROWS, columns=64, angles=61, seed=3, header=ScanHeader(sample_name="tiny"))
    return path.read_bytes()


@dataclass
class Bakery:
    """One scan at one site, with its raw file where the jobs of that site expect it."""

    bench: Bench
    scan: Dataset
    site: str
    scratch: str

    def reconstruct(self, overrides: dict[str, Any] | None = None, standard: dict[str, Any] | None = None) -> Any:
        compute = self.bench.platform.compute
        return compute.reconstruct(self.bench.actor(), self.scan, self.site, overrides or {}, standard or {})

    def folder(self, path: str) -> Path:
        return Path(self.bench.platform.transfers.place(self.scratch, path).site_path)

    def jobs(self) -> int:
        return sum(operation.kind == "job" for operation in self.bench.ledger.operations.of(self.scan.key))


@pytest.fixture
def staged(bench: Bench, tiny_scan: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Put a scan to a site. Both kinds of site compile into one cache."""

    def make(site: tuple[str, str, str], content: bytes = tiny_scan, **options: Any) -> Bakery:
        name, raw, scratch = site
        scan = bench.admit(content=content, facts={"rows": ROWS}, **options)
        bench.copy(scan, RAW)
        if raw != RAW:
            bench.copy(scan, raw)
        return Bakery(bench, scan, name, scratch)

    yield make


STAND_IN = """#!/bin/bash
# -m als_assets.recon reconstruct SCAN.h5 --output DIR --name NAME --params FILE
set -eu
for word in "$@"; do
  case "${before-}" in --output) output=$word ;; --name) name=$word ;; --params) params=$word ;; esac
  before=$word
done
mkdir -p "$output/rec$name"
for n in 0 1 2 3; do echo slice >"$output/rec$name/${name}_0000$n.tiff"; done
cp "$params" "$output/rec$name/parameters.json"
"""


@pytest.fixture
def quick(staged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As ``staged``, with the stand-in for Python at every site."""
    program = tmp_path / "python-at-site"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    setup = ComputeService.setup
    changes = {"container": Container(python=str(program))}
    monkeypatch.setattr(ComputeService, "setup", lambda self, site: setup(self, site).model_copy(update=changes))
    return staged


@pytest.mark.parametrize("site", [HOME, NERSC], ids=["at home", "at NERSC"])
def test_a_stack_and_its_volume(staged: Any, site: tuple[str, str, str]) -> None:
    bakery = staged(site)
    bench, scan = bakery.bench, bakery.scan

    stack = bakery.reconstruct(standard={"center": "pc"})
    volume = bench.platform.compute.multires(bench.actor(), scan, stack.replica)

    path = f"{FOLDER}/rec{scan.key}"
    assert (stack.made, stack.site, stack.replica.location, stack.replica.path) == (True, site[0], site[2], path)
    slices = sorted(p.name for p in bakery.folder(path).glob("*.tiff"))
    assert slices == [f"{scan.key}_{n:05d}.tiff" for n in range(ROWS)]
    assert stack.replica.manifest.files == ROWS + 1 == stack.replica.files
    assert stack.replica.state is volume.replica.state is ReplicaState.VERIFIED
    assert json.loads(stack.replica.evidence["parameters"]) == {"center": "pc"}
    assert json.loads((bakery.folder(path) / "parameters.json").read_text())
    assert stack.report["reason"] == "none" and stack.report["step"] == "reconstruct"
    assert "stdout_tail" not in stack.replica.evidence["report"], "logs stay in the operation"
    assert volume.replica.path == f"{path}.zarr"
    names = set(bench.platform.compute._transports[site[0]].listing(bakery.folder(volume.replica.path)))
    assert {".zattrs", "zarr.json"} & names and len(names) == volume.replica.files
    operation = bench.ledger.operations.of(scan.key)[0]
    assert operation.state is OperationState.SUCCEEDED and "multires" in operation.request["script"]


def test_a_scan_without_flats_fails_with_the_programs_sentence(staged: Any, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "no-flats.h5"
    synthetic_scan(path, rows=ROWS, columns=64, angles=61)
    with h5py.File(path, "r+") as file:
        del file["/exchange/data_white"]
    bakery = staged(HOME, path.read_bytes())

    with pytest.raises(JobFailed, match=r"in step 'reconstruct'.*data_white") as caught:
        bakery.reconstruct()

    (replica,) = bakery.bench.ledger.replicas.of(bakery.scan.key, product=TIFF)
    assert replica.state is ReplicaState.EXPECTED
    assert caught.value.details["report"]["stderr_tail"]


def test_at_nersc_the_job_copies_the_raw_file_to_scratch_first(quick: Any) -> None:
    bakery = quick(NERSC)

    bakery.reconstruct()

    scratch_raw = bakery.bench.raw_file(bakery.scan, "nersc832_alsdev_pscratch_raw")
    assert scratch_raw.read_bytes() == bakery.bench.raw_file(bakery.scan, NERSC_RAW).read_bytes()


def test_a_product_is_made_once_and_its_variants_lie_beside_it(quick: Any) -> None:
    bakery = quick(HOME)
    first = bakery.reconstruct()

    again = bakery.reconstruct()
    other = bakery.reconstruct({"center": 31.5})

    assert (again.made, again.replica.id) == (False, first.replica.id)
    assert again.report["job_id"] == first.report["job_id"]
    assert bakery.jobs() == 2
    variant = variant_of({"center": 31.5})
    assert other.replica.path == f"{FOLDER}/{variant}/rec{bakery.scan.key}"
    assert (other.replica.variant, first.replica.variant) == (variant, "")
    assert bakery.bench.ledger.replicas.get(first.replica.id).state is ReplicaState.VERIFIED
    written = json.loads((bakery.folder(other.replica.path) / "parameters.json").read_text())
    assert "31.5" in json.dumps(written)


def test_a_product_that_was_damaged_is_made_again(quick: Any) -> None:
    bakery = quick(HOME)
    first = bakery.reconstruct()
    next(bakery.folder(first.replica.path).glob("*.tiff")).unlink()

    again = bakery.reconstruct()

    assert again.made and bakery.jobs() == 2
    assert len(list(bakery.folder(again.replica.path).glob("*.tiff"))) == ROWS
    moves = [(row.before, row.after) for row in bakery.bench.ledger.audit.of(bakery.scan.key) if row.subject == first.replica.name]
    assert ("verified", "suspect") in moves


def test_a_product_that_another_run_made_meanwhile_is_not_made_twice(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bakery = quick(HOME)
    expect = type(bakery.bench.ledger.replicas).expect

    def and_meanwhile(self: Any, *arguments: Any) -> Any:
        seen = expect(self, *arguments)
        monkeypatch.setattr(type(self), "expect", expect)
        bakery.reconstruct()
        return seen

    monkeypatch.setattr(type(bakery.bench.ledger.replicas), "expect", and_meanwhile)

    receipt = bakery.reconstruct()

    assert receipt.replica.state is ReplicaState.VERIFIED
    assert bakery.jobs() == 1


def test_fewer_slices_than_the_scan_has_rows_are_no_product(quick: Any) -> None:
    bakery = quick(HOME)
    bakery.scan.facts = {"rows": ROWS + 1}

    with pytest.raises(JobError, match=f"{ROWS} slices instead of {ROWS + 1}"):
        bakery.reconstruct()


def test_a_flagged_scan_is_reconstructed_at_home_and_nowhere_else(quick: Any) -> None:
    bakery = quick(HOME, may_leave=False)
    away = replace(bakery, site="nersc")

    with pytest.raises(ExportRefused):
        away.reconstruct()
    assert bakery.reconstruct().made

    log = json.dumps(bakery.bench.control.requests(path="/api/v1.2/*"))
    assert bakery.scan.key not in log
    assert bakery.bench.ledger.replicas.of(bakery.scan.key, product=ZARR) == []


def test_a_site_that_cannot_run_jobs_is_refused_with_those_that_can(quick: Any) -> None:
    bakery = quick(HOME)

    for site in ("scicat", "atlantis"):
        with pytest.raises(JobError, match=f"'{site}' cannot run jobs") as caught:
            replace(bakery, site=site).reconstruct()
        assert "als, nersc" in caught.value.next_step


def test_cancelling_a_job_that_was_never_submitted_asks_the_scheduler_by_name(quick: Any) -> None:
    bakery = quick(NERSC)
    request = {"site": "nersc", "name": "als-rec-never", "log_dir": "/nowhere"}
    operation = bakery.bench.ledger.operations.begin("job:x", "job", bakery.scan.key, request)

    bakery.bench.platform.compute.cancel(operation)

    assert not [r for r in bakery.bench.control.requests("DELETE", "/api/v1.2/*") if "never" in r["path"]]


def test_files_of_a_job_can_be_deleted_by_the_group(quick: Any) -> None:
    bakery = quick(HOME)

    receipt = bakery.reconstruct()

    folder = bakery.folder(receipt.replica.path)
    assert {oct(p.stat().st_mode & 0o777) for p in folder.iterdir()} == {"0o660"}
    assert os.access(folder, os.W_OK) and folder.stat().st_mode & 0o070 == 0o070


# --- the copy of the raw file that a job makes next to its work -----------------------------------------------------------------

STAGED = "nersc832_alsdev_pscratch_raw"


def staged_raw(bakery: Bakery) -> tuple[Any, Path]:
    copy = bakery.bench.replica(bakery.scan, STAGED, "staged_raw")
    return copy, Path(bakery.bench.platform.transfers.place(STAGED, copy.path).site_path)


def test_a_staged_raw_file_is_on_record_with_its_proof_and_used_again(quick: Any) -> None:
    bakery = quick(NERSC)
    bakery.reconstruct()
    copy, file = staged_raw(bakery)
    assert (copy.state, copy.size_bytes) == (ReplicaState.VERIFIED, bakery.scan.size_bytes == file.stat().st_size and copy.size_bytes)
    written = file.stat().st_mtime_ns

    bakery.reconstruct({"center": 3.0})

    assert file.stat().st_mtime_ns == written, "it was not copied again"
    assert staged_raw(bakery)[0].state is ReplicaState.VERIFIED


def test_a_staged_raw_file_that_was_pruned_is_staged_again(quick: Any) -> None:
    bakery = quick(NERSC)
    bakery.reconstruct()
    copy, file = staged_raw(bakery)
    copy = bakery.bench.ledger.replicas.move(copy.id, ReplicaState.DELETING, why="the policy")
    bakery.bench.platform.transfers.delete_replica(bakery.bench.actor(), copy, {"because": "the policy"})
    assert not file.exists() and staged_raw(bakery)[0].state is ReplicaState.DELETED

    bakery.reconstruct({"center": 3.0})

    assert staged_raw(bakery)[0].state is ReplicaState.VERIFIED
    assert file.stat().st_size == bakery.scan.size_bytes


def test_a_job_waits_until_a_deletion_of_the_staged_file_is_over(quick: Any) -> None:
    bakery = quick(NERSC)
    bakery.reconstruct()
    copy, file = staged_raw(bakery)
    replicas = bakery.bench.ledger.replicas
    replicas.move(copy.id, ReplicaState.DELETING, why="the policy")

    def wait(_seconds: float) -> None:
        if replicas.get(copy.id).state is ReplicaState.DELETING:
            file.unlink()
            replicas.move(copy.id, ReplicaState.DELETED, why="it is gone")

    actor = bakery.bench.actor(wait=wait)
    bakery.bench.platform.compute.reconstruct(actor, bakery.scan, "nersc", {"center": 3.0}, {})

    assert staged_raw(bakery)[0].state is ReplicaState.VERIFIED and file.exists()


def test_a_deletion_that_does_not_end_is_told(quick: Any) -> None:
    bakery = quick(NERSC)
    bakery.reconstruct()
    bakery.bench.ledger.replicas.move(staged_raw(bakery)[0].id, ReplicaState.DELETING, why="the policy")

    with pytest.raises(JobError, match="is being deleted, and the deletion does not end"):
        actor = bakery.bench.actor(wait=lambda _seconds: None)
        bakery.bench.platform.compute.reconstruct(actor, bakery.scan, "nersc", {"center": 3.0}, {})


def test_a_failed_job_leaves_the_truth_about_its_staged_file(quick: Any) -> None:
    bakery = quick(NERSC)
    name = f"*{bakery.scan.key}*"
    bakery.bench.control.add_fault(where="job", name=name, action="node_fail")
    with pytest.raises(JobError):
        bakery.reconstruct()
    copy, file = staged_raw(bakery)
    whole = file.exists() and file.stat().st_size == bakery.scan.size_bytes
    assert copy.state is (ReplicaState.VERIFIED if whole else ReplicaState.EXPECTED)

    bakery.bench.raw_file(bakery.scan, NERSC_RAW).write_bytes(b"half")
    file.unlink(missing_ok=True)
    with pytest.raises(JobFailed, match="could not copy the raw file") as caught:
        bakery.reconstruct({"center": 4.0})
    assert caught.value.details["report"]["site_fault"]
    assert staged_raw(bakery)[0].state is ReplicaState.EXPECTED


def test_the_report_names_image_queue_and_script_and_time_is_learnt(quick: Any) -> None:
    bakery = quick(NERSC)
    report = bakery.reconstruct().report
    assert report["image"] == "" and report["script"].startswith("#!/bin/bash") and report["page"].endswith("none.md")
    setup = bakery.bench.platform.facility.sites["nersc"].compute

    spec_time = bakery.bench.platform.compute._walltime_s("nersc", setup, "reconstruct", bakery.scan)

    assert 120 <= spec_time <= setup.walltime_max_s
