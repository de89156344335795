"""Proving a copy afresh: by its SHA-256 where it can be read here, else by a checksum sync that moves nothing and can harm nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facility_in_a_box import FOLDER, NERSC_RAW, PSCRATCH, RAW, SCRATCH, Bench, dies

from als_assets.errors import CopyMismatch, TransferFailed
from als_assets.ledger import Dataset, OperationState, Replica, ReplicaState
from als_assets.transfer import FreshProof
from als_assets.transfer.proving import Proofs

SLICES = {f"slice_{n:05d}.tiff": bytes([n]) * (300 + n) for n in range(4)}


def prove(bench: Bench, replica: Replica, days: float = 0) -> FreshProof:
    return bench.platform.transfers.prove_again(bench.actor(), replica, days)


@pytest.fixture
def scan(bench: Bench) -> Dataset:
    """A scan with copies at data832 (mounted, its sum known) and at NERSC."""
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)
    return scan


def rot(file: Path) -> None:
    """Other bytes of the same size."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_young_proof_needs_only_a_look_at_the_files(bench: Bench, scan: Dataset) -> None:
    before = bench.replica(scan, NERSC_RAW)

    proof = prove(bench, before, days=7)

    assert not proof.fresh
    assert "checksums compared on" in proof.how
    assert proof.replica.verified_at == before.verified_at
    assert len(bench.tasks(scan)) == 2


def test_a_file_that_can_be_read_here_is_hashed(bench: Bench, scan: Dataset) -> None:
    before = bench.replica(scan, RAW)

    proof = prove(bench, before)

    assert proof.fresh
    assert proof.evidence["sha256"] == before.sha256
    assert proof.replica.verified_at > before.verified_at
    assert proof.replica.evidence["copied_from"] == "spot832", "what was known before is kept"
    assert len(bench.tasks(scan)) == 2, "nothing was asked of Globus"


def test_rot_in_a_file_that_can_be_read_here_is_found(bench: Bench, scan: Dataset) -> None:
    rot(bench.raw_file(scan, RAW))

    with pytest.raises(CopyMismatch, match="another SHA-256 than when they were proven"):
        prove(bench, bench.replica(scan, RAW))

    assert bench.state(scan, RAW) is ReplicaState.SUSPECT
    with pytest.raises(CopyMismatch, match="it is suspect"):
        prove(bench, bench.replica(scan, RAW))


def test_a_copy_far_away_is_compared_by_globus_and_nothing_moves(bench: Bench, scan: Dataset) -> None:
    before = bench.replica(scan, NERSC_RAW)

    proof = prove(bench, before)

    assert proof.fresh
    assert (proof.evidence["compared_with"], proof.evidence["bytes_moved"]) == (RAW, 0)
    task = bench.tasks(scan)[-1]
    assert (task["task_id"], task["bytes_transferred"], task["files_skipped"]) == (proof.evidence["task"], 0, 1)
    assert (task["document"]["sync_level"], task["document"]["verify_checksum"]) == (3, True)
    operation = bench.newest(scan)
    assert (operation.key, operation.state) == (f"prove:{NERSC_RAW}:{scan.raw_path}", OperationState.SUCCEEDED)
    assert proof.replica.verified_at > before.verified_at


def test_rot_far_away_is_found_and_does_not_count_although_the_sync_mends_it(bench: Bench, scan: Dataset) -> None:
    rot(bench.raw_file(scan, NERSC_RAW))

    with pytest.raises(CopyMismatch, match=r"found 1 file\(s\) with other bytes"):
        prove(bench, bench.replica(scan, NERSC_RAW))

    assert bench.state(scan, NERSC_RAW) is ReplicaState.SUSPECT
    assert bench.newest(scan).state is OperationState.FAILED
    assert bench.copy(scan, NERSC_RAW).made
    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == bench.raw_file(scan, "spot832").read_bytes()


def test_a_bad_source_never_overwrites_the_good_copy(bench: Bench, scan: Dataset) -> None:
    """The one way to lose data by looking at it: a checksum sync from a copy that has rotted."""
    good = bench.raw_file(scan, NERSC_RAW).read_bytes()
    rot(bench.raw_file(scan, RAW))
    bench.raw_file(scan, "spot832").unlink()

    proof = prove(bench, bench.replica(scan, NERSC_RAW))

    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == good
    assert bench.state(scan, RAW) is ReplicaState.SUSPECT
    assert proof.fresh and "after they were fetched" in proof.how, "by its own SHA-256, not by the bad one"
    assert [task["source_endpoint"] for task in bench.tasks(scan)][:1] != ["data832_raw"]


