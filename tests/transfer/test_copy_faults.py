"""Copies that go wrong: each fault of Globus is red with Globus' own words, loses nothing, and is healed by trying again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import NERSC_RAW, RAW, Bench

from als_assets.errors import (
    NoVerifiedSource,
    ServiceUnreachable,
    TransferDamaged,
    TransferFailed,
    TransferNeedsPerson,
    TransferStateUnknown,
)
from als_assets.ledger import Dataset, OperationState, ReplicaState, acting
from als_assets.transfer import globus_states

ONLY_TASKS = "/v0.10/task/*"


def newest(bench: Bench, scan: Dataset) -> Any:
    return bench.ledger.operations.of(scan.key)[0]


def assert_arrives(bench: Bench, scan: Dataset, *, tasks: int) -> None:
    """A further attempt makes the copy, with so many tasks in all."""
    bench.copy(scan, RAW)
    assert bench.raw_file(scan, RAW).read_bytes() == bench.raw_file(scan, "spot832").read_bytes()
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED
    assert len(bench.tasks(scan)) == tasks
    assert bench.ledger.operations.open_with(f"transfer:{RAW}:{scan.raw_path}") is None


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
    assert (newest(bench, scan).state, newest(bench, scan).attempt) == (OperationState.FAILED, 1)
    assert_arrives(bench, scan, tasks=2)
    assert newest(bench, scan).attempt == 2


@pytest.mark.parametrize("fault", [{"action": "fail_at_percent", "percent": 99}, {"action": "quota"}], ids=["at 99 %", "quota"])
def test_a_task_that_fails_late_leaves_nothing_that_counts(bench: Bench, fault: dict[str, Any]) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", **fault)

    with pytest.raises(TransferFailed, match=r"ENDPOINT_ERROR|QUOTA_EXCEEDED"):
        bench.copy(scan, RAW)

    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    assert_arrives(bench, scan, tasks=2)


def test_an_inactive_task_waits_for_a_person_and_the_same_task_goes_on(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="inactive", message="the credentials have expired")

    with pytest.raises(TransferNeedsPerson, match="the credentials have expired") as caught:
        bench.copy(scan, RAW)

    assert "the same task goes on" in caught.value.next_step
    assert newest(bench, scan).state is OperationState.SUBMITTED
    assert bench.state(scan, RAW) is ReplicaState.COPYING
    with pytest.raises(TransferNeedsPerson):
        bench.copy(scan, RAW)
    bench.control.resume(bench.tasks(scan)[0]["task_id"])
    bench.control.wait_for(lambda: bench.tasks(scan)[0]["status"] != "INACTIVE", what="that the task goes on")
    assert_arrives(bench, scan, tasks=1)


def test_a_paused_task_is_kept_too(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="pause")

    with pytest.raises(TransferNeedsPerson, match="paused by a rule"):
        bench.copy(scan, RAW)

    bench.control.clear_faults()
    bench.control.wait_for(lambda: bench.tasks(scan)[0]["status"] == "SUCCEEDED", what="the end of the pause")
    assert_arrives(bench, scan, tasks=1)


@pytest.mark.parametrize("action", ["flip", "truncate"])
def test_damage_on_the_way_once_is_healed_by_globus(bench: Bench, action: str) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action=action)

    receipt = bench.copy(scan, RAW)

    assert receipt.evidence["faults"] == 1
    assert_arrives(bench, scan, tasks=1)


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
    assert_arrives(bench, scan, tasks=2)


def test_a_file_that_is_closing_gets_its_time(bench: Bench) -> None:
    """FILE_NOT_FOUND is no verdict at first: the settle time of two minutes is far away."""
    scan = bench.admit()
    bench.control.add_fault(where="transfer", action="error", code="FILE_NOT_FOUND", times=4)

    assert_arrives(bench, scan, tasks=1)

    assert newest(bench, scan).outcome["task"]["faults"] == 4


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


@pytest.mark.parametrize("answer", [{"status": 500}, {"status": "drop"}], ids=["error 500", "connection dropped"])
def test_an_answer_lost_once_after_acceptance_starts_one_task(bench: Bench, answer: dict[str, Any]) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", after=True, **answer)

    assert_arrives(bench, scan, tasks=1)

    assert newest(bench, scan).handle["code"] == "Duplicate"


def test_answers_lost_for_good_leave_an_intent_that_the_next_run_adopts(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", after=True, status=502, times=None)

    with pytest.raises(ServiceUnreachable, match="502"):
        bench.copy(scan, RAW)

    assert newest(bench, scan).state is OperationState.INTENT
    assert newest(bench, scan).handle["prepared"]["submission_id"] == bench.tasks(scan)[0]["document"]["submission_id"]
    bench.control.clear_faults()
    assert_arrives(bench, scan, tasks=1)


def test_a_service_outage_while_the_task_runs_is_waited_out(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path=ONLY_TASKS, status=503, times=None)

    def tell(sentence: str) -> None:
        bench.told.append(sentence)
        bench.control.clear_faults()

    bench.copy(scan, RAW, bench.actor(tell=tell))

    assert bench.told[0].startswith("Globus answered 503 while looking at task")
    assert_arrives(bench, scan, tasks=1)


def test_an_outage_beyond_all_patience_fails_the_step_but_not_the_task(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = bench.admit()
    monkeypatch.setattr(acting, "PATIENCE", timedelta(0))
    bench.control.add_fault(where="http", path=ONLY_TASKS, status="drop", times=None)

    with pytest.raises(ServiceUnreachable, match="did not answer"):
        bench.copy(scan, RAW)

    assert newest(bench, scan).state is OperationState.SUBMITTED
    bench.control.clear_faults()
    assert_arrives(bench, scan, tasks=1)


def test_an_outage_while_the_copy_is_compared_is_waited_out(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path="/v0.10/operation/endpoint/*/stat", status=500, code="ExternalError.Broken", times=2)

    assert_arrives(bench, scan, tasks=1)

    assert any("ExternalError.Broken" in words for words in bench.told)


def test_an_unknown_state_is_red_and_the_task_is_followed_on(bench: Bench) -> None:
    scan = bench.admit()
    body = {"status": "DREAMING", "type": "TRANSFER"}
    bench.control.add_fault(where="http", method="GET", path=ONLY_TASKS, status=200, body=body)

    with pytest.raises(TransferStateUnknown, match="'DREAMING'"):
        bench.copy(scan, RAW)

    assert newest(bench, scan).state is OperationState.SUBMITTED
    assert_arrives(bench, scan, tasks=1)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"verify_checksum": False}, "did not compare checksums"),
        ({"verify_checksum": True, "subtasks_skipped_errors": 2}, r"left out 2 file\(s\)"),
    ],
)
def test_a_success_that_is_none_is_red(bench: Bench, lie: dict[str, Any], words: str) -> None:
    scan = bench.admit()
    body = {"status": "SUCCEEDED", "type": "TRANSFER", **lie}
    bench.control.add_fault(where="http", method="GET", path=ONLY_TASKS, status=200, body=body)

    with pytest.raises(TransferFailed, match=words):
        bench.copy(scan, RAW)

    assert bench.state(scan, RAW) is ReplicaState.EXPECTED


def test_a_task_that_globus_forgot_is_made_anew(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="GET", path=ONLY_TASKS, status=404, code="TaskNotFound")

    with pytest.raises(TransferFailed, match="does not know the task"):
        bench.copy(scan, RAW)

    assert newest(bench, scan).state is OperationState.FAILED
    assert_arrives(bench, scan, tasks=2)


def test_a_refused_request_is_closed_so_that_the_next_one_is_new(bench: Bench) -> None:
    """A request that Globus does not accept must not be repeated word for word for ever."""
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=400, code="ClientError.BadRequest", message="no")

    with pytest.raises(TransferFailed, match=r"ClientError\.BadRequest: no"):
        bench.copy(scan, RAW)

    assert newest(bench, scan).state is OperationState.FAILED
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    assert_arrives(bench, scan, tasks=1)
    assert newest(bench, scan).attempt == 2


def test_a_missing_consent_is_a_matter_for_a_person(bench: Bench) -> None:
    scan = bench.admit()
    body = {"code": "ConsentRequired", "message": "Missing required data_access consent", "required_scopes": ["urn:globus:some:scope"]}
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=403, body=body)

    with pytest.raises(TransferNeedsPerson, match=r"consent or a login for the identity 'mover'.*ConsentRequired"):
        bench.copy(scan, RAW)

    assert bench.tasks(scan) == []
    assert_arrives(bench, scan, tasks=1)


def test_tokens_that_run_out_in_the_middle_are_renewed(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.control.expire_tokens("globus")

    bench.copy(scan, NERSC_RAW)

    assert bench.state(scan, NERSC_RAW) is ReplicaState.VERIFIED


def test_a_damaged_source_is_not_copied_even_when_its_copy_is_wanted_again(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    for place in (RAW, "spot832"):
        bench.raw_file(scan, place).write_bytes(b"")

    with pytest.raises(NoVerifiedSource):
        bench.copy(scan, NERSC_RAW)

    assert len(bench.tasks(scan)) == 1
