"""Copies that are made: from the detector to data832 and to NERSC, over real HTTP, with real bytes and a receipt that proves them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from facility_in_a_box import FOLDER, NERSC_RAW, RAW, Bench, dies

from als_assets.errors import CopyMismatch, NoVerifiedSource, PathOutsideLocation, TransferFailed
from als_assets.ledger import OperationState, ReplicaState
from als_assets.ledger.replicas import Replicas


def test_a_scan_reaches_data832_and_then_nersc_unchanged(bench: Bench) -> None:
    scan = bench.admit()
    content = bench.raw_file(scan, "spot832").read_bytes()

    here = bench.copy(scan, RAW)
    there = bench.copy(scan, NERSC_RAW)

    assert bench.raw_file(scan, RAW).read_bytes() == content
    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == content
    assert here.made and there.made
    assert bench.state(scan, RAW) is bench.state(scan, NERSC_RAW) is ReplicaState.VERIFIED
    assert [bench.replica(scan, place).size_bytes for place in (RAW, NERSC_RAW)] == [len(content)] * 2


def test_the_receipt_names_its_task_its_source_and_how_the_bytes_were_proven(bench: Bench) -> None:
    scan = bench.admit()

    receipt = bench.copy(scan, RAW)

    (task,) = bench.tasks(scan)
    assert receipt.evidence["task"] == task["task_id"]
    assert receipt.evidence["copied_from"] == "spot832"
    assert receipt.evidence["files_compared"] == 1
    assert "checksums of both sides" in receipt.evidence["checksum"]
    assert receipt.link.endswith(f"/activity/{task['task_id']}")
    assert receipt.seconds is not None
    (operation,) = bench.ledger.operations.of(scan.key)
    assert operation.state is OperationState.SUCCEEDED
    assert operation.outcome["task"]["bytes_transferred"] == scan.size_bytes
    assert operation.request["from"]["location"] == "spot832"


def test_every_task_compares_checksums_and_sends_no_mail(bench: Bench) -> None:
    scan = bench.admit()

    bench.copy(scan, RAW)

    document = bench.tasks(scan)[0]["document"]
    assert document["verify_checksum"] is True
    assert document["sync_level"] == 3
    assert document["fail_on_quota_errors"] is True
    assert not document.get("skip_source_errors") and not document.get("delete_destination_extra")
    assert not any(document[f"notify_on_{end}"] for end in ("succeeded", "failed", "inactive"))


def test_the_sha256_taken_at_data832_must_be_met_at_nersc(bench: Bench) -> None:
    scan = bench.admit()
    known = hashlib.sha256(bench.raw_file(scan, "spot832").read_bytes()).hexdigest()

    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)

    first, second = (task["document"]["DATA"][0] for task in bench.tasks(scan))
    assert "external_checksum" not in first
    assert (second["external_checksum"], second["checksum_algorithm"]) == (known, "SHA256")
    assert second["source_path"] == f"/data/raw/{scan.raw_path}", "data832 is to be read, not the detector's disk"
    assert bench.replica(scan, RAW).sha256 == bench.replica(scan, NERSC_RAW).sha256 == known
    assert bench.replica(scan, NERSC_RAW).manifest.entries[0].sha256 == known


def test_a_source_that_changed_since_its_sha256_was_taken_is_not_passed_on(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    file = bench.raw_file(scan, RAW)
    file.write_bytes(bytes(scan.size_bytes))  # same size, other bytes: only the checksum knows

    with pytest.raises(Exception, match="external checksum"):
        bench.copy(scan, NERSC_RAW)

    assert bench.state(scan, NERSC_RAW) is ReplicaState.EXPECTED


def test_a_source_that_checksums_refuse_is_read_and_not_taken_again(bench: Bench) -> None:
    scan = bench.admit()
    content = bench.raw_file(scan, "spot832").read_bytes()
    bench.copy(scan, RAW)
    bench.raw_file(scan, RAW).write_bytes(bytes(scan.size_bytes))
    with pytest.raises(TransferFailed, match="external checksum"):
        bench.copy(scan, NERSC_RAW)
    assert bench.state(scan, RAW) is ReplicaState.SUSPECT

    bench.copy(scan, NERSC_RAW)

    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == content
    assert bench.replica(scan, NERSC_RAW).evidence["copied_from"] == "spot832"


@pytest.mark.parametrize("place", [RAW, NERSC_RAW])
def test_a_copy_is_held_against_the_sha256_that_any_other_copy_ever_had(bench: Bench, place: str) -> None:
    """The detector's file has no sum of its own and rots; the sum of the copy that was lost is still on record."""
    scan = bench.admit()
    bench.copy(scan, RAW)
    known = bench.replica(scan, RAW).sha256
    bench.raw_file(scan, RAW).unlink()
    bench.raw_file(scan, "spot832").write_bytes(bytes(scan.size_bytes))

    with pytest.raises(TransferFailed, match="external checksum"):
        bench.copy(scan, place)

    assert bench.state(scan, place) is ReplicaState.EXPECTED
    assert bench.state(scan, "spot832") is ReplicaState.SUSPECT, "the last copy is the bad one, and staff can see that"
    assert bench.replica(scan, RAW).sha256 == known


