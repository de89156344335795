"""Many processes at one record lose nothing and wait for each other; a killed one leaves its intent.

Here: real processes and SIGKILL. Not here: what single calls do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_kit import address, new_database
from ledger_worker import BLOCKED, EVERY, Warm
from sqlalchemy.orm import Session

from als_assets.ledger import Audit, Dataset, Ledger, Operation, OperationKind, OperationState, Replica, ReplicaState
from als_assets.ledger.database import sqlite_url
from als_assets.ledger.operations import Operations

PROCESSES, SCANS, ROUNDS = 8, 12, 250  # a round is two operations: one of the process's own, one that all want


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A new record that eight processes opened at once and worked on at once; none failed, none met a lock."""
    if request.param == "SQLite":
        url = sqlite_url(tmp_path_factory.mktemp("crowd") / "ledger.sqlite")
    else:
        url = new_database(request.getfixturevalue("postgresql"), "crowd")
    warm, gate = request.getfixturevalue("warm_process"), tmp_path_factory.mktemp("gate") / "open"
    crowd = [warm.start(url, "work", name, SCANS, ROUNDS, gate=gate) for name in range(PROCESSES)]
    gate.touch()
    assert [warm.wait(pid) for pid in crowd] == [0] * PROCESSES
    ledger = Ledger.open(url)
    yield ledger
    ledger.close()


def test_a_new_record_may_be_opened_by_all_at_once(crowd: Ledger) -> None:
    with crowd.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1


def test_every_scan_is_admitted_once(crowd: Ledger) -> None:
    with Session(crowd.engine) as session:
        assert sorted(session.scalars(sa.select(Dataset.key))) == sorted(["sand", *(f"scan{i}" for i in range(SCANS))])
        assert session.scalar(sa.select(sa.func.count()).select_from(Replica)) == SCANS + 1
        audit = Counter(session.scalars(sa.select(Audit.after).where(Audit.subject.startswith("dataset"))))
    assert audit == {"admitted": SCANS + 1}


def test_no_operation_is_lost_and_one_is_open_for_each_key(crowd: Ledger) -> None:
    with Session(crowd.engine) as session:
        rows = session.scalars(sa.select(Operation)).all()
        after = Counter(session.scalars(sa.select(Audit.after).where(Audit.subject.startswith("operation"))))
    own = [row for row in rows if row.key.startswith("own")]
    assert len(own) == PROCESSES * ROUNDS
    done = [row for row in own if row.request["n"] % EVERY == 0]
    assert all(row.state is OperationState.SUCCEEDED and row.outcome == row.request for row in done)
    assert all(row.state is OperationState.INTENT for row in own if row not in done)
    open_ones = [row for row in rows if row.key.startswith("shared") and int(row.key.split(":")[1]) % EVERY]
    assert sorted(row.key for row in open_ones) == sorted(f"shared:{i}" for i in range(ROUNDS) if i % EVERY), "one for all processes"
    shared = [row for row in rows if row.key.startswith("shared") and row not in open_ones]
    assert {row.key for row in shared} == {f"shared:{i}" for i in range(0, ROUNDS, EVERY)}
    for row in shared:
        assert row.state is OperationState.SUCCEEDED and row.fence == 1
        assert row.holder == row.handle["by"] == row.outcome["by"], "one process did it from its intent to its end"
    for key in {row.key for row in shared}:
        attempts = sorted(row.attempt for row in shared if row.key == key)
        assert attempts == list(range(1, len(attempts) + 1))
    ended = len(done) + len(shared)
    assert after == {OperationState.INTENT: len(rows), OperationState.SUBMITTED: ended, OperationState.SUCCEEDED: ended}


def test_the_database_itself_refuses_a_second_open_operation(ledger: Ledger, intent: Operation) -> None:
    with Session(ledger.engine) as session:
        second = Operation(key=intent.key, kind=OperationKind.TRANSFER, dataset_key="sand", state=OperationState.SUBMITTED)
        second.attempt, second.request, second.created_at = 2, {}, ledger.clock()
        session.add(second)
        with pytest.raises(sa.exc.IntegrityError, match=r"(?i)unique constraint"):
            session.flush()


def test_two_copies_are_never_each_others_proof(warm: Warm, ledger: Ledger, copy: Replica, tmp_path: Path) -> None:
    first = ledger.replicas.of("sand", location="spot")[0]
    ledger.replicas.move(copy.id, ReplicaState.VERIFIED, why="proven")
    gate = tmp_path / "open"
    pair = [warm.start(address(ledger), "prune", *which, gate=gate) for which in ((first.id, copy.id), (copy.id, first.id))]
    gate.touch()  # both stand at it, or come when it is open
    assert sorted(warm.wait(pid) for pid in pair) == [0, BLOCKED]
    assert {ledger.replicas.get(i).state for i in (first.id, copy.id)} == {ReplicaState.DELETING, ReplicaState.VERIFIED}


KILLED_AT = [
    (0, OperationState.INTENT, None, {}),
    (1, OperationState.INTENT, "run1", {}),
    (2, OperationState.INTENT, "run1", {"prepared": {"submission_id": "s1"}}),
    (3, OperationState.SUBMITTED, "run1", {"prepared": {"submission_id": "s1"}, "task_id": "t1"}),
]


@pytest.mark.parametrize(("step", "state", "holder", "handle"), KILLED_AT)
def test_what_was_recorded_is_there_after_kill_9(
    warm: Warm, ledger: Ledger, sand: Dataset, step: int, state: OperationState, holder: str | None, handle: dict[str, object]
) -> None:
    assert warm.wait(warm.start(address(ledger), "die", "run1", step)) == -9
    row = ledger.operations.open_with("transfer:far:sand")
    assert row is not None and (row.state, row.holder, row.handle, row.request) == (state, holder, handle, {"to": "far"})
    again = ledger.operations.begin("transfer:far:sand", OperationKind.TRANSFER, "sand", {"to": "elsewhere"})
    assert again.id == row.id


def test_a_writer_killed_in_its_transaction_leaves_nothing_and_no_lock(
    ledger: Ledger, sand: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    operation = ledger.operations.begin("job:x", OperationKind.JOB, "sand", {})
    monkeypatch.setattr(ledger.operations._audit, "add", power_cut)
    with pytest.raises(KeyboardInterrupt):
        ledger.operations.submitted(operation, job_id="1")
    monkeypatch.undo()
    assert isinstance(ledger.operations, Operations)
    assert ledger.operations.get(operation.id).state is OperationState.INTENT
    assert ledger.operations.submitted(operation, job_id="1").state is OperationState.SUBMITTED
