"""Copies and operations go only where the tables allow, and every step is in the audit.

Here: every pair of states, allowed or not, in the table and on the record. Not here: who moves what, and leases.
"""

from __future__ import annotations

from itertools import product

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.errors import IllegalTransition, PruneBlocked
from als_assets.ledger import Ledger, Manifest, Operation, OperationState, Replica, ReplicaState
from als_assets.ledger.states import OPEN_OPERATIONS, OPERATION_MOVES, REPLICA_MOVES, check_operation_move, check_replica_move

R, O = ReplicaState, OperationState  # noqa: E741 - reads as a table

# Written out once more, so that a change of the table in the code is a change of a promise.
REPLICA_TABLE = {
    (R.EXPECTED, R.COPYING),
    (R.EXPECTED, R.VERIFIED),
    (R.COPYING, R.VERIFIED),
    (R.COPYING, R.EXPECTED),
    (R.COPYING, R.LOST),
    (R.VERIFIED, R.SUSPECT),
    (R.VERIFIED, R.DELETING),
    (R.VERIFIED, R.COPYING),
    (R.SUSPECT, R.VERIFIED),
    (R.SUSPECT, R.COPYING),
    (R.SUSPECT, R.LOST),
    (R.DELETING, R.DELETED),
    (R.DELETING, R.VERIFIED),
    (R.DELETING, R.SUSPECT),
    (R.DELETED, R.EXPECTED),
    (R.LOST, R.EXPECTED),
}
OPERATION_TABLE = {
    (O.INTENT, O.SUBMITTED),
    (O.INTENT, O.FAILED),
    (O.INTENT, O.CANCELLED),
    (O.SUBMITTED, O.SUCCEEDED),
    (O.SUBMITTED, O.FAILED),
    (O.SUBMITTED, O.CANCELLED),
}


def put(ledger: Ledger, row: Replica | Operation, state: ReplicaState | OperationState) -> None:
    """Set a state past the rules, to begin a test there."""
    with Session(ledger.engine) as session:
        session.execute(sa.update(type(row)).where(type(row).id == row.id).values(state=state))
        session.commit()


@pytest.mark.parametrize(("old", "new"), [*product(R, R)])
def test_the_table_of_copies(old: ReplicaState, new: ReplicaState) -> None:
    assert (new in REPLICA_MOVES[old]) == ((old, new) in REPLICA_TABLE)
    if (old, new) in REPLICA_TABLE:
        check_replica_move("raw of sand at far", old, new)
        return
    with pytest.raises(IllegalTransition) as caught:
        check_replica_move("raw of sand at far", old, new)
    assert f"The copy raw of sand at far cannot go from {old} to {new}" in caught.value.sentence
    assert all(allowed in caught.value.sentence for allowed in REPLICA_MOVES[old])


@pytest.mark.parametrize(("old", "new"), [*product(O, O)])
def test_the_table_of_operations(old: OperationState, new: OperationState) -> None:
    assert (new in OPERATION_MOVES[old]) == ((old, new) in OPERATION_TABLE)
    if (old, new) in OPERATION_TABLE:
        check_operation_move("job:x", old, new)
        return
    with pytest.raises(IllegalTransition, match=f"The operation job:x cannot go from {old} to {new}") as caught:
        check_operation_move("job:x", old, new)
    assert ("it is final" in caught.value.sentence) == (old not in OPEN_OPERATIONS)


@pytest.mark.parametrize(("old", "new"), [pair for pair in product(R, R) if pair[0] is not pair[1]])
def test_a_copy_on_record_obeys_the_table(ledger: Ledger, copy: Replica, old: ReplicaState, new: ReplicaState) -> None:
    put(ledger, copy, old)
    before = len(ledger.audit.of("sand"))
    if (old, new) not in REPLICA_TABLE:
        with pytest.raises(IllegalTransition):
            ledger.replicas.move(copy.id, new, why="a test", evidence={"x": 1})
        assert ledger.replicas.get(copy.id).state is old
        assert len(ledger.audit.of("sand")) == before, "what was refused is not on record as done"
        return
    moved = ledger.replicas.move(copy.id, new, why="a test", evidence={"x": 1})
    assert moved.state is new and ledger.replicas.get(copy.id).state is new
    row = ledger.audit.of("sand")[0]
    assert (row.who, row.subject, row.before, row.after, row.why) == ("tester", copy.name, old, new, "a test")
    assert row.evidence == {"x": 1} and row.at == ledger.clock()


@pytest.mark.parametrize("state", R)
def test_staying_is_no_move(ledger: Ledger, copy: Replica, state: ReplicaState) -> None:
    put(ledger, copy, state)
    before = len(ledger.audit.of("sand"))
    assert ledger.replicas.move(copy.id, state, why="again").state is state
    assert len(ledger.audit.of("sand")) == before


@pytest.mark.parametrize("old", R)
def test_a_proof_counts_only_where_the_table_allows(ledger: Ledger, copy: Replica, old: ReplicaState) -> None:
    put(ledger, copy, old)
    allowed = old is R.VERIFIED or ((old, R.VERIFIED) in REPLICA_TABLE and old is not R.DELETING)
    if allowed:
        ledger.replicas.verified(copy.id, Manifest.single(7), why="proven", evidence={"how": "looked"})
    else:
        # A late proof of a copy that is being deleted has an error of its own: it must not take the claim back.
        with pytest.raises(PruneBlocked if old is R.DELETING else IllegalTransition):
            ledger.replicas.verified(copy.id, Manifest.single(7), why="proven", evidence={"how": "looked"})
    assert (ledger.replicas.get(copy.id).size_bytes == 7) == allowed


@pytest.mark.parametrize(("old", "new"), [*product(O, O)])
def test_an_operation_on_record_obeys_the_table(ledger: Ledger, intent: Operation, old: OperationState, new: OperationState) -> None:
    if new is O.INTENT:
        return  # no method leads back there
    put(ledger, intent, old)
    before = len(ledger.audit.of("sand"))

    def act() -> Operation:
        if new is O.SUBMITTED:
            return ledger.operations.submitted(intent, task_id="t1")
        return ledger.operations.finish(intent, new, why="a test", outcome={"sentence": "so it was"})

    if old is new is O.SUBMITTED:  # an adopted operation may learn its handle once more
        assert act().handle == {"task_id": "t1"} and len(ledger.audit.of("sand")) == before
        return
    if (old, new) not in OPERATION_TABLE:
        with pytest.raises(IllegalTransition):
            act()
        assert ledger.operations.get(intent.id).state is old and len(ledger.audit.of("sand")) == before
        return
    done = act()
    row = ledger.audit.of("sand")[0]
    assert (row.subject, row.before, row.after) == ("operation transfer:far", old, new) and done.state is new
    if new is O.SUBMITTED:
        assert done.submitted_at == ledger.clock() and row.evidence == {"task_id": "t1"}
    else:
        assert done.finished_at == ledger.clock() and done.outcome == row.evidence == {"sentence": "so it was"}