@pytest.mark.parametrize("place", [RAW, NERSC_RAW])
@pytest.mark.parametrize("left", ["nothing", "half of it", "all"])
def test_what_became_of_a_copy_after_its_process_died_is_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str, left: str
) -> None:
    """The transfer's end is on record, the copy is not yet; the next attempt comes days later."""
    scan = bench.admit()
    bench.copy(scan, RAW) if place == NERSC_RAW else None
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(Replicas, "verified", dies)
        bench.copy(scan, place)
    file, ended = bench.raw_file(scan, place), bench.newest(scan).finished_at
    if left == "nothing":
        file.unlink()
    elif left == "half of it":
        file.write_bytes(file.read_bytes()[: scan.size_bytes // 2])

    if left != "all":
        with pytest.raises(TransferFailed, match="now it is not whole"):
            bench.copy(scan, place)
        assert bench.state(scan, place) is ReplicaState.EXPECTED
    bench.copy(scan, place)

    row = bench.replica(scan, place)
    assert row.state is ReplicaState.VERIFIED and file.read_bytes() == bench.raw_file(scan, "spot832").read_bytes()
    assert (row.verified_at == ended) == (left == "all"), "the checksums are no younger than the process that compared them"


def test_a_copy_that_is_there_is_looked_at_again_and_not_made_again(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)

    again = bench.copy(scan, NERSC_RAW)

    assert not again.made
    assert again.replica.state is ReplicaState.VERIFIED
    assert len(bench.tasks(scan)) == 2


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"short")], ids=["gone", "shorter"])
def test_a_copy_that_went_bad_is_made_again(bench: Bench, damage: Callable[[Path], object]) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)
    damage(bench.raw_file(scan, NERSC_RAW))

    again = bench.copy(scan, NERSC_RAW)

    assert again.made
    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == bench.raw_file(scan, RAW).read_bytes()
    moves = [(row.before, row.after) for row in bench.ledger.audit.of(scan.key) if row.subject == again.replica.name]
    assert ("verified", "suspect") in moves and ("suspect", "copying") in moves


