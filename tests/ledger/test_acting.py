"""The loop around every remote act: intent, lease, look, act, follow, prove, close - whatever is killed or unreachable.

Here: ``carry_out`` with an act that follows a script and writes down what it saw. Not here: real acts (``transfer``, ``compute``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from acting_kit import DONE, KEY, Scene, ScriptedAct, unreachable
from ledger_kit import Clock, always, never

from als_assets.errors import (
    AlsError,
    CollectionResting,
    CredentialsRejected,
    ExportRefused,
    IllegalTransition,
    JobRefused,
    LeaseLost,
    ServiceUnreachable,
    TransferDamaged,
    TransferFailed,
    TransferNeedsPerson,
)
from als_assets.ledger import Dataset, Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import PATIENCE, Actor, Ended, Running, carry_out

S = OperationState


@pytest.fixture
def scene(ledger: Ledger, sand: Dataset, clock: Clock) -> Scene:
    return Scene(ledger, clock)


class TestOrder:
    def test_intent_and_lease_come_before_the_act(self, scene: Scene) -> None:
        act = scene.act(Running("half"), DONE)
        closed = scene.carry_out(act)
        assert act.sent == ["submit of far held by run1 in intent", "poll of t1", "poll of t1"]
        assert (closed.state, closed.outcome, closed.handle["task_id"]) == (S.SUCCEEDED, {"files": 1}, "t1")
        assert [row.after for row in reversed(scene.ledger.audit.of("sand"))][2:] == [S.INTENT, S.SUBMITTED, S.SUCCEEDED]
        assert scene.ledger.audit.of("sand")[0].why == "copied and compared"

    def test_progress_is_told_once_for_each_sentence_and_kept(self, scene: Scene) -> None:
        scene.carry_out(scene.act(Running("a third"), Running("a third"), Running("two thirds"), DONE))
        assert scene.told == ["a third", "two thirds"]
        assert scene.operation.handle["progress"] == "two thirds"

    def test_it_waits_between_looks_as_the_act_says(self, scene: Scene) -> None:
        began = scene.clock()
        scene.carry_out(scene.act(Running("a"), Running("b"), DONE))
        assert scene.clock() - began == timedelta(seconds=14)


class TestCarryingOn:
    """Killed at any line, the next attempt goes on from what is on record."""

    @pytest.fixture
    def begun(self, scene: Scene) -> Operation:
        return scene.ledger.operations.begin(KEY, OperationKind.TRANSFER, "sand", {"to": "where the first one wanted"})

    def test_an_intent_that_nobody_took_is_carried_out_as_it_was_meant(self, scene: Scene, begun: Operation) -> None:
        act = scene.act(DONE)
        assert scene.carry_out(act).id == begun.id
        assert act.sent[0] == "submit of where the first one wanted held by run1 in intent"

    def test_the_intent_of_a_dead_run_is_taken_over(self, scene: Scene, begun: Operation) -> None:
        scene.ledger.operations.take(begun.id, "dead", never)
        closed = scene.carry_out(scene.act(DONE), may_take_over=always)
        assert (closed.id, closed.holder, closed.fence) == (begun.id, "run1", 2)

    def test_what_was_submitted_is_followed_and_not_sent_again(self, scene: Scene, begun: Operation) -> None:
        scene.ledger.operations.submitted(scene.ledger.operations.take(begun.id, "dead", never), task_id="t0")
        act = scene.act(Running("half"), DONE)
        assert scene.carry_out(act, may_take_over=always).id == begun.id
        assert act.sent == ["poll of t0", "poll of t0"]

    def test_the_same_run_goes_on_after_its_own_restart(self, scene: Scene, begun: Operation) -> None:
        scene.ledger.operations.submitted(scene.ledger.operations.take(begun.id, "run1", never), task_id="t0")
        act = scene.act(DONE)
        assert scene.carry_out(act).fence == 1 and act.sent == ["poll of t0"]

    @pytest.mark.parametrize("line", ["submit", "poll"])
    def test_killed_in_the_act_then_adopted(self, scene: Scene, line: str) -> None:
        killed = scene.act(refuse=[KeyboardInterrupt()]) if line == "submit" else scene.act(_killed)
        with pytest.raises(KeyboardInterrupt):
            scene.carry_out(killed)
        assert scene.operation.state is (S.INTENT if line == "submit" else S.SUBMITTED)
        heir = scene.act(DONE)
        closed = scene.carry_out(heir, "run2", always)
        assert (closed.holder, closed.attempt, closed.state) == ("run2", 1, S.SUCCEEDED)
        assert len(heir.sent) == (2 if line == "submit" else 1)

    @pytest.mark.parametrize("hours", [1, 0, -100])
    def test_a_success_that_nobody_could_tell_is_not_repeated(self, scene: Scene, hours: int) -> None:
        first = scene.carry_out(scene.act(DONE))
        scene.clock.turn(hours=hours)
        act = scene.act()
        assert scene.carry_out(act, "run2", after=first.id - 1).id == first.id and act.sent == []

    @pytest.mark.parametrize("hours", [1, 0, -100])
    def test_an_older_success_is_not_what_is_wanted_now(self, scene: Scene, hours: int) -> None:
        """Whatever the clock says: one that was set back must not make an old success look new."""
        scene.carry_out(scene.act(DONE))
        scene.clock.turn(hours=hours)
        act = scene.act(DONE)
        assert scene.carry_out(act).attempt == 2 and len(act.sent) == 2

    @pytest.mark.parametrize("end", [S.FAILED, S.CANCELLED])
    def test_what_did_not_succeed_is_tried_anew(self, scene: Scene, begun: Operation, end: OperationState) -> None:
        scene.ledger.operations.finish(begun, end, why="over", outcome={})
        assert scene.carry_out(scene.act(DONE), after=0).attempt == 2


def _killed() -> Ended:
    raise KeyboardInterrupt


class TestFollowingALivingRun:
    @pytest.fixture
    def theirs(self, scene: Scene) -> Operation:
        begun = scene.ledger.operations.begin(KEY, OperationKind.TRANSFER, "sand", {"to": "far"})
        return scene.ledger.operations.submitted(scene.ledger.operations.take(begun.id, "run0", never), task_id="t0")

    def test_to_its_success(self, scene: Scene, theirs: Operation) -> None:
        scene.while_waiting = [lambda: None, lambda: scene.ledger.operations.finish(theirs, S.SUCCEEDED, why="done", outcome={"files": 1})]
        act = scene.act()
        assert scene.carry_out(act).outcome == {"files": 1}
        assert act.sent == [], "it did nothing itself"
        assert scene.told == ["Run run0 is working on this. Following it."]

    @pytest.mark.parametrize("end", [S.FAILED, S.CANCELLED])
    def test_to_its_failure_which_is_ours_too(self, scene: Scene, theirs: Operation, end: OperationState) -> None:
        outcome = {"sentence": "The disk is full."}
        scene.while_waiting = [lambda: scene.ledger.operations.finish(theirs, end, why="x", outcome=outcome)]
        with pytest.raises(AlsError, match=rf"The run run0 that did this ended as {end}: The disk is full\.") as caught:
            scene.carry_out(scene.act())
        assert "re-execute" in caught.value.next_step

    def test_to_its_death_and_then_takes_over(self, scene: Scene, theirs: Operation) -> None:
        verdicts = iter([False, False, True])
        act = scene.act(DONE)
        closed = scene.carry_out(act, may_take_over=lambda _: next(verdicts))
        assert (closed.holder, closed.fence, act.sent) == ("run1", 2, ["poll of t0"])
        assert len(scene.told) == 1, "it is said once"


class TestUnreachable:
    """A service that does not answer says nothing about the act: the operation stays open."""

    def test_it_is_waited_for(self, scene: Scene) -> None:
        act = scene.act(Running("half"), unreachable(), unreachable(), DONE)
        assert scene.carry_out(act).state is S.SUCCEEDED
        assert scene.told == ["half", "Globus does not answer."]

    def test_patience_ends_and_the_operation_stays_open(self, scene: Scene) -> None:
        looks = int(PATIENCE / timedelta(seconds=7)) + 2
        act = scene.act(*[unreachable() for _ in range(looks)])
        began = scene.clock()
        with pytest.raises(ServiceUnreachable):
            scene.carry_out(act)
        assert PATIENCE < scene.clock() - began <= PATIENCE + timedelta(seconds=7)
        assert scene.operation.state is S.SUBMITTED and act.script == []
        later = scene.act(DONE)
        assert scene.carry_out(later).attempt == 1 and later.sent == ["poll of t1"]

    def test_every_answer_renews_the_patience(self, scene: Scene) -> None:
        most = [unreachable() for _ in range(int(PATIENCE / timedelta(seconds=7)))]
        assert scene.carry_out(scene.act(*most, Running("still there"), *most, DONE)).state is S.SUCCEEDED

    def test_the_next_of_many_acts_does_not_wait_for_the_same_outage(self, scene: Scene) -> None:
        act = scene.act(unreachable(), unreachable())
        began = scene.clock()
        with pytest.raises(ServiceUnreachable):
            scene.carry_out(act, actor=scene.actor().after(unreachable()))
        assert len(act.script) == 1 and scene.clock() == began, "one look"
        with pytest.raises(ServiceUnreachable):
            scene.carry_out(scene.act(*[unreachable()] * 300), actor=scene.actor().after(JobRefused("No.", next_step="Mend it.")))
        assert scene.clock() - began >= PATIENCE, "what was refused says nothing about an outage"

    def test_a_pause_is_waited_out_and_then_left_with_its_own_error(self, scene: Scene) -> None:
        paused = Running("Waiting: it is paused.", waits=CollectionResting("The copy waits.", next_step="Nothing.", retry_s=1.0))
        assert scene.carry_out(scene.act(paused, paused, DONE)).state is S.SUCCEEDED
        began = scene.clock()
        with pytest.raises(CollectionResting, match="The copy waits"):
            scene.carry_out(scene.act(*[paused] * 300))
        assert scene.clock() - began >= PATIENCE and scene.operation.state is S.SUBMITTED

    def test_at_the_submission_it_is_red_at_once_and_the_intent_is_adopted(self, scene: Scene) -> None:
        with pytest.raises(ServiceUnreachable):
            scene.carry_out(scene.act(refuse=[unreachable()]))
        assert scene.operation.state is S.INTENT
        assert scene.carry_out(scene.act(DONE), "run2", always).attempt == 1


class TestErrors:
    @pytest.mark.parametrize("kind", [JobRefused, TransferDamaged, TransferFailed])
    def test_a_refused_request_closes_the_operation_and_the_next_is_a_new_one(self, scene: Scene, kind: type[AlsError]) -> None:
        error = kind("The collection says no.", next_step="Mend it.")
        with pytest.raises(kind) as caught:
            scene.carry_out(scene.act(refuse=[error]))
        assert caught.value is error
        assert (scene.operation.state, scene.operation.outcome) == (S.FAILED, {"sentence": "The collection says no."})
        assert scene.carry_out(scene.act(DONE)).attempt == 2

    @pytest.mark.parametrize("kind", [CredentialsRejected, ExportRefused])
    def test_a_request_that_did_not_go_out_leaves_the_intent(self, scene: Scene, kind: type[AlsError]) -> None:
        with pytest.raises(kind):
            scene.carry_out(scene.act(refuse=[kind("It was not sent.", next_step="Mend it.")]))
        assert scene.operation.state is S.INTENT
        assert scene.carry_out(scene.act(DONE)).attempt == 1

    def test_an_end_in_failure_closes_the_operation_and_is_raised(self, scene: Scene) -> None:
        error = TransferFailed("Globus ended the task as failed.", next_step="Mend it.")
        with pytest.raises(TransferFailed) as caught:
            scene.carry_out(scene.act(Ended(S.FAILED, error.sentence, {"sentence": error.sentence}, error)))
        assert caught.value is error
        row = scene.operation
        assert (row.state, row.outcome, row.finished_at) == (S.FAILED, {"sentence": error.sentence}, scene.clock())
        assert scene.ledger.audit.of("sand")[0].why == error.sentence

    def test_an_error_of_the_look_keeps_the_act_open(self, scene: Scene) -> None:
        with pytest.raises(TransferNeedsPerson):
            scene.carry_out(scene.act(TransferNeedsPerson("It is paused.", next_step="Resume it.")))
        assert scene.operation.state is S.SUBMITTED
        assert scene.carry_out(scene.act(DONE)).attempt == 1

    def test_an_end_that_is_no_end_is_refused(self, scene: Scene) -> None:
        with pytest.raises(IllegalTransition):
            scene.carry_out(scene.act(Ended(S.INTENT, "nonsense")))


class TestLostLease:
    """Whoever lost the lease leaves without another remote call."""

    def test_while_it_waited(self, scene: Scene) -> None:
        scene.while_waiting = [lambda: scene.ledger.operations.take(scene.operation.id, "run2", always)]
        act = scene.act(Running("half"), DONE)
        with pytest.raises(LeaseLost, match="Run run2 has taken over"):
            scene.carry_out(act)
        assert act.sent[1:] == ["poll of t1"], "no look after the loss"
        assert (scene.operation.state, scene.operation.holder) == (S.SUBMITTED, "run2")

    def test_while_it_looked(self, scene: Scene) -> None:
        def look() -> Ended:
            scene.ledger.operations.take(scene.operation.id, "run2", always)
            return DONE

        with pytest.raises(LeaseLost):
            scene.carry_out(scene.act(look))
        assert scene.operation.state is S.SUBMITTED, "the heir closes it"

    def test_while_it_submitted(self, scene: Scene) -> None:
        act = scene.act()

        def submit(operation: Operation) -> dict[str, Any]:
            scene.ledger.operations.take(operation.id, "run2", always)
            return {"task_id": "t9"}

        act.submit = submit  # type: ignore[method-assign]
        with pytest.raises(LeaseLost):
            scene.carry_out(act)
        assert scene.operation.handle == {} and scene.operation.state is S.INTENT and act.sent == []

    def test_while_its_request_was_refused(self, scene: Scene) -> None:
        act = scene.act()

        def submit(operation: Operation) -> dict[str, Any]:
            scene.ledger.operations.take(operation.id, "run2", always)
            raise TransferFailed("The collection says no.", next_step="Mend it.")

        act.submit = submit  # type: ignore[method-assign]
        with pytest.raises(LeaseLost):
            scene.carry_out(act)
        assert scene.operation.state is S.INTENT, "the heir's act is not closed"

    def test_right_after_it_was_taken(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        take = scene.ledger.operations.take

        def take_and_lose(operation_id: int, run_id: str, may_take_over: Callable[[str], bool]) -> Operation:
            mine = take(operation_id, run_id, may_take_over)
            take(operation_id, "run2", always)
            return mine

        monkeypatch.setattr(scene.ledger.operations, "take", take_and_lose)
        act = scene.act()
        with pytest.raises(LeaseLost):
            scene.carry_out(act)
        assert act.sent == []


def test_an_actor_by_itself_really_waits_and_says_nothing(ledger: Ledger, sand: Dataset, tmp_path: Path) -> None:
    """The defaults of ``Actor``: a wait of no length, and progress that goes nowhere."""
    act = ScriptedAct(ledger, [Running("half"), DONE], poll_s=0.0)
    assert carry_out(ledger, Actor("run1", never), act, after=0).state is S.SUCCEEDED
