"""Many deletions in one task: each with its own operation, its own proof and its own end; and Terminate, which finds lost tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from doomed import Zygote
from facility_in_a_box import PSCRATCH, RAW, Bench

from als_assets.errors import CollectionResting, DeleteFailed, ServiceUnreachable
from als_assets.ledger import Dataset, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.transfer import Deletion, deleting, globus

OPERATIONS = "ledger.operations:Operations"


def doom(bench: Bench, replica: Replica) -> Replica:
    return bench.ledger.replicas.move(replica.id, ReplicaState.DELETING, why="the test wants it gone")


@pytest.fixture
def three(bench: Bench) -> list[tuple[Dataset, Replica]]:
    scans = [bench.admit() for _ in range(3)]
    return [(scan, doom(bench, bench.replica(scan, "spot832"))) for scan in scans]


def delete(bench: Bench, replicas: list[Replica]) -> list[Deletion]:
    return bench.platform.transfers.delete_replicas(bench.actor(), [(r, {"proof of": r.id}) for r in replicas])


def test_files_of_one_place_go_in_one_task_each_with_its_own_proof(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    done = delete(bench, [replica for _, replica in three])

    tasks = {task["task_id"] for scan, _ in three for task in bench.tasks(scan, "DELETE")}
    assert len(tasks) == 1
    for (scan, replica), deletion in zip(three, done, strict=True):
        assert deletion.error is None and deletion.replica.id == replica.id
        assert deletion.replica.state is ReplicaState.DELETED
        assert deletion.replica.evidence["proof"] == {"proof of": replica.id}
        assert not bench.raw_file(scan, "spot832").exists()
        operation = bench.newest(scan)
        assert (operation.key, operation.request["proof"]) == (f"delete:spot832:{scan.raw_path}", {"proof of": replica.id})
    posts = [r for r in bench.control.requests("POST", "/v0.10/delete") if three[0][0].key in str(r["body"])]
    assert len(posts) == 1, "asked once, not once for each"


def test_files_and_folders_are_never_in_one_task(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    scan = three[0][0]
    other = bench.admit()
    bench.copy(other, PSCRATCH)  # a single file beside a folder
    stack = doom(bench, bench.stack(scan, {"a.tiff": b"1"}))
    file = doom(bench, bench.replica(other, PSCRATCH))

    done = delete(bench, [stack, file])

    assert [d.replica.state for d in done] == [ReplicaState.DELETED] * 2
    assert [task["document"]["recursive"] for s in (scan, other) for task in bench.tasks(s, "DELETE")] == [True, False]


def test_a_large_batch_is_cut(bench: Bench, three: list[tuple[Dataset, Replica]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.platform.transfers._movers["pruner"], "most_items", 2)

    delete(bench, [replica for _, replica in three])

    sizes = {t["task_id"]: len(t["document"]["DATA"]) for scan, _ in three for t in bench.tasks(scan, "DELETE")}
    assert sorted(sizes.values()) == [1, 2]
    assert globus._MOST_ITEMS > 2


def test_one_that_cannot_go_does_not_keep_the_others(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    scan, replica = three[1]
    file = bench.raw_file(scan, "spot832")
    file.unlink()
    file.mkdir()
    (file / "somebody's work").write_text("precious")

    done = delete(bench, [r for _, r in three])

    assert isinstance(done[1].error, DeleteFailed)
    assert done[1].replica.state is ReplicaState.DELETING
    assert (file / "somebody's work").read_text() == "precious"
    again = [r for _, r in three if bench.ledger.replicas.get(r.id).state is ReplicaState.DELETING and r.id != replica.id]
    assert all(d.error is None for d in delete(bench, again))
    for other, _ in (three[0], three[2]):
        assert not bench.raw_file(other, "spot832").exists()


def test_what_was_gone_already_is_on_record_as_gone_and_not_red_for_ever(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    scan, replica = three[0]
    bench.raw_file(scan, "spot832").unlink()

    (done,) = delete(bench, [replica])

    assert done.error is None
    operation = bench.newest(scan)
    assert "nothing is left there, although the task failed" in operation.outcome["sentence"]
    assert operation.outcome["fatal_error"]["code"] == "FILE_NOT_FOUND"


def test_a_lost_answer_still_is_one_task(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    bench.control.add_fault(where="http", method="POST", path="/v0.10/delete", after=True, status="drop")

    assert all(d.error is None for d in delete(bench, [r for _, r in three]))

    assert len({t["task_id"] for scan, _ in three for t in bench.tasks(scan, "DELETE")}) == 1


@pytest.mark.parametrize("nth", [1, 2])
def test_a_batch_cut_off_before_it_was_whole_is_begun_anew(
    bench: Bench, zygote: Zygote, three: list[tuple[Dataset, Replica]], nth: int
) -> None:
    """Some operations hold the batch's preparation and some do not: then nothing was sent yet, and nobody sends it any more."""
    replicas = [replica for _, replica in three]
    zygote.dies("delete_many", f"after {OPERATIONS}.annotate {nth}", replicas=[r.id for r in replicas])

    assert bench.platform.transfers.delete_replica(bench.actor(), replicas[0], {"alone": True}).state is ReplicaState.DELETED
    assert all(d.error is None for d in delete(bench, replicas[1:]))

    sizes = {t["task_id"]: len(t["document"]["DATA"]) for scan, _ in three for t in bench.tasks(scan, "DELETE")}
    assert sorted(sizes.values()) == [1, 2]


