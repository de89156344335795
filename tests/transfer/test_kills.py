"""Processes killed with -9 at every line between intent and outcome: one task at Globus, and the next process carries on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import RAW, Bench

from als_assets.errors import AlsError
from als_assets.ledger import OperationState, ReplicaState

OPERATIONS, REPLICAS, MOVER = "ledger.operations:Operations", "ledger.replicas:Replicas", "transfer.globus:GlobusMover"

# What lies outside the window between intent and outcome; every statement inside it is enumerated in test_every_statement.py.
TRANSFER_POINTS = [f"before {OPERATIONS}.begin", f"after {OPERATIONS}.finish", f"before {REPLICAS}.verified", f"after {REPLICAS}.verified"]
DELETE_POINTS = [f"before {OPERATIONS}.begin", f"after {OPERATIONS}.finish"]


@pytest.mark.parametrize("point", TRANSFER_POINTS)
def test_a_copy_survives_the_death_of_its_process(bench: Bench, zygote: Zygote, point: str) -> None:
    scan = bench.admit(content=b"0123456789abcdef" * 1500)
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=100_000)

    zygote.dies("copy", point, key=scan.key, location=RAW)
    bench.copy(scan, RAW)

    (task,) = bench.tasks(scan)
    assert task["status"] == "SUCCEEDED"
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED
    assert bench.raw_file(scan, RAW).read_bytes() == bench.raw_file(scan, "spot832").read_bytes()
    (operation,) = bench.ledger.operations.of(scan.key)
    assert (operation.state, operation.handle["task_id"]) == (OperationState.SUCCEEDED, task["task_id"])
    assert bench.replica(scan, RAW).evidence["task"] == task["task_id"]


@pytest.mark.parametrize("point", DELETE_POINTS)
def test_a_deletion_survives_the_death_of_its_process(bench: Bench, zygote: Zygote, point: str) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    replica = bench.replica(scan, "spot832")
    bench.ledger.replicas.move(replica.id, ReplicaState.DELETING, why="the test wants it gone")

    zygote.dies("delete", point, replica=replica.id)
    gone = bench.platform.transfers.delete_replica(bench.actor(), bench.ledger.replicas.get(replica.id), {"because": "a test"})

    assert gone.state is ReplicaState.DELETED
    (task,) = bench.tasks(scan, "DELETE")
    assert task["status"] == "SUCCEEDED"
    assert gone.evidence["proof"] == {"because": "a test"}


def test_killed_again_and_again_it_still_is_one_task(bench: Bench, zygote: Zygote) -> None:
    scan = bench.admit(content=b"x" * 30_000)
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=100_000)

    for point in (f"after {OPERATIONS}.begin", f"after {MOVER}.start_transfer", f"after {MOVER}.start_transfer", f"after {MOVER}.look"):
        zygote.dies("copy", point, key=scan.key, location=RAW)
    bench.copy(scan, RAW)

    assert len(bench.tasks(scan)) == 1
    posts = [r for r in bench.control.requests("POST", "/v0.10/transfer") if scan.key in json.dumps(r["body"])]
    assert len(posts) == 3 and posts[0]["body"] == posts[1]["body"] == posts[2]["body"], "the same document, the same submission id"
    (operation,) = bench.ledger.operations.of(scan.key)
    assert operation.fence == 4, "every taking raises the fencing number"


def test_a_better_source_that_appeared_meanwhile_does_not_change_a_begun_copy(bench: Bench, zygote: Zygote) -> None:
    scan = bench.admit()
    nersc = "nersc832_alsdev_raw"
    zygote.dies("copy", f"after {MOVER}.start_transfer", key=scan.key, location=nersc)
    bench.copy(scan, RAW)  # staging is preferred to acquisition, but the task reads from the detector's disk

    receipt = bench.copy(scan, nersc)

    assert receipt.evidence["copied_from"] == "spot832"
    assert len(bench.tasks(scan)) == 2


def test_two_processes_at_once_make_one_copy(bench: Bench, zygote: Zygote) -> None:
    scan = bench.admit(content=b"x" * 40_000)
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=80_000)

    pids = [zygote.start("copy", key=scan.key, location=RAW) for _ in range(3)]
    codes = [zygote.wait(pid) for pid in pids]

    assert codes == [0, 0, 0]
    assert len(bench.tasks(scan)) == 1
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED


def test_a_follower_learns_that_the_other_one_failed(bench: Bench, zygote: Zygote) -> None:
    scan = bench.admit()
    stall = bench.control.add_fault(where="transfer", action="stall")
    leader = zygote.start("copy", key=scan.key, location=RAW)
    bench.control.wait_for(lambda: bench.tasks(scan), what="the leader's task")

    def tell(_sentence: str) -> None:
        bench.platform.transfers._movers["mover"].cancel({"task_id": bench.tasks(scan)[0]["task_id"]})
        bench.control.clear_fault(stall)

    with pytest.raises(AlsError, match=f"The run doomed-{leader} that did this ended as failed: .*canceled by user"):
        bench.copy(scan, RAW, bench.actor(tell=tell))

    assert zygote.wait(leader) == 3
    assert len(bench.tasks(scan)) == 1


def test_a_run_that_is_alive_is_followed_and_not_robbed(bench: Bench, zygote: Zygote) -> None:
    scan = bench.admit()
    stall = bench.control.add_fault(where="transfer", action="stall")
    leader = zygote.start("copy", key=scan.key, location=RAW)
    bench.control.wait_for(lambda: bench.tasks(scan), what="the leader's task")

    def tell(sentence: str) -> None:
        bench.told.append(sentence)
        bench.control.clear_fault(stall)

    receipt = bench.copy(scan, RAW, bench.actor(tell=tell))

    assert bench.told[0] == f"Run doomed-{leader} is working on this. Following it."
    assert zygote.wait(leader) == 0
    assert receipt.replica.state is ReplicaState.VERIFIED
    assert bench.ledger.operations.of(scan.key)[0].holder == f"doomed-{leader}"


def test_a_run_that_was_overtaken_leaves_without_another_word(bench: Bench, zygote: Zygote) -> None:
    """A run that was believed dead, but is only slow: its fencing number is old, so it closes nothing."""
    scan = bench.admit()
    stall = bench.control.add_fault(where="transfer", action="stall")
    slow = zygote.start("copy", key=scan.key, location=RAW)
    key = f"transfer:{RAW}:{scan.raw_path}"
    bench.control.wait_for(lambda: (o := bench.ledger.operations.open_with(key)) and o.state == "submitted", what="the slow run's task")

    def everybody_is_gone(_run: str) -> bool:
        return True

    actor = bench.actor("the-new-run")
    taken = bench.ledger.operations.take(bench.ledger.operations.open_with(key).id, actor.run_id, everybody_is_gone)

    assert zygote.wait(slow) == 3, "LeaseLost"
    assert taken.fence == 2
    bench.control.clear_fault(stall)
    bench.copy(scan, RAW, actor)
    assert len(bench.tasks(scan)) == 1


def test_a_copy_made_by_another_run_between_look_and_act_is_not_made_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = bench.admit()
    service = bench.platform.transfers
    choose = service._source

    def and_meanwhile(*arguments: Any) -> Any:
        source = choose(*arguments)
        monkeypatch.undo()
        bench.copy(scan, RAW)  # another run, from its first to its last line
        return source

    monkeypatch.setattr(service, "_source", and_meanwhile)

    bench.copy(scan, RAW)

    assert len(bench.tasks(scan)) == 1
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED
