"""How far a copy is, what it cost, and what is asked of Globus at its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from facility_in_a_box import RAW, Bench

from als_assets.errors import TransferFailed, TransferStateUnknown
from als_assets.ledger import OperationState, ReplicaState, acting
from als_assets.transfer.mover import TaskState, TaskView
from als_assets.transfer.progress import STALLED, Progress

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def view(size_bytes: int, files: int, sentence: str = "") -> TaskView:
    return TaskView(TaskState.ACTIVE, sentence, {"bytes_transferred": size_bytes, "files_transferred": files})


def test_bytes_files_rate_and_time_left_in_one_sentence() -> None:
    progress = Progress(files=1000, size_bytes=40_000_000_000)
    progress.running(view(0, 0), BEGAN)

    now = progress.running(view(10_000_000_000, 250), BEGAN + timedelta(seconds=20))

    assert now.sentence == "Globus has moved 10.0 GB of 40.0 GB (250 of 1000 files), 500.0 MB/s, about 1 min 0 s left."
    assert now.facts == {
        "bytes": 10_000_000_000,
        "bytes in all": 40_000_000_000,
        "files": 250,
        "files in all": 1000,
        "bytes per s": 500_000_000,
        "seconds left": 60,
    }


def test_an_unheard_of_code_and_a_standstill_are_said_and_are_phases_of_their_own() -> None:
    progress = Progress(files=1, size_bytes=100)
    fine = progress.running(view(10, 0), BEGAN)
    odd = progress.running(view(10, 0, "Globus reports ODD and goes on trying"), BEGAN + timedelta(seconds=5))
    still = progress.running(view(10, 0), BEGAN + STALLED)

    assert odd.sentence.endswith("; Globus reports ODD and goes on trying.")
    assert still.sentence.endswith("; nothing has moved for 10 min 0 s.")
    assert len({fine.phase, odd.phase, still.phase}) == 3


def test_waiting_for_a_slot_has_its_own_words() -> None:
    queued = Progress(1, 100).running(TaskView(TaskState.QUEUED, "Waiting for a slot.", {}), BEGAN)

    assert (queued.sentence, queued.facts) == ("Waiting for a slot.", {})


def test_numbers_alone_are_told_and_observed_once_a_minute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of this test is as long as five of its looks."""
    scan, seen, moments = bench.admit(content=b"x" * 60_000), [], [bench.ledger.clock()]
    monkeypatch.setattr(bench.ledger, "clock", lambda: moments[-1])
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=80_000)

    def wait(_seconds: float) -> None:
        acting.time.sleep(0.03)
        moments.append(moments[-1] + timedelta(seconds=12))

    bench.copy(scan, RAW, bench.actor(wait=wait, observe=seen.append))

    moving = [words for words in bench.told if words.startswith("Globus has moved")]
    looks = len(moments)
    assert looks > 10, "or this test shows nothing"
    assert 1 <= len(moving) <= looks / 5 + 1
    assert 1 <= len(seen) <= looks / 5 + 1
    assert {"bytes", "bytes in all", "files", "files in all"} <= seen[-1].keys()


def test_a_short_copy_is_not_observed(bench: Bench) -> None:
    seen: list[Any] = []

    bench.copy(bench.admit(), RAW, bench.actor(observe=seen.append))

    assert seen == []


def test_the_receipt_has_bytes_seconds_rate_queue_and_faults(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="flip")

    receipt = bench.copy(scan, RAW)

    assert receipt.metrics.keys() == {"bytes", "seconds", "bytes_per_s", "queued_s", "faults"}
    assert receipt.metrics["bytes"] == 2 * scan.size_bytes, "sent again after the fault"
    assert receipt.metrics["faults"] == 1
    assert receipt.metrics["queued_s"] >= 0 and receipt.metrics["seconds"] >= 0
    assert "240.0 kB in" in receipt.evidence["moved"]
    assert receipt.evidence["waited_in_queue"]


def test_a_history_that_comes_late_is_asked_for_again(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path="*/skipped_errors", status=400, code="ClientError.NotYet", times=2)

    bench.assert_arrives(scan, tasks=1)

    assert "Globus finished the task and does not tell yet what it did." in bench.told


def test_a_success_whose_history_is_never_told_is_red_and_kept(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path="*/skipped_errors", status=400, code="ClientError.NotYet", times=None)

    with pytest.raises(TransferStateUnknown, match="does not tell what it did"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.SUBMITTED
    bench.control.clear_faults()
    bench.assert_arrives(scan, tasks=1)


def test_a_file_in_the_list_of_skipped_errors_is_no_success(bench: Bench) -> None:
    scan = bench.admit()
    left_out = {"DATA": [{"source_path": "/raw/x.h5", "error_code": "PERMISSION_DENIED"}], "next_marker": None}
    bench.control.add_fault(where="http", path="*/skipped_errors", status=200, body=left_out)

    with pytest.raises(Exception, match=r"/raw/x\.h5 \(PERMISSION_DENIED\) was left out"):
        bench.copy(scan, RAW)

    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    bench.assert_arrives(scan, tasks=2)


def test_a_deadline_that_passed_says_so(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="fail", code="EXPIRED", message="the task's deadline has passed")

    with pytest.raises(TransferFailed, match="its deadline passed before it was done") as caught:
        bench.copy(scan, RAW)

    assert "last events" in caught.value.next_step