def test_one_of_a_batch_that_another_run_carried_on_meanwhile(
    bench: Bench, three: list[tuple[Dataset, Replica]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run sends the whole batch, because any of its operations can; the slow one finds it done."""
    replicas = [replica for _, replica in three]
    begin = deleting.Deletions._begin

    def and_meanwhile(self: deleting.Deletions, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        believes_it_dead = Actor("thief", lambda _run: True, bench.actor().wait)
        bench.platform.transfers.delete_replica(believes_it_dead, replicas[0], {"because": "it was believed dead"})

    monkeypatch.setattr(deleting.Deletions, "_begin", and_meanwhile)

    assert all(d.error is None for d in delete(bench, replicas))

    assert {bench.ledger.replicas.get(r.id).state for r in replicas} == {ReplicaState.DELETED}
    assert len({t["task_id"] for scan, _ in three for t in bench.tasks(scan, "DELETE")}) == 1


def test_an_outage_keeps_all_intents(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    bench.control.add_fault(where="http", path="/v0.10/submission_id", status=503, times=None)

    done = delete(bench, [r for _, r in three])

    assert all(isinstance(d.error, ServiceUnreachable) for d in done)
    assert {bench.newest(scan).state for scan, _ in three} == {OperationState.INTENT}
    bench.control.clear_faults()
    assert all(d.error is None for d in delete(bench, [r for _, r in three]))


def test_an_outage_after_the_task_was_sent_is_waited_for_once(bench: Bench, three: list[tuple[Dataset, Replica]]) -> None:
    waits: list[float] = []

    def wait(_seconds: float) -> None:
        waits.append(0.05)
        time.sleep(0.05)

    bench.control.add_fault(where="http", path="/v0.10/task/*", status="drop", times=None)
    actor = bench.actor(wait=wait, patience=timedelta(seconds=0.2))

    done = bench.platform.transfers.delete_replicas(actor, [(r, {"proof of": r.id}) for _, r in three])

    assert all(isinstance(d.error, ServiceUnreachable) for d in done)
    assert len(waits) <= 5, "a night's batch of fifty must not wait half an hour for each"
    assert {bench.newest(scan).state for scan, _ in three} == {OperationState.SUBMITTED}
    bench.control.clear_faults()
    assert all(d.error is None for d in delete(bench, [r for _, r in three]))


# --- Terminate -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["TRANSFER", "DELETE"])
def test_a_task_whose_acceptance_nobody_heard_of_is_found_and_cancelled(bench: Bench, kind: str) -> None:
    scan = bench.admit()
    path = {"TRANSFER": "/v0.10/transfer", "DELETE": "/v0.10/delete"}[kind]
    bench.control.add_fault(where=kind.lower(), action="stall", times=None)
    bench.control.add_fault(where="http", method="POST", path=path, after=True, status=502, times=None)
    work: Callable[[], object] = lambda: bench.copy(scan, RAW)  # noqa: E731
    if kind == "DELETE":
        replica = doom(bench, bench.replica(scan, "spot832"))
        work = lambda: bench.platform.transfers.delete_replica(bench.actor(), replica, {})  # noqa: E731
    with pytest.raises(ServiceUnreachable):
        work()
    operation = bench.newest(scan)
    assert operation.state is OperationState.INTENT and "task_id" not in operation.handle

    bench.platform.transfers.cancel(operation)

    (task,) = bench.tasks(scan, kind)
    assert task["fatal_error"]["code"] == "CANCELED"
    assert bench.raw_file(scan, "spot832").exists()


def test_resting_keeps_a_deletion_for_later(bench: Bench, three: list[tuple[Dataset, Replica]], monkeypatch: pytest.MonkeyPatch) -> None:
    def rests(*_arguments: object) -> None:
        raise CollectionResting("spot832 rests.", next_step="Wait.", retry_s=1.0)

    monkeypatch.setattr(bench.platform.transfers._breaker, "require", rests)
    done = delete(bench, [r for _, r in three])
    assert all(isinstance(d.error, CollectionResting) for d in done)
    monkeypatch.undo()
    assert all(d.error is None for d in delete(bench, [r for _, r in three]))
    assert len({t["task_id"] for scan, _ in three for t in bench.tasks(scan, "DELETE")}) == 1
