"""Deletions: by the pruner's identity, of exactly what the record names, proven afterwards; and cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import NERSC_RAW, PSCRATCH, RAW, Bench

from als_assets.errors import DeleteFailed, TransferFailed, TransferNeedsPerson
from als_assets.ledger import Dataset, Operation, OperationState, Replica, ReplicaState
from als_assets.simulator import box as box_module
from als_assets.transfer import TaskState, globus_states
from als_assets.transfer.globus import GlobusMover

PROOF = {"verified_at": {"nersc832_alsdev_raw": "2026-11-22T10:00:00+00:00"}}


def doomed(bench: Bench, replica: Replica) -> Replica:
    return bench.ledger.replicas.move(replica.id, ReplicaState.DELETING, why="the test wants it gone")


def delete(bench: Bench, replica: Replica) -> Replica:
    return bench.platform.transfers.delete_replica(bench.actor(), bench.ledger.replicas.get(replica.id), PROOF)


@pytest.fixture
def raw(bench: Bench) -> tuple[Dataset, Replica]:
    """A scan at the detector and at data832; the copy at the detector is to go."""
    scan = bench.admit()
    bench.copy(scan, RAW)
    return scan, doomed(bench, bench.replica(scan, "spot832"))


def test_a_file_is_deleted_by_the_pruner_and_the_proof_is_on_record(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, replica = raw
    neighbour = bench.admit()

    gone = delete(bench, replica)

    assert gone.state is ReplicaState.DELETED
    assert not bench.raw_file(scan, "spot832").exists()
    assert bench.raw_file(neighbour, "spot832").exists()
    (task,) = bench.tasks(scan, "DELETE")
    (request,) = [r for r in bench.control.requests("POST", "/v0.10/delete") if scan.key in str(r["body"])]
    assert request["client"] == box_module._PRUNER
    assert task["document"]["recursive"] is False and task["document"]["ignore_missing"] is False
    assert gone.evidence["proof"] == PROOF
    assert task["task_id"] in gone.evidence["link"]
    (operation,) = [o for o in bench.ledger.operations.of(scan.key) if o.kind == "delete"]
    assert operation.request == {"delete": {"location": "spot832", "path": scan.raw_path}, "proof": PROOF}


def test_a_folder_is_deleted_recursively_and_only_that_folder(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, {"a.tiff": b"1", "deep/b.tiff": b"22"})
    folder = bench.box.root / "nersc/pscratch/sd/a/alsdev/8.3.2/scratch" / stack.path
    (folder.parent / "neighbour.txt").write_text("stays")

    delete(bench, doomed(bench, stack))

    assert not folder.exists()
    assert (folder.parent / "neighbour.txt").exists()
    assert bench.tasks(scan, "DELETE")[0]["document"]["recursive"] is True


def test_a_folder_under_the_name_of_a_file_is_never_deleted(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, replica = raw
    file = bench.raw_file(scan, "spot832")
    file.unlink()
    file.mkdir()
    (file / "somebody's work").write_text("precious")

    with pytest.raises(DeleteFailed, match="IS_A_DIRECTORY"):
        delete(bench, replica)

    assert (file / "somebody's work").read_text() == "precious"
    assert bench.ledger.replicas.get(replica.id).state is ReplicaState.DELETING


def test_a_deletion_that_left_something_is_red(bench: Bench, raw: tuple[Dataset, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    scan, replica = raw
    look = GlobusMover.look

    def put_back(self: GlobusMover, handle: Any) -> Any:
        view = look(self, handle)
        if view.state is TaskState.SUCCEEDED:
            bench.raw_file(scan, "spot832").write_text("still here")
        return view

    monkeypatch.setattr(GlobusMover, "look", put_back)

    with pytest.raises(DeleteFailed, match=r"reported as done, but 1 file\(s\) are still there"):
        delete(bench, replica)

    assert bench.ledger.replicas.get(replica.id).state is ReplicaState.DELETING
    monkeypatch.undo()
    assert delete(bench, replica).state is ReplicaState.DELETED


def test_a_failed_deletion_says_why_and_can_be_repeated(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, replica = raw
    bench.control.add_fault(where="delete", action="fail", code="ENDPOINT_ERROR", message="the tape robot is asleep")

    with pytest.raises(DeleteFailed, match="the tape robot is asleep"):
        delete(bench, replica)

    assert bench.raw_file(scan, "spot832").exists()
    assert delete(bench, replica).state is ReplicaState.DELETED


def test_a_deletion_that_is_denied_is_given_up(bench: Bench, raw: tuple[Dataset, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globus_states, "SETTLE", timedelta(seconds=0.3))
    scan, replica = raw
    bench.control.add_fault(where="delete", action="error", code="PERMISSION_DENIED", times=None)

    with pytest.raises(DeleteFailed, match="access is denied"):
        delete(bench, replica)

    assert bench.tasks(scan, "DELETE")[0]["fatal_error"]["code"] == "CANCELED"


def test_a_suspended_deletion_is_kept(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, replica = raw
    bench.control.add_fault(where="delete", action="inactive")
    with pytest.raises(TransferNeedsPerson, match=f"The deletion of {scan.raw_path} at spot832 waits for a person"):
        delete(bench, replica)

    (task,) = bench.tasks(scan, "DELETE")
    bench.control.resume(task["task_id"])
    bench.control.wait_for(lambda: bench.tasks(scan, "DELETE")[0]["status"] != "INACTIVE", what="that the task goes on")

    assert delete(bench, replica).state is ReplicaState.DELETED
    assert len(bench.tasks(scan, "DELETE")) == 1


def test_a_lost_answer_deletes_once(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, replica = raw
    bench.control.add_fault(where="http", method="POST", path="/v0.10/delete", after=True, status="drop")

    assert delete(bench, replica).state is ReplicaState.DELETED

    assert len(bench.tasks(scan, "DELETE")) == 1


def test_a_copy_that_was_deleted_can_be_wanted_again(bench: Bench, raw: tuple[Dataset, Replica]) -> None:
    scan, _ = raw
    bench.copy(scan, NERSC_RAW)
    delete(bench, doomed(bench, bench.replica(scan, NERSC_RAW)))

    assert bench.copy(scan, NERSC_RAW).made

    delete(bench, doomed(bench, bench.replica(scan, NERSC_RAW)))
    assert len(bench.tasks(scan, "DELETE")) == 2, "the first deletion is not taken for the second"


# --- cancelling ------------------------------------------------------------------------------------------------------------


def _open(bench: Bench, scan: Dataset) -> Operation | None:
    return bench.ledger.operations.open_with(f"transfer:{RAW}:{scan.raw_path}")


@pytest.fixture
def in_flight(bench: Bench) -> Callable[[], tuple[Dataset, list[BaseException]]]:
    """A copy that does not come to its end, in a thread of its own."""

    def start() -> tuple[Dataset, list[BaseException]]:
        scan, errors = bench.admit(), []
        bench.control.add_fault(where="transfer", action="stall", times=None)

        def work() -> None:
            try:
                bench.copy(scan, RAW)
            except TransferFailed as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        threads.append(thread)
        bench.control.wait_for(lambda: (o := _open(bench, scan)) and "task_id" in o.handle, what="the task")
        return scan, errors

    threads: list[threading.Thread] = []
    yield start
    bench.control.clear_faults()
    for thread in threads:
        thread.join(timeout=30)


def test_cancelling_ends_the_task_at_globus(bench: Bench, in_flight: Callable[[], tuple[Dataset, list[BaseException]]]) -> None:
    scan, errors = in_flight()

    bench.platform.transfers.cancel(_open(bench, scan))

    bench.control.wait_for(lambda: errors, what="the end of the step")
    assert "canceled by user" in str(errors[0])
    assert bench.tasks(scan)[0]["status"] == "FAILED"
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED


def test_an_intent_without_a_task_has_nothing_to_cancel(bench: Bench) -> None:
    scan = bench.admit()
    operation = bench.ledger.operations.begin(f"transfer:{RAW}:{scan.raw_path}", "transfer", scan.key, {})
    before = len(bench.control.requests(path="*/cancel"))

    bench.platform.transfers.cancel(operation)

    assert len(bench.control.requests(path="*/cancel")) == before
    assert bench.ledger.operations.get(operation.id).state is OperationState.INTENT


def test_deletions_are_cancelled_by_the_identity_that_made_them(bench: Bench) -> None:
    scan = bench.admit()
    stack = doomed(bench, bench.stack(scan, {"a.tiff": b"1"}, PSCRATCH))
    bench.control.add_fault(where="delete", action="inactive")
    with pytest.raises(TransferNeedsPerson):
        delete(bench, stack)

    bench.platform.transfers.cancel(bench.ledger.operations.open_with(f"delete:{PSCRATCH}:{stack.path}"))

    assert bench.tasks(scan, "DELETE")[0]["fatal_error"]["code"] == "CANCELED"
