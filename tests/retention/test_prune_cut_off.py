"""A deletion that was cut off is carried on, and one that did not happen is never called one.

Here: kills at every line of a deletion, refusals, and lies of the mover. Not here: the phases and the proof (``test_prune``).
"""

from __future__ import annotations

import pytest
from retention_kit import NO_GRACE, Store

from als_assets.errors import ServiceUnreachable, TransferFailed
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
        assert carried_on.outcome == "deleted" and carried_on.words.endswith("1 copy remains at far_raw")
        assert store.state(due) is S.DELETED and not store.where(due).exists()
        assert [o.attempt for o in operations.of("sand")] == [1], "one deletion, whoever finished it"

    def test_with_a_spoilt_proof_it_is_not_carried_on(self, store: Store, due: Replica, proof: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="due", evidence={"copies": [{"location": "far_raw"}]})
        store.where(proof).write_bytes(b"")
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "called off" and store.where(due).exists() and store.state(due) is S.VERIFIED

    def test_it_is_judged_anew_by_the_policy_of_now(self, store: Store, due: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="due under a rule that is gone")
        nothing = NO_GRACE.model_copy(update={"rules": {}})
        (kept,) = store.prune(nothing)
        assert kept.outcome == "called off" and "no rule lets it go any more; nothing was deleted" in kept.words
        assert store.where(due).exists() and store.state(due) is S.VERIFIED

    def test_what_it_is_the_last_copy_of_is_called_off(self, store: Store, due: Replica, proof: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="by mistake")
        for other in (proof, store.ledger.replicas.of("sand", location="spot")[0]):
            store.ledger.replicas.move(other.id, S.SUSPECT, why="a test")
        (kept,) = store.prune(NO_GRACE)
        assert kept.outcome == "called off" and "it is the only verified copy of the raw file" in kept.words
        assert store.state(due) is S.VERIFIED


class TestCallingOff:
    """The way back from DELETING is by what lies there."""

    @pytest.fixture
    def doomed(self, store: Store, due: Replica) -> Replica:
        store.ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
        return store.ledger.replicas.move(due.id, S.DELETING, why="due", evidence={"how": "a test"})

    def test_whole(self, store: Store, doomed: Replica) -> None:
        (kept,) = store.prune(NO_GRACE)
        assert kept.words.endswith("It was looked at and is a verified copy as before.") and store.state(doomed) is S.VERIFIED
        assert "called off: ada holds sand" in store.ledger.audit.of("sand")[0].why

    def test_damaged(self, store: Store, doomed: Replica) -> None:
        store.where(doomed).write_bytes(b"x")
        (kept,) = store.prune(NO_GRACE)
        assert "does not count as a copy any more: the file has 1 bytes instead of 17" in kept.words
        assert store.state(doomed) is S.SUSPECT

    def test_gone_though_nobody_asked(self, store: Store, doomed: Replica) -> None:
        store.where(doomed).unlink()
        (kept,) = store.prune(NO_GRACE)
        assert "although nobody asked to delete it" in kept.words and store.state(doomed) is S.SUSPECT

    def begun(self, store: Store, doomed: Replica, **handle: object) -> None:
        key = f"delete:{doomed.location}:{doomed.path}"
        operation = store.ledger.operations.begin(key, OperationKind.DELETE, "sand", {"proof": {}}, doomed.id)
        operation = store.ledger.operations.take(operation.id, "run0", lambda _run: True)
        if handle:
            store.ledger.operations.annotate(operation, **handle)

    def test_gone_because_the_request_came_through_after_all(self, store: Store, doomed: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store.transfers, "cancel", lambda _operation: None)
        self.begun(store, doomed, prepared={"submission_id": "s"})
        store.where(doomed).unlink()
        (late,) = store.prune(NO_GRACE)
        assert "too late: it is deleted" in late.words and store.state(doomed) is S.DELETED
        assert store.ledger.operations.of("sand")[0].state is OperationState.CANCELLED

    def test_a_request_that_never_left_is_withdrawn(self, store: Store, doomed: Replica) -> None:
        self.begun(store, doomed)
        store.prune(NO_GRACE)
        assert store.state(doomed) is S.VERIFIED and not store.ledger.operations.open_ones()

    def test_one_that_was_accepted_without_an_answer_is_stopped_at_the_service(
        self, store: Store, doomed: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopped: list[Operation] = []
        monkeypatch.setattr(store.transfers, "cancel", stopped.append)
        self.begun(store, doomed, prepared={"submission_id": "s"})
        (kept,) = store.prune(NO_GRACE)
        assert [o.handle["prepared"] for o in stopped] == [{"submission_id": "s"}], "with what finds it there"
        assert kept.outcome == "called off" and store.state(doomed) is S.VERIFIED

    def test_what_cannot_be_looked_at_stays_as_it_is(self, store: Store, doomed: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(_replica: Replica) -> None:
            raise ServiceUnreachable("The site is down.", next_step="Wait.")

        monkeypatch.setattr(store.transfers, "listing", down)
        (kept,) = store.prune(NO_GRACE)
        assert "could not be looked at: The site is down." in kept.words and store.state(doomed) is S.DELETING
        monkeypatch.undo()
        store.prune(NO_GRACE)
        assert store.state(doomed) is S.VERIFIED


class TestNotDeleted:
    def test_a_deletion_that_fails_says_why_and_is_tried_again(self, store: Store, due: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> None:
            raise TransferFailed("Deleting failed: Permission denied.", next_step="Check the rights of the folder, then run prune again.")

        store.mover.before_delete = refuse
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and "Permission denied" in blocked.words and "prune tries again" in blocked.words
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
