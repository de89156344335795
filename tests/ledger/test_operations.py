"""Remote acts on record: one open at a time, the intent first, and a fence against whoever was thought dead.

Here: beginning, taking, taking over and the writes of the old holder. Not here: the table of states and many processes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger_kit import Clock, always, never

from als_assets.errors import HeldElsewhere, LeaseLost
from als_assets.ledger import Dataset, Ledger, Operation, OperationKind, OperationState, Replica

S = OperationState
KEY = "transfer:far"


def test_an_intent_has_all_that_is_needed_to_carry_on(intent: Operation, copy: Replica, ledger: Ledger, clock: Clock) -> None:
    row = ledger.operations.get(intent.id)
    assert (row.key, row.kind, row.dataset_key, row.replica_id) == (KEY, OperationKind.TRANSFER, "sand", copy.id)
    assert (row.state, row.attempt, row.fence, row.holder) == (S.INTENT, 1, 0, None)
    assert row.request == {"to": "far"} and row.handle == {} and row.outcome == {} and row.created_at == clock()
    assert ledger.audit.of("sand")[0].after == S.INTENT


@pytest.mark.parametrize("state", [S.INTENT, S.SUBMITTED])
def test_beginning_again_returns_the_open_one_with_its_own_request(ledger: Ledger, intent: Operation, state: OperationState) -> None:
    if state is S.SUBMITTED:
        ledger.operations.submitted(intent)
    again = ledger.operations.begin(KEY, OperationKind.TRANSFER, "sand", {"to": "somewhere else"})
    assert (again.id, again.request, again.state) == (intent.id, {"to": "far"}, state)


@pytest.mark.parametrize("end", [S.FAILED, S.CANCELLED, S.SUCCEEDED])
def test_after_its_end_a_new_attempt_begins(ledger: Ledger, intent: Operation, end: OperationState) -> None:
    ledger.operations.finish(ledger.operations.submitted(intent), end, why="over", outcome={})
    assert ledger.operations.open_with(KEY) is None
    again = ledger.operations.begin(KEY, OperationKind.TRANSFER, "sand", {"to": "far"})
    assert (again.attempt, again.state) == (2, S.INTENT) and again.id != intent.id
    last = ledger.operations.last(KEY)
    assert last is not None and last.id == again.id


def test_finding(ledger: Ledger, intent: Operation, sand: Dataset) -> None:
    other = ledger.operations.begin("job:x", OperationKind.JOB, "sand", {})
    assert [o.id for o in ledger.operations.of("sand")] == [other.id, intent.id]
    assert [o.id for o in ledger.operations.open_ones()] == [intent.id, other.id]
    ledger.operations.finish(intent, S.CANCELLED, why="not wanted", outcome={})
    assert [o.id for o in ledger.operations.open_ones()] == [other.id]
    assert ledger.operations.last("absent") is None


class TestTaking:
    def test_the_first_taker_holds_it(self, ledger: Ledger, intent: Operation) -> None:
        taken = ledger.operations.take(intent.id, "run1", never)
        assert (taken.holder, taken.fence) == ("run1", 1)
        ledger.operations.require_lease(taken)

    def test_taking_again_changes_nothing(self, ledger: Ledger, intent: Operation) -> None:
        first = ledger.operations.take(intent.id, "run1", never)
        again = ledger.operations.take(intent.id, "run1", never)
        assert again.fence == first.fence
        ledger.operations.require_lease(first)

    def test_a_living_holder_keeps_it(self, ledger: Ledger, intent: Operation) -> None:
        ledger.operations.take(intent.id, "run1", never)
        asked: list[str] = []
        with pytest.raises(HeldElsewhere, match="Run run1 is working on this") as caught:
            ledger.operations.take(intent.id, "run2", lambda run: bool(asked.append(run)))
        assert asked == ["run1"] and caught.value.details["holder"] == "run1"
        assert ledger.operations.get(intent.id).holder == "run1"

    def test_a_dead_holder_loses_it_and_the_fence_rises(self, ledger: Ledger, intent: Operation) -> None:
        ledger.operations.take(intent.id, "run1", never)
        taken = ledger.operations.take(intent.id, "run2", always)
        assert (taken.holder, taken.fence) == ("run2", 2)

    def test_of_two_heirs_one_is_quicker(self, ledger: Ledger, intent: Operation) -> None:
        ledger.operations.take(intent.id, "run1", never)

        def while_it_is_judged(_run: str) -> bool:
            ledger.operations.take(intent.id, "run3", always)
            return True

        with pytest.raises(HeldElsewhere, match="Run run3 took this over"):
            ledger.operations.take(intent.id, "run2", while_it_is_judged)
        assert ledger.operations.get(intent.id).holder == "run3"


OLD_HOLDERS_WRITES: dict[str, Callable[[Ledger, Operation], object]] = {
    "require_lease": lambda ledger, mine: ledger.operations.require_lease(mine),
    "annotate": lambda ledger, mine: ledger.operations.annotate(mine, progress="half"),
    "submitted": lambda ledger, mine: ledger.operations.submitted(mine, task_id="t2"),
    "succeeded": lambda ledger, mine: ledger.operations.finish(mine, S.SUCCEEDED, why="done", outcome={}),
    "failed": lambda ledger, mine: ledger.operations.finish(mine, S.FAILED, why="not done", outcome={}),
    "cancelled": lambda ledger, mine: ledger.operations.finish(mine, S.CANCELLED, why="stopped", outcome={}),
}


@pytest.mark.parametrize("state", [S.INTENT, S.SUBMITTED])
@pytest.mark.parametrize("write", OLD_HOLDERS_WRITES)
def test_the_old_holder_can_write_nothing(ledger: Ledger, intent: Operation, write: str, state: OperationState) -> None:
    mine = ledger.operations.take(intent.id, "run1", never)
    if state is S.SUBMITTED:
        mine = ledger.operations.submitted(mine, task_id="t1")
    theirs = ledger.operations.take(intent.id, "run2", always)
    before = (theirs.state, theirs.handle, theirs.outcome, len(ledger.audit.of("sand")))
    with pytest.raises(LeaseLost, match=f"Run run2 has taken over the work on {KEY}") as caught:
        OLD_HOLDERS_WRITES[write](ledger, mine)
    assert caught.value.next_step == "Nothing to do: the other run carries on."
    now = ledger.operations.get(intent.id)
    assert (now.state, now.handle, now.outcome, len(ledger.audit.of("sand"))) == before


def test_the_fence_holds_even_when_the_old_name_comes_back(ledger: Ledger, intent: Operation) -> None:
    mine = ledger.operations.take(intent.id, "run1", never)
    ledger.operations.take(intent.id, "run2", always)
    back = ledger.operations.take(intent.id, "run1", always)
    ledger.operations.require_lease(back)
    with pytest.raises(LeaseLost):
        ledger.operations.require_lease(mine)


def test_notes_add_to_the_handle(ledger: Ledger, intent: Operation) -> None:
    mine = ledger.operations.take(intent.id, "run1", never)
    ledger.operations.annotate(mine, prepared={"submission_id": "s1"})
    ledger.operations.submitted(mine, task_id="t1")
    row = ledger.operations.annotate(mine, progress="half")
    assert row.handle == {"prepared": {"submission_id": "s1"}, "task_id": "t1", "progress": "half"}
