"""Submitted once, whatever the network does with the answer; outages waited out; cancels believed when the job is gone."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from small_jobs import GOOD, Shop

from als_assets.compute import cancelling, submission
from als_assets.compute.cancelling import cancel_surely
from als_assets.errors import JobError, JobRefused, ServiceUnreachable
from als_assets.ledger import OperationState
from als_assets.ledger.acting import carry_out

JOBS = "/api/v1.2/compute/jobs/perlmutter"
COMMAND = "/api/v1.2/utilities/command/perlmutter"


def test_a_job_that_sbatch_refuses_is_told_in_its_words_and_the_next_attempt_is_new(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="refuse", message="sbatch: error: Unable to open file")

    with pytest.raises(JobRefused, match="sbatch: error: Unable to open file") as caught:
        nersc.do()

    assert "facility file" in caught.value.next_step
    assert nersc.jobs() == []
    assert nersc.operation.state is OperationState.FAILED, "an intent that was refused must not be repeated word for word"
    assert nersc.do(walltime_s=600).request["asked_s"] == 600


@pytest.mark.parametrize(
    "words", ["Invalid qos specification", "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"]
)
def test_a_qos_that_refuses_is_followed_by_the_next_in_the_list(nersc: Shop, words: str) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="refuse", message=f"sbatch: error: {words}")

    operation = nersc.do()

    (job,) = nersc.jobs()
    assert job["options"]["qos"] == "regular"
    assert operation.outcome["report"]["queue"] == "regular"
    assert operation.outcome["report"]["script"] == job["script"], "the report shows what was really submitted"
    assert "#SBATCH -q realtime" in operation.request["script"] and "#SBATCH -q regular" in operation.handle["script"]


def test_when_every_qos_refuses_the_last_words_are_told(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="refuse", message="sbatch: error: Invalid qos", times=2)

    with pytest.raises(JobRefused, match="Invalid qos"):
        nersc.do()

    assert nersc.jobs() == []


def test_a_refusal_that_was_none_is_found_out(nersc: Shop) -> None:
    """Slurm's 'Socket timed out' may come after the job was queued."""
    body = {"task_id": None, "status": "ERROR", "error": "sbatch: error: Socket timed out on send/recv operation"}
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, status=200, body=body)

    assert nersc.do().state is OperationState.SUCCEEDED

    assert (len(nersc.jobs()), nersc.runs()) == (1, 1)


@pytest.mark.parametrize("answer", [{"status": 502}, {"status": 500}, {"status": "drop"}, {"status": 200, "body": "<html>"}], ids=str)
def test_an_answer_lost_after_acceptance_starts_one_job_which_is_followed(
    nersc: Shop, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=30))
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, **answer)

    operation = nersc.do("sleep 0.2; " + GOOD)

    (job,) = nersc.jobs()
    assert operation.handle["job_id"] == job["jobid"]
    assert nersc.runs() == 1
    assert posts(nersc) == 1, "a POST that starts a job is never repeated"


def posts(nersc: Shop) -> int:
    return sum(nersc.key in str(r["body"]) for r in nersc.bench.control.requests("POST", JOBS))


def test_a_submission_that_takes_twelve_seconds_starts_one_job(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stock client started three; here the times are a twentieth: the client waits 0.3 s, the server takes 0.9 s."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=30))
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, delay_s=0.9)
    monkeypatch.setattr(nersc.transport.api._http, "timeout", 0.3)  # type: ignore[attr-defined]

    operation = nersc.do()

    (job,) = nersc.jobs()
    assert operation.handle["job_id"] == job["jobid"]
    assert (nersc.runs(), posts(nersc)) == (1, 1)


def test_a_request_that_was_lost_on_its_way_is_sent_again_by_the_next_attempt_only(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.3))
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, status=502)
    with pytest.raises(ServiceUnreachable, match="answered 502"):
        nersc.do()
    assert nersc.operation.state is OperationState.INTENT and nersc.operation.handle["asked_at"]
    assert (nersc.jobs(), posts(nersc)) == ([], 1)

    operation = nersc.do()

    assert operation.state is OperationState.SUCCEEDED
    assert (len(nersc.jobs()), nersc.runs(), posts(nersc)) == (1, 1, 2)
    assert len(nersc.bench.ledger.operations.of(nersc.key)) == 1, "one intent"


def test_the_next_attempt_waits_for_an_earlier_request_before_it_sends_its_own(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right after the request left, while the scheduler takes its time: the job shows up late, and is the one."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.2))
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, delay_s=1.2)
    monkeypatch.setattr(nersc.transport.api._http, "timeout", 0.3)  # type: ignore[attr-defined]
    with pytest.raises(ServiceUnreachable):
        nersc.do()
    assert nersc.jobs() == []

    monkeypatch.undo()
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=30))
    nersc.do()

    assert (len(nersc.jobs()), nersc.runs(), posts(nersc)) == (1, 1, 1)