def test_a_copy_that_is_gone_or_cut_is_suspect_without_any_checksum(bench: Bench, scan: Dataset) -> None:
    bench.raw_file(scan, NERSC_RAW).write_bytes(b"")

    with pytest.raises(CopyMismatch, match="its files or sizes are not those on record"):
        prove(bench, bench.replica(scan, NERSC_RAW), days=30)

    assert bench.state(scan, NERSC_RAW) is ReplicaState.SUSPECT


def test_what_cannot_be_learnt_leaves_the_copy_as_it_is(bench: Bench, scan: Dataset) -> None:
    bench.control.add_fault(where="transfer", action="fail", code="ENDPOINT_ERROR")

    with pytest.raises(TransferFailed, match="The comparison of"):
        prove(bench, bench.replica(scan, NERSC_RAW))

    assert bench.state(scan, NERSC_RAW) is ReplicaState.VERIFIED
    assert prove(bench, bench.replica(scan, NERSC_RAW)).fresh


def test_a_stack_brought_to_data832_gets_sums_by_which_both_places_can_be_proven(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    here = bench.platform.transfers.ensure_replica(bench.actor(), scan.key, "recon_tiff", SCRATCH, stack.path).replica
    assert all(entry.sha256 for entry in here.manifest.entries)

    assert "SHA-256 of every file" in prove(bench, here).how
    there = prove(bench, stack)

    assert there.evidence["compared_with"] == SCRATCH
    assert there.replica.manifest.entries[0].sha256 == here.manifest.entries[0].sha256, "the sums are known there too now"
    rot(bench.box.root / "nersc/pscratch/sd/a/alsdev/8.3.2/scratch" / stack.path / "slice_00002.tiff")
    with pytest.raises(CopyMismatch, match=r"found 1 file\(s\) with other bytes"):
        prove(bench, bench.replica(scan, PSCRATCH, "recon_tiff"))


def test_the_first_copy_is_held_against_the_sum_that_was_taken_of_another(bench: Bench, scan: Dataset) -> None:
    """The file at the detector was never hashed itself; it lies on a disk that this machine sees."""
    first = bench.replica(scan, "spot832")
    assert first.sha256 is None

    proof = prove(bench, first)

    assert proof.how == "SHA-256 of every file read afresh"
    assert proof.evidence["sha256"] == proof.replica.sha256 == bench.replica(scan, RAW).sha256


def test_the_first_copy_is_found_out_although_no_copy_with_a_sum_is_left(bench: Bench, scan: Dataset) -> None:
    bench.raw_file(scan, RAW).unlink()
    rot(bench.raw_file(scan, "spot832"))

    with pytest.raises(CopyMismatch, match="another SHA-256 than"):
        prove(bench, bench.replica(scan, "spot832"))


def test_files_without_any_sum_are_compared_with_others_that_are_read_here_too(bench: Bench) -> None:
    """A result that was made on a disk of this machine, and a copy of it: neither was hashed."""
    scan = bench.admit()
    first, second = (bench.stack(scan, SLICES, place) for place in (RAW, SCRATCH))

    proof = prove(bench, first)

    assert proof.evidence["compared_with"] == SCRATCH
    assert all(entry.sha256 for entry in proof.replica.manifest.entries)
    assert prove(bench, proof.replica).how == "SHA-256 of every file read afresh"
    rot(Path(bench.platform.transfers.place(SCRATCH, second.path).site_path) / "slice_00001.tiff")
    with pytest.raises(CopyMismatch, match=f"differ from those at {RAW}"):
        prove(bench, second)


@pytest.mark.parametrize("days", [0, 2])
def test_a_comparison_whose_process_died_is_as_old_as_it_is(
    bench: Bench, scan: Dataset, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The comparison is on record as done, the copy not as proven again."""
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(Proofs, "_renewed", dies)
        prove(bench, bench.replica(scan, NERSC_RAW))
    ended = bench.newest(scan).finished_at
    monkeypatch.setattr(bench.ledger, "clock", lambda: datetime.now(UTC) + timedelta(days=days))

    proof = prove(bench, bench.replica(scan, NERSC_RAW), days=1 if days else 0)

    assert proof.fresh and len(bench.tasks(scan)) == (4 if days else 3)
    assert (proof.replica.verified_at == ended) == (days == 0), "a moment ago is good enough, two days ago is not"


def test_a_comparison_cut_off_is_carried_on_and_not_begun_anew(bench: Bench, scan: Dataset) -> None:
    replica = bench.replica(scan, NERSC_RAW)
    bench.control.add_fault(where="http", path="/v0.10/task/*", status=400, code="ClientError.BadRequest", times=1)
    with pytest.raises(TransferFailed):
        prove(bench, replica)

    assert prove(bench, replica).fresh

    assert len([task for task in bench.tasks(scan) if task["files_skipped"]]) == 1
    assert timedelta(0) <= bench.ledger.clock() - bench.replica(scan, NERSC_RAW).verified_at
    assert (bench.box.nersc_raw / FOLDER).is_dir()
