"""The copy of the raw file that a job makes next to its work: on record, proven, used again, pruned, and staged again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bakery import NERSC, Bakery
from facility_in_a_box import NERSC_RAW

from als_assets.errors import JobError, JobFailed
from als_assets.ledger import ReplicaState

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
    bakery.bench.control.add_fault(where="job", name=name, action="exit", exit_code=3, times=1)
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