def test_looking_again_turns_a_bad_copy_into_a_suspect(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    assert bench.platform.transfers.look_again(bench.replica(scan, RAW))

    bench.raw_file(scan, RAW).unlink()

    assert not bench.platform.transfers.look_again(bench.replica(scan, RAW))
    assert bench.state(scan, RAW) is ReplicaState.SUSPECT


def test_a_bad_source_is_passed_over(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.raw_file(scan, RAW).write_bytes(b"an accident")

    receipt = bench.copy(scan, NERSC_RAW)

    assert receipt.evidence["copied_from"] == "spot832"
    assert bench.state(scan, RAW) is ReplicaState.SUSPECT
    assert bench.raw_file(scan, NERSC_RAW).read_bytes() == bench.raw_file(scan, "spot832").read_bytes()


def test_without_any_source_nothing_is_sent_and_the_sentence_says_so(bench: Bench) -> None:
    scan = bench.admit()
    bench.raw_file(scan, "spot832").unlink()

    with pytest.raises(NoVerifiedSource, match=f"no verified copy of raw of scan {scan.key}"):
        bench.copy(scan, RAW)

    assert bench.tasks(scan) == []
    assert bench.state(scan, "spot832") is ReplicaState.SUSPECT


def test_a_copy_cut_short_behind_globus_back_is_noticed(bench: Bench, meddle: Callable[[Callable[[], object]], None]) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    target = bench.raw_file(scan, NERSC_RAW)
    meddle(lambda: target.write_bytes(b"cut"))

    with pytest.raises(CopyMismatch, match=f"3 bytes instead of {scan.size_bytes}"):
        bench.copy(scan, NERSC_RAW)

    assert bench.state(scan, NERSC_RAW) is ReplicaState.EXPECTED
    assert bench.ledger.operations.of(scan.key)[0].state is OperationState.FAILED


def test_a_copy_that_vanished_behind_globus_back_is_noticed(bench: Bench, meddle: Callable[[Callable[[], object]], None]) -> None:
    scan = bench.admit()
    meddle(bench.raw_file(scan, RAW).unlink)

    with pytest.raises(CopyMismatch, match="nothing is there"):
        bench.copy(scan, RAW)


def test_other_bytes_of_the_same_size_are_noticed_by_our_own_sha256(
    bench: Bench, meddle: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bringing a raw file back from NERSC: its sum is known, and data832 can be read here."""
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)
    bench.raw_file(scan, "spot832").unlink()
    target = bench.raw_file(scan, RAW)
    target.unlink()
    meddle(lambda: target.write_bytes(bytes(scan.size_bytes)))

    with pytest.raises(CopyMismatch, match="another SHA-256") as caught:
        bench.copy(scan, RAW)

    assert caught.value.details["found"] == hashlib.sha256(bytes(scan.size_bytes)).hexdigest()
    monkeypatch.undo()
    receipt = bench.copy(scan, RAW)
    assert receipt.evidence["copied_from"] == NERSC_RAW
    assert "against the known SHA-256" in receipt.evidence["checksum"]


@pytest.mark.parametrize(
    "name", ["with blank and 'quotes'.h5", 'semi;$(touch owned)"`id`.h5', "Zahn größe,|&.h5", "-rf.h5", "x" * 240 + ".h5", "..h5"]
)
def test_hostile_names_arrive_under_exactly_their_name(bench: Bench, name: str) -> None:
    scan = bench.admit(name)

    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)

    assert (bench.box.nersc_raw / FOLDER / name).read_bytes() == (bench.box.watched / FOLDER / name).read_bytes()


def test_a_path_that_leaves_the_location_is_never_asked_for(bench: Bench) -> None:
    scan = bench.admit()
    before = len(bench.control.requests(path="/v0.10/transfer"))

    with pytest.raises(PathOutsideLocation, match="would leave the location"):
        bench.platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, f"../../{scan.raw_path}")

    assert len(bench.control.requests(path="/v0.10/transfer")) == before


def test_staff_are_told_how_far_a_copy_is(bench: Bench) -> None:
    scan = bench.admit(content=b"x" * 60_000)
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=200_000)

    bench.copy(scan, RAW)

    assert any(words.startswith("Globus has moved") for words in bench.told)
    assert bench.ledger.operations.of(scan.key)[0].handle["progress"] in bench.told


@pytest.mark.parametrize("location", [RAW, NERSC_RAW])
def test_the_manifest_keeps_when_the_file_was_last_modified(bench: Bench, location: str) -> None:
    """As the disk tells it at data832, as Globus tells it at NERSC; kept on the way, because ages are counted from it."""
    scan = bench.admit()
    os.utime(bench.raw_file(scan, "spot832"), (1_700_000_000, 1_700_000_000))
    bench.copy(scan, location)
    manifest = bench.replica(scan, location).manifest
    assert manifest is not None and [entry.mtime_s for entry in manifest.entries] == [1_700_000_000]
