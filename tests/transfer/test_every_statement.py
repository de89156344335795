"""Killed with -9 at every statement between "intent committed" and "outcome committed": one task at Globus, nothing lost, nothing twice.

The statements are not written down here: one whole life of each work is traced, and every statement that it came to is a point. The
suite kills at one point between any two effects (commits and requests: between two of them the world is the same) and says how many
there are; ``ALS_EVERY_KILL_POINT=1`` kills at all of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import RAW, Bench

from als_assets.ledger import OperationState, Replica, ReplicaState

EVERY = os.environ.get("ALS_EVERY_KILL_POINT") == "1"
Arguments = dict[str, Any]


def _points(zygote: Zygote, work: str, arguments: Arguments, report: Path) -> tuple[list[str], int]:
    """Where to kill, and how many statements there are."""
    assert zygote.wait(zygote.start(work, report=str(report), **arguments)) == 0
    effects: dict[str, int] = json.loads(report.read_text())
    if EVERY:
        return sorted(effects), len(effects)
    groups = [list(group) for _, group in groupby(sorted(effects, key=lambda s: (effects[s], s)), effects.__getitem__)]
    return [group[len(group) // 2] for group in groups], len(effects)


def _kill_at_each(
    zygote: Zygote,
    work: str,
    tmp_path: Path,
    prepare: Callable[[], Arguments],
    prove: Callable[[Arguments], None],
    told: Callable[[str, str], None],
) -> None:
    points, count = _points(zygote, work, prepare(), tmp_path / "statements.json")
    killed = 0
    for point in points:
        arguments = prepare()
        code = zygote.wait(zygote.start(work, statement=point, **arguments))
        assert code in (-9, 0), f"{work} killed at {point}: exit code {code}"
        killed += code == -9
        try:
            prove(arguments)
        except Exception as error:
            error.add_note(f"{work} was killed at {point}")
            raise
    told(
        "Processes killed with -9", f"{work:<12} {count} statements between intent and outcome; killed at {killed} of {len(points)} chosen"
    )
    assert count > 100
    assert killed >= 0.8 * len(points), "a statement may depend on how often Globus was looked at, but not many do"


@pytest.mark.timeout(3600 if EVERY else 120)
def test_a_copy(bench: Bench, zygote: Zygote, tmp_path: Path, told: Callable[[str, str], None]) -> None:
    def prepare() -> Arguments:
        bench.control.clear_faults()
        bench.control.add_fault(where="transfer", action="slow", bytes_per_s=100_000)
        return {"key": bench.admit(content=b"0123456789abcdef" * 800).key, "location": RAW}

    def prove(arguments: Arguments) -> None:
        scan = bench.ledger.datasets.get(arguments["key"])
        bench.copy(scan, RAW)
        (task,) = bench.tasks(scan)
        (operation,) = bench.ledger.operations.of(scan.key)
        assert (task["status"], operation.state, operation.handle["task_id"]) == ("SUCCEEDED", OperationState.SUCCEEDED, task["task_id"])
        assert bench.state(scan, RAW) is ReplicaState.VERIFIED
        assert bench.raw_file(scan, RAW).read_bytes() == bench.raw_file(scan, "spot832").read_bytes()
        assert bench.replica(scan, RAW).evidence["task"] == task["task_id"]

    _kill_at_each(zygote, "copy", tmp_path, prepare, prove, told)


def _doomed(bench: Bench) -> Replica:
    """A copy at the detector that may go; that another one exists is not what is tested here."""
    return bench.ledger.replicas.move(bench.replica(bench.admit(), "spot832").id, ReplicaState.DELETING, why="the test wants it gone")


@pytest.mark.timeout(3600 if EVERY else 120)
def test_a_deletion(bench: Bench, zygote: Zygote, tmp_path: Path, told: Callable[[str, str], None]) -> None:
    def prove(arguments: Arguments) -> None:
        replica = bench.ledger.replicas.get(arguments["replica"])
        if replica.state is ReplicaState.DELETING:
            bench.platform.transfers.delete_replica(bench.actor(), replica, {"because": "a test"})
        _prove_deleted(bench, [replica.id], {"because": "a test"})

    _kill_at_each(zygote, "delete", tmp_path, lambda: {"replica": _doomed(bench).id}, prove, told)


@pytest.mark.timeout(3600 if EVERY else 120)
def test_many_deletions_in_one_task(bench: Bench, zygote: Zygote, tmp_path: Path, told: Callable[[str, str], None]) -> None:
    def prove(arguments: Arguments) -> None:
        left = [r for i in reversed(arguments["replicas"]) if (r := bench.ledger.replicas.get(i)).state is ReplicaState.DELETING]
        done = bench.platform.transfers.delete_replicas(bench.actor(), [(r, {"because": f"a test of {r.id}"}) for r in left])
        assert [d.error for d in done] == [None] * len(left)
        _prove_deleted(bench, arguments["replicas"], None)

    _kill_at_each(zygote, "delete_many", tmp_path, lambda: {"replicas": [_doomed(bench).id for _ in range(3)]}, prove, told)


def _prove_deleted(bench: Bench, replicas: list[int], proof: object) -> None:
    """Each is gone by one task of its own or of the batch, with its own proof, and no path was ever in two tasks."""
    tasks = set()
    for identifier in replicas:
        replica = bench.ledger.replicas.get(identifier)
        scan = bench.ledger.datasets.get(replica.dataset_key)
        assert replica.state is ReplicaState.DELETED
        assert not bench.raw_file(scan, "spot832").exists()
        assert replica.evidence["proof"] == (proof or {"because": f"a test of {identifier}"})
        (task,) = bench.tasks(scan, "DELETE")
        (operation,) = bench.ledger.operations.of(scan.key)
        assert (task["status"], operation.handle["task_id"]) == ("SUCCEEDED", task["task_id"])
        tasks.add(task["task_id"])
    assert len(tasks) == 1
