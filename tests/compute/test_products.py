"""Products of a scan, made as real jobs at every kind of site: complete, proven, and made once.

The tests at home run the real programs, whose command is the same everywhere; the others a stand-in of the same words. The real
programs at the other simulated sites run in ``tests/e2e`` and in ``als demo --exit --site``.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bakery import ALCF, HOME, NERSC, OLCF, ROWS
from facility_in_a_box import FOLDER, NERSC_RAW, dies

from als_assets.compute.service import ComputeService, variant_of
from als_assets.errors import BadOutput, ExportRefused, JobError, JobFailed
from als_assets.ledger import OperationState, ReplicaState
from als_assets.ledger.products import TIFF, ZARR
from als_assets.simulator.detector import synthetic_scan


def test_a_stack_and_its_volume(staged: Any) -> None:
    site = HOME
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


@pytest.mark.parametrize("site", [NERSC, ALCF, OLCF], ids=lambda site: site[0])
def test_a_stack_at_another_site(quick: Any, site: tuple[str, str, str]) -> None:
    bakery = quick(site)

    stack = bakery.reconstruct(standard={"center": "pc"})

    path = f"{FOLDER}/rec{bakery.scan.key}"
    assert (stack.made, stack.site, stack.replica.location, stack.replica.path) == (True, site[0], site[2], path)
    assert stack.replica.state is ReplicaState.VERIFIED and stack.replica.manifest.files == ROWS + 1
    assert sorted(p.name for p in bakery.folder(path).glob("*.tiff")) == [f"{bakery.scan.key}_{n:05d}.tiff" for n in range(ROWS)]
    assert json.loads(stack.replica.evidence["parameters"]) == {"center": "pc"}
    assert (stack.report["reason"], stack.report["step"], stack.report["exit_code"]) == ("none", "reconstruct", "0:0")
    again = bakery.reconstruct(standard={"center": "pc"})
    assert (again.made, again.replica.id) == (False, stack.replica.id), "it was looked at again, at the site"


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


@pytest.mark.parametrize("left", ["nothing", "some of it", "all"])
def test_what_became_of_a_product_after_its_process_died_is_looked_at(quick: Any, monkeypatch: pytest.MonkeyPatch, left: str) -> None:
    """The job's end is on record, the product is not; days later the next attempt comes, and scratch may have been purged."""
    bakery = quick(HOME)
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(ComputeService, "_verified", dies)
        bakery.reconstruct()
    (row,) = bakery.bench.ledger.replicas.of(bakery.scan.key, product=TIFF)
    folder = bakery.folder(row.path)
    if left == "nothing":
        shutil.rmtree(folder)
    elif left == "some of it":
        next(folder.glob("*.tiff")).unlink()

    if left != "all":
        with pytest.raises(BadOutput, match="is not whole any more"):
            bakery.reconstruct()
        assert bakery.bench.ledger.replicas.get(row.id).state is ReplicaState.EXPECTED
    made = bakery.reconstruct()

    assert made.replica.state is ReplicaState.VERIFIED and made.replica.manifest.files == ROWS + 1
    assert bakery.jobs() == (1 if left == "all" else 2)


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
