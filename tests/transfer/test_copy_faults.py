"""Copies that go wrong: each fault of Globus is red with Globus' own words, loses nothing, and is healed by trying again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import NERSC_RAW, RAW, Bench

from als_assets.errors import (
    CollectionResting,
    NoVerifiedSource,
    TransferDamaged,
    TransferFailed,
    TransferNeedsPerson,
)
from als_assets.ledger import OperationState, ReplicaState, acting
from als_assets.transfer import TaskState, globus_states
from als_assets.transfer.globus import GlobusMover

ONLY_TASKS = "/v0.10/task/*"


def test_a_failed_task_is_red_in_globus_words_and_the_retry_makes_the_copy(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="fail", code="ENDPOINT_ERROR", message="the disk at data832 is on fire")

    with pytest.raises(TransferFailed, match="ENDPOINT_ERROR: the disk at data832 is on fire") as caught:
        bench.copy(scan, RAW)

    (task,) = bench.tasks(scan)
    assert any("on fire" in event for event in caught.value.details["events"])
    assert caught.value.details["fatal_error"]["code"] == "ENDPOINT_ERROR"
    assert task["task_id"] in str(caught.value.details["link"])
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    assert (bench.newest(scan).state, bench.newest(scan).attempt) == (OperationState.FAILED, 1)
    bench.assert_arrives(scan, tasks=2)
    assert bench.newest(scan).attempt == 2


@pytest.mark.parametrize("fault", [{"action": "fail_at_percent", "percent": 99}, {"action": "quota"}], ids=["at 99 %", "quota"])
def test_a_task_that_fails_late_leaves_nothing_that_counts(bench: Bench, fault: dict[str, Any]) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", **fault)

    with pytest.raises(TransferFailed, match=r"ENDPOINT_ERROR|QUOTA_EXCEEDED"):
        bench.copy(scan, RAW)

    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    bench.assert_arrives(scan, tasks=2)


def test_an_inactive_task_waits_for_a_person_and_the_same_task_goes_on(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="inactive", message="the credentials have expired")

    with pytest.raises(TransferNeedsPerson, match="the credentials have expired") as caught:
        bench.copy(scan, RAW)

    assert "the same task goes on" in caught.value.next_step
    assert bench.newest(scan).state is OperationState.SUBMITTED
    assert bench.state(scan, RAW) is ReplicaState.COPYING
    with pytest.raises(TransferNeedsPerson):
        bench.copy(scan, RAW)
    bench.control.resume(bench.tasks(scan)[0]["task_id"])
    bench.control.wait_for(lambda: bench.tasks(scan)[0]["status"] != "INACTIVE", what="that the task goes on")
    bench.assert_arrives(scan, tasks=1)


def test_a_paused_task_is_waited_for_with_words(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="pause")

    def tell(sentence: str) -> None:
        bench.told.append(sentence)
        if "paused by a rule" in sentence:
            bench.control.clear_faults()

    bench.copy(scan, RAW, bench.actor(tell=tell))

    assert any(words.startswith("Waiting: it is paused by a rule") for words in bench.told)
    assert len(bench.tasks(scan)) == 1


def test_a_long_pause_sets_the_step_free_and_keeps_the_task(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "PATIENCE", timedelta(0))
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="pause")

    with pytest.raises(CollectionResting, match="paused by a rule") as caught:
        bench.copy(scan, RAW)

    assert "The task is kept" in caught.value.next_step
    assert bench.newest(scan).state is OperationState.SUBMITTED
    bench.control.clear_faults()
    bench.control.wait_for(lambda: bench.tasks(scan)[0]["status"] == "SUCCEEDED", what="the end of the pause")
    bench.assert_arrives(scan, tasks=1)


@pytest.mark.parametrize("action", ["flip", "truncate"])
def test_damage_on_the_way_once_is_healed_by_globus(bench: Bench, action: str) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action=action)

    receipt = bench.copy(scan, RAW)

    assert receipt.evidence["faults"] == 1
    bench.assert_arrives(scan, tasks=1)


def test_damage_again_and_again_ends_the_task(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="flip", times=None)

    with pytest.raises(TransferDamaged, match=r"damaged \d+ times \(checksums differ\)\. The task was cancelled") as caught:
        bench.copy(scan, RAW)

    (task,) = bench.tasks(scan)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert task["faults"] >= globus_states.DAMAGE_FAULTS
    assert any("VERIFY_CHECKSUM" in event for event in caught.value.details["events"])
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    bench.control.clear_faults()
    bench.assert_arrives(scan, tasks=2)


def test_a_file_that_is_closing_gets_its_time(bench: Bench) -> None:
    """FILE_NOT_FOUND is no verdict at first: the settle time of two minutes is far away."""
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="error", code="FILE_NOT_FOUND", times=4)

    bench.assert_arrives(scan, tasks=1)

    assert bench.newest(scan).outcome["task"]["faults"] == 4


def test_an_error_that_is_still_shown_while_bytes_move_is_no_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Globus shows an error for a quarter of an hour after it has passed; a late one must not end a long transfer."""
    monkeypatch.setattr(globus_states, "SETTLE", timedelta(seconds=1.5))
    scan = bench.admit(content=b"x" * 200_000)
    moved = iter(range(1, 100))
    look = GlobusMover.look

    def looked(self: GlobusMover, handle: Any) -> Any:
        view = look(self, handle)
        if view.state is not TaskState.ACTIVE:
            return view
        facts = {**view.facts, "nice_status": "PERMISSION_DENIED", "bytes_transferred": next(moved)}
        return replace(view, state=TaskState.HOPELESS, facts=facts)

    monkeypatch.setattr(GlobusMover, "look", looked)
    bench.control.add_fault(where="transfer", action="slow", bytes_per_s=60_000)

    bench.assert_arrives(scan, tasks=1)

    assert bench.newest(scan).handle["doubt"]["seen"][0] == "PERMISSION_DENIED"


def test_a_missing_file_is_given_up_after_the_settle_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globus_states, "SETTLE", timedelta(seconds=0.3))
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="error", code="FILE_NOT_FOUND", times=None)

    with pytest.raises(TransferFailed, match=r"the source is not there \(FILE_NOT_FOUND\)"):
        bench.copy(scan, RAW)

    assert bench.tasks(scan)[0]["fatal_error"]["code"] == "CANCELED"
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED


def test_a_place_where_the_mover_may_only_read_stays_untouched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector's disk is read-only for the mover's identity: an error of ours cannot write there."""
    monkeypatch.setattr(globus_states, "SETTLE", timedelta(seconds=0.3))
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.raw_file(scan, "spot832").unlink()

    with pytest.raises(TransferFailed, match=r"access is denied \(PERMISSION_DENIED\)"):
        bench.copy(scan, "spot832")

    assert not bench.raw_file(scan, "spot832").exists()


def test_a_damaged_source_is_not_copied_even_when_its_copy_is_wanted_again(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    for place in (RAW, "spot832"):
        bench.raw_file(scan, place).write_bytes(b"")

    with pytest.raises(NoVerifiedSource):
        bench.copy(scan, NERSC_RAW)

    assert len(bench.tasks(scan)) == 1