def test_while_nothing_can_be_learnt_about_an_earlier_request_none_is_sent(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.3))
    control = nersc.bench.control
    held = control.add_fault(where="job", name=nersc.names, action="hold", times=1)
    control.add_fault(where="http", method="POST", path=JOBS, after=True, status=502)
    silent = control.add_fault(where="http", method="GET", path="/api/v1.2/account/", status=503, times=None)
    for _ in range(2):
        with pytest.raises(ServiceUnreachable, match="503"):
            nersc.do()
    assert (nersc.operation.state, posts(nersc)) == (OperationState.INTENT, 1)

    control.clear_fault(silent)
    control.clear_fault(held)
    nersc.do()

    assert (len(nersc.jobs()), nersc.runs(), posts(nersc)) == (1, 1, 1)


def test_a_second_copy_is_noticed_and_the_first_is_followed(nersc: Shop) -> None:
    """The worst case: both copies were taken by the scheduler, and the second is the one that we know of."""
    done = nersc.do("sleep 0.2; " + GOOD)
    handle, request = dict(done.handle), dict(done.request)
    second = nersc.transport.submit(request["name"], request["script"], nersc.log_dir)  # type: ignore[arg-type]
    assert nersc.ended(second).exit_code == "75:0"

    again = nersc.bench.ledger.operations.begin(f"{done.key}:again", done.kind, nersc.key, request)
    again = nersc.bench.ledger.operations.take(again.id, "a-run", lambda _run: True)
    nersc.bench.ledger.operations.submitted(again, **{**handle, "job_id": second})
    act = nersc.act(f"{done.key}:again")
    ended = carry_out(nersc.bench.ledger, nersc.bench.actor("a-run"), act, after=nersc.bench.ledger.operations.newest(act.dataset_key))

    assert ended.state is OperationState.SUCCEEDED
    assert ended.handle["job_id"] == handle["job_id"] != second
    assert any("was a second copy and did nothing" in words for words in nersc.bench.told)
    assert nersc.runs() == 1


def test_a_lost_answer_and_lists_that_lag_for_long_start_two_jobs_of_which_one_works(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither squeue nor sacct shows the first job in the whole grace time, and it has not begun: nobody can know of it."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.2))
    control = nersc.bench.control
    for action in ("hold", "lost"):
        control.add_fault(where="job", name=nersc.names, action=action, times=1)
    control.add_fault(where="http", method="POST", path=JOBS, after=True, status=502)
    with pytest.raises(ServiceUnreachable):
        nersc.do()

    operation = nersc.do()
    control.clear_faults()  # only now the first one begins

    first, second = nersc.jobs()
    control.wait_for(lambda: nersc.jobs()[0]["end"], what="the end of the first job")
    assert nersc.jobs()[0]["exit"] == [75, 0], "it found the claim and left"
    assert operation.state is OperationState.SUCCEEDED
    assert operation.handle["job_id"] == second["jobid"] != first["jobid"]
    assert nersc.runs() == 1


@pytest.mark.parametrize(
    "outage", [{"status": 503}, {"status": "drop"}, {"status": 200, "body": [1]}, {"status": 200, "body": "<html>"}], ids=str
)
def test_an_outage_while_the_job_runs_is_waited_out(nersc: Shop, outage: dict[str, Any]) -> None:
    def wait(_seconds: float) -> None:
        time.sleep(0.05)
        if nersc.operation.state is OperationState.SUBMITTED and not any("NERSC API" in words for words in nersc.bench.told):
            nersc.bench.control.add_fault(where="http", method="GET", path=JOBS, times=1, **outage)

    operation = nersc.do("sleep 0.5; " + GOOD, nersc.bench.actor(wait=wait))

    assert operation.state is OperationState.SUCCEEDED
    assert any(words.startswith("The NERSC API") for words in nersc.bench.told)
    assert nersc.runs() == 1


@pytest.mark.parametrize("path", [COMMAND, "/c2id/token"])
def test_an_outage_before_the_submission_submits_nothing_and_closes_the_intent(nersc: Shop, path: str) -> None:
    nersc.bench.control.expire_tokens("sfapi")
    nersc.bench.control.add_fault(where="http", method="POST", path=path, status=500, times=20)

    with pytest.raises(JobRefused, match="The job was not submitted: The NERSC API") as caught:
        nersc.do()

    assert caught.value.details["site_fault"], "it may be tried elsewhere at once"
    assert nersc.jobs() == []
    assert nersc.operation.state is OperationState.FAILED
    nersc.bench.control.clear_faults()
    nersc.do()
    assert nersc.runs() == 1


def test_a_cancel_is_believed_when_the_job_is_gone(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "CANCEL_LIMIT_S", 0.3)
    _, job_id = nersc.submit("for i in {1..600}; do sleep 0.1; done")
    nersc.wait_until_running()
    nersc.bench.control.add_fault(where="http", method="DELETE", path=f"{JOBS}/*", status=200, body={"status": "OK"})
    with pytest.raises(JobError, match="was cancelled, but after 0 s it is still running"):
        cancel_surely(nersc.transport, job_id)

    monkeypatch.undo()
    cancel_surely(nersc.transport, job_id)

    assert not nersc.view(job_id).live
