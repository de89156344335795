"""A deletion that was cut off is carried on, and one that did not happen is never called one.

Here: kills at every line of a deletion, refusals, and lies of the mover. Not here: the phases and the proof (``test_prune``).
"""

from __future__ import annotations

import pytest
from retention_kit import NO_GRACE, Store

from als_assets.errors import TransferFailed
from als_assets.ledger import Operation, OperationKind, OperationState, Replica, ReplicaState

S = ReplicaState


class TestCutOff:
    """Killed in a deletion, the next round carries on: it looks at the proof again, and finds what was done."""

    @pytest.mark.parametrize("line", ["before the intent", "before the request", "after the request"])
    def test_it_is_carried_on(self, store: Store, due: Replica, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def kill(*_: object, **__: object) -> Operation:
            raise KeyboardInterrupt

        operations, deleting = (
            store.ledger.operations,
            {"before the intent": "begin", "before the request": "take", "after the request": "submitted"},
        )
        monkeypatch.setattr(operations, deleting[line], kill)
        with pytest.raises(KeyboardInterrupt):
            store.prune(NO_GRACE)
        monkeypatch.undo()
        assert store.state(due) is S.DELETING
        assert store.where(due).exists() == (line != "after the request")
        (carried_on,) = store.prune(NO_GRACE, run="run2")
        assert carried_on.outcome == "deleted" and carried_on.words.endswith("copies remain at far_raw")
        assert store.state(due) is S.DELETED and not store.where(due).exists()
        assert [o.attempt for o in operations.of("sand")] == [1], "one deletion, whoever finished it"

    def test_with_a_spoilt_proof_it_is_not_carried_on(self, store: Store, due: Replica, proof: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="due", evidence={"copies": [{"location": "far_raw"}]})
        store.where(proof).write_bytes(b"")
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and store.where(due).exists() and store.state(due) is S.DELETING

    def test_without_a_proof_on_record_it_is_not_carried_on(self, store: Store, due: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="by mistake")
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.words.startswith("There is no proof copy of sand.") and store.where(due).exists()


class TestNotDeleted:
    def test_a_deletion_that_fails_says_why_and_is_tried_again(self, store: Store, due: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> None:
            raise TransferFailed("Deleting failed: Permission denied.", next_step="Check the rights of the folder, then run prune again.")

        store.mover.before_delete = refuse
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and "Permission denied" in blocked.words and "run prune again" in blocked.words
        assert store.where(due).exists() and store.state(due) is S.DELETING
        store.mover.before_delete = lambda: None
        assert [p.outcome for p in store.prune(NO_GRACE)] == ["deleted"]

    def test_what_is_still_there_after_a_deletion_is_not_called_deleted(
        self, store: Store, due: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store.mover, "start_delete", lambda request, prepared: {"bytes": 0})
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and "was reported as done, but 1 file(s) are still there" in blocked.words
        assert store.state(due) is S.DELETING
        last = store.ledger.operations.of("sand")[0]
        assert last.state is OperationState.FAILED and "still there" in last.outcome["sentence"]

    def test_an_open_operation_on_the_scan_keeps_it(self, store: Store, due: Replica) -> None:
        operation = store.ledger.operations.begin("job:x", OperationKind.JOB, "sand", {})
        assert store.prune(NO_GRACE) == [] and store.where(due).exists()
        store.ledger.operations.finish(operation, OperationState.CANCELLED, why="x", outcome={})
        assert [p.outcome for p in store.prune(NO_GRACE)] == ["deleted"]

    def test_a_class_without_a_rule_is_never_pruned(self, store: Store, proof: Replica) -> None:
        first = store.ledger.replicas.of("sand", location="spot")[0]
        store.clock.turn(days=999)
        store.renew(first, proof)
        assert store.prune(NO_GRACE) == [] and store.where(first).exists() and store.where(proof).exists()
