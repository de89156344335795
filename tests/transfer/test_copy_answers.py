"""Bad, lost and late answers of Globus: none of them loses a task, makes a second one, or passes for a success."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import NERSC_RAW, RAW, Bench

from als_assets.errors import ServiceUnreachable, TransferFailed, TransferNeedsPerson, TransferStateUnknown
from als_assets.ledger import OperationState, ReplicaState, acting

ONLY_TASKS = "/v0.10/task/*"


@pytest.mark.parametrize("answer", [{"status": 500}, {"status": "drop"}], ids=["error 500", "connection dropped"])
def test_an_answer_lost_once_after_acceptance_starts_one_task(bench: Bench, answer: dict[str, Any]) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", after=True, **answer)

    bench.assert_arrives(scan, tasks=1)

    assert bench.newest(scan).handle["code"] == "Duplicate"


def test_answers_lost_for_good_leave_an_intent_that_the_next_run_adopts(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", after=True, status=502, times=None)

    with pytest.raises(ServiceUnreachable, match="502"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.INTENT
    assert bench.newest(scan).handle["prepared"]["submission_id"] == bench.tasks(scan)[0]["document"]["submission_id"]
    bench.control.clear_faults()
    bench.assert_arrives(scan, tasks=1)


def test_a_service_outage_while_the_task_runs_is_waited_out(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path=ONLY_TASKS, status=503, times=None)

    def tell(sentence: str) -> None:
        bench.told.append(sentence)
        bench.control.clear_faults()

    bench.copy(scan, RAW, bench.actor(tell=tell))

    assert bench.told[0].startswith("Globus answered 503 while looking at task")
    bench.assert_arrives(scan, tasks=1)


def test_an_outage_beyond_all_patience_fails_the_step_but_not_the_task(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = bench.admit()
    monkeypatch.setattr(acting, "PATIENCE", timedelta(0))
    bench.control.add_fault(where="http", path=ONLY_TASKS, status="drop", times=None)

    with pytest.raises(ServiceUnreachable, match="did not answer"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.SUBMITTED
    bench.control.clear_faults()
    bench.assert_arrives(scan, tasks=1)


def test_an_outage_while_the_copy_is_compared_is_waited_out(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path="/v0.10/operation/endpoint/*/stat", status=500, code="ExternalError.Broken", times=2)

    bench.assert_arrives(scan, tasks=1)

    assert any("ExternalError.Broken" in words for words in bench.told)


def test_an_unknown_state_is_red_and_the_task_is_followed_on(bench: Bench) -> None:
    scan = bench.admit()
    body = {"status": "DREAMING", "type": "TRANSFER"}
    bench.control.add_fault(where="http", method="GET", path=ONLY_TASKS, status=200, body=body)

    with pytest.raises(TransferStateUnknown, match="'DREAMING'"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.SUBMITTED
    bench.assert_arrives(scan, tasks=1)


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
    bench.control.add_fault(where="http", method="GET", path="/v0.10/task_list", status=200, body={"DATA": []})

    with pytest.raises(TransferFailed, match="does not know the task"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.FAILED
    bench.assert_arrives(scan, tasks=2)


def test_a_task_that_is_only_said_to_be_unknown_is_not_made_twice(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="GET", path=ONLY_TASKS, status=404, code="TaskNotFound", times=2)

    bench.assert_arrives(scan, tasks=1)

    assert any("both that task" in words for words in bench.told)


def test_an_answer_without_rows_is_unknown(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", path="*/skipped_errors", status=200, body={"something": "else"})

    with pytest.raises(TransferStateUnknown, match="a list without rows"):
        bench.copy(scan, RAW)

    bench.assert_arrives(scan, tasks=1)


def test_a_refused_request_is_closed_so_that_the_next_one_is_new(bench: Bench) -> None:
    """A request that Globus does not accept must not be repeated word for word for ever."""
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=400, code="ClientError.BadRequest", message="no")

    with pytest.raises(TransferFailed, match=r"ClientError\.BadRequest: no"):
        bench.copy(scan, RAW)

    assert bench.newest(scan).state is OperationState.FAILED
    assert bench.state(scan, RAW) is ReplicaState.EXPECTED
    bench.assert_arrives(scan, tasks=1)
    assert bench.newest(scan).attempt == 2


CONSENT = {"code": "ConsentRequired", "message": "Missing required data_access consent", "required_scopes": ["urn:globus:some:scope"]}


def test_a_missing_consent_is_given_by_the_identity_to_itself(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=403, body=CONSENT)
    before = len(bench.control.requests("POST", "/v2/oauth2/token"))

    bench.assert_arrives(scan, tasks=1)

    asked = bench.control.requests("POST", "/v2/oauth2/token")[before:]
    assert ["urn:globus:some:scope" in str(request["body"]) for request in asked] == [True], "one token request, with the scope"


def test_a_consent_that_does_not_help_is_a_matter_for_a_person(bench: Bench) -> None:
    scan = bench.admit()
    bench.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=403, body=CONSENT, times=None)

    with pytest.raises(TransferNeedsPerson, match=r"consent or a login for the identity 'mover'.*ConsentRequired") as caught:
        bench.copy(scan, RAW)

    assert caught.value.details["required_scopes"] == ["urn:globus:some:scope"]
    assert len([r for r in bench.control.requests("POST", "/v0.10/transfer") if scan.key in str(r["body"])]) == 2, (
        "repeated once, not for ever"
    )
    assert bench.tasks(scan) == []
    bench.control.clear_faults()
    bench.assert_arrives(scan, tasks=1)


def test_tokens_that_run_out_in_the_middle_are_renewed(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.control.expire_tokens("globus")

    bench.copy(scan, NERSC_RAW)

    assert bench.state(scan, NERSC_RAW) is ReplicaState.VERIFIED
