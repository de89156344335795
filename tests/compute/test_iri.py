"""OLCF over the IRI API: the subset that it offers, jobs followed to the truth, and every way to fail told in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from iri_shop import OLCF, olcf
from small_jobs import GOOD, Shop

from als_assets.compute import submission
from als_assets.errors import CredentialsRejected, JobFailed, JobLost, JobRefused, ServiceUnreachable
from als_assets.ledger import OperationState

__all__ = ["olcf"]

JOBS, STATUS = f"{OLCF}/compute/job/*", f"{OLCF}/compute/status/*"
LOOP = "for i in {1..600}; do sleep 0.1; done"


def report_of(caught: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    return dict(caught.value.details["report"])


# --- a job's life ------------------------------------------------------------------------------------------------------------


def test_the_request_is_what_olcf_is_known_to_take(olcf: Shop) -> None:
    name, job_id = olcf.submit(walltime_s=600)
    olcf.ended(job_id)

    (request,) = [r["body"] for r in olcf.bench.control.requests("POST", JOBS) if r["body"]["name"] == name]
    assert request["executable"] == "/bin/bash" and request["arguments"][0] == "-lc"
    assert request["attributes"] == {"duration": 600, "queue_name": "batch", "account": "als", "custom_attributes": {}}
    assert request["resources"] == {"node_count": 1, "process_count": 1, "processes_per_node": 1, "exclusive_node_use": True}
    assert (request["stdout_path"], request["stderr_path"]) == ("/dev/null", "/dev/null"), "the script opens its logs itself"


def test_the_job_makes_its_folder_of_logs(olcf: Shop) -> None:
    olcf.log_dir = olcf.log_dir / "of a new day"

    assert olcf.do().state is OperationState.SUCCEEDED


def test_a_folder_that_cannot_be_made_is_red(olcf: Shop) -> None:
    olcf.log_dir = olcf.log_dir / "blocked"
    olcf.log_dir.parent.mkdir(parents=True, exist_ok=True)
    olcf.log_dir.touch()

    with pytest.raises(JobFailed, match="exit code 73"):
        olcf.do()


def test_cancelling_is_believed_when_the_scheduler_says_so(olcf: Shop) -> None:
    _, job_id = olcf.submit(LOOP)
    olcf.wait_until_running()

    olcf.transport.cancel(job_id)

    assert olcf.view(job_id).state == "CANCELLED"
    olcf.transport.cancel(job_id)  # once more does no harm
    olcf.transport.cancel("999")


def test_a_cancelling_that_the_site_forgot_is_told(olcf: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("als_assets.compute.iri.transport._CANCEL_TIMEOUT_S", 0.2)
    _, job_id = olcf.submit(LOOP)
    olcf.wait_until_running()
    fault = olcf.bench.control.add_fault(where="http", method="DELETE", path=f"{OLCF}/compute/cancel/*", status=204, body="")

    with pytest.raises(ServiceUnreachable, match=r"took the cancelling .* still running"):
        olcf.transport.cancel(job_id)

    olcf.bench.control.clear_fault(fault)
    olcf.transport.cancel(job_id)


# --- what a scheduler can say ------------------------------------------------------------------------------------------------

# OLCF's API folds all of Slurm's words into 'failed': what is left of the reason is whether a program gave an exit code.
ENDS = [
    ({"action": "node_fail"}, "FAILED_WITHOUT_REASON", "not known here"),
    ({"action": "kill"}, "FAILED_WITHOUT_REASON", "not known here"),
    ({"action": "state", "state": "OUT_OF_MEMORY"}, "FAILED_WITHOUT_REASON", "not known here"),
    ({"action": "state", "state": "CANCELLED"}, "CANCELLED", "was cancelled at the site"),
    ({"action": "state", "state": "GREMLINS"}, "FAILED", "failed with exit code 1"),
]


@pytest.mark.parametrize(("fault", "state", "words"), ENDS, ids=[f"{f.get('state', f['action'])}" for f, *_ in ENDS])
def test_every_end_is_red(olcf: Shop, fault: dict[str, Any], state: str, words: str) -> None:
    olcf.bench.control.add_fault(where="job", name=olcf.names, delay_s=0.1, **fault)

    with pytest.raises(JobFailed, match=words) as caught:
        olcf.do(LOOP)

    assert report_of(caught)["state"] == state


def test_a_job_that_accounting_learns_of_late_is_waited_for(olcf: Shop) -> None:
    olcf.bench.control.add_fault(where="job", name=olcf.names, action="sacct_lag", lag_s=0.5)

    assert olcf.do().state is OperationState.SUCCEEDED
    assert any("waiting for its record" in sentence for sentence in olcf.bench.told)


def test_a_stale_cache_is_waited_out(olcf: Shop) -> None:
    olcf.bench.control.add_fault(where="job", name=olcf.names, action="stale_cache", lag_s=0.5)

    operation = olcf.do()

    assert operation.outcome["report"]["reason"] == "none"
    assert olcf.runs() == 1


def test_a_job_that_nobody_knows_is_lost_only_after_the_grace_time(olcf: Shop) -> None:
    olcf.bench.control.add_fault(where="job", name=olcf.names, action="lost")
    clock, began = olcf.bench.ledger.clock, time.monotonic()

    def wait(_seconds: float) -> None:
        time.sleep(0.02)
        if time.monotonic() - began > 0.3:
            olcf.bench.ledger.clock = lambda: clock() + timedelta(minutes=6)  # type: ignore[method-assign]

    try:
        with pytest.raises(JobLost, match="not known to the scheduler any more"):
            olcf.do(actor=olcf.bench.actor(wait=wait))
    finally:
        olcf.bench.ledger.clock = clock  # type: ignore[method-assign]


# --- submitting once -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"status": 502}, {"status": "drop"}, {"status": 200, "body": "<html>"}], ids=str)
def test_an_answer_lost_after_acceptance_starts_one_job(olcf: Shop, answer: dict[str, Any]) -> None:
    olcf.bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, **answer)

    operation = olcf.do("sleep 0.2; " + GOOD)

    (job,) = olcf.jobs()
    assert operation.handle["job_id"] == job["jobid"]
    assert operation.state is OperationState.SUCCEEDED
    assert olcf.runs() == 1


def test_a_submission_that_takes_longer_than_we_wait_starts_one_job(olcf: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 12 s of a slow site against a client that waits 60 s, both made shorter."""
    olcf.bench.control.add_fault(where="http", method="POST", path=JOBS, delay_s=0.6)
    monkeypatch.setattr(olcf.transport._api._http, "timeout", 0.3)  # type: ignore[attr-defined]

    operation = olcf.do()

    (job,) = olcf.jobs()
    assert operation.handle["job_id"] == job["jobid"]
    assert olcf.runs() == 1


def test_a_second_copy_of_a_job_that_waited_unseen_works_once(olcf: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """OLCF's list shows no names: a job that has not begun cannot be found. Its second copy finds the claim, and it is followed."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.2))
    olcf.bench.control.add_fault(where="job", name=olcf.names, action="hold", times=1)
    olcf.bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, status=502)
    with pytest.raises(ServiceUnreachable):
        olcf.do()

    def tell(sentence: str) -> None:
        olcf.bench.told.append(sentence)
        olcf.bench.control.clear_faults()  # both begin now

    operation = olcf.do(actor=olcf.bench.actor(tell=tell))

    assert operation.state is OperationState.SUCCEEDED
    assert len(olcf.jobs()) == 2
    assert olcf.runs() == 1, "both were started, one worked"


def test_a_refusal_is_told_in_the_sites_words(olcf: Shop) -> None:
    olcf.bench.control.add_fault(where="job", name=olcf.names, action="refuse", message="sbatch: error: Invalid account")

    with pytest.raises(JobRefused, match=r"OLCF .* refused the job .*: sbatch: error: Invalid account"):
        olcf.do()

    assert olcf.jobs() == []


@pytest.mark.parametrize("outage", [{"status": 503, "times": 3}, {"status": "drop"}, {"status": 200, "body": [1]}], ids=str)
def test_an_outage_while_the_job_runs_is_waited_out(olcf: Shop, outage: dict[str, Any]) -> None:
    go = olcf.output / "go"

    def wait(_seconds: float) -> None:
        time.sleep(0.02)
        if not go.exists() and olcf.runs():
            olcf.bench.control.add_fault(where="http", method="GET", path=STATUS, **outage)
            go.touch()

    operation = olcf.do(f"while [ ! -e go ]; do sleep 0.02; done; {GOOD}", olcf.bench.actor(wait=wait))

    assert operation.state is OperationState.SUCCEEDED
    assert any(words.startswith("The IRI API of OLCF") for words in olcf.bench.told)
    assert olcf.runs() == 1


def test_an_outage_before_the_submission_submits_nothing(olcf: Shop) -> None:
    olcf.transport._known_id = ""  # type: ignore[attr-defined]
    olcf.bench.control.add_fault(where="http", path=f"{OLCF}/status/resources", status=503)

    with pytest.raises(JobRefused, match=r"was not submitted: .* answered 503"):
        olcf.do()

    assert olcf.jobs() == []


# --- the token and the site ------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_told_and_a_new_one_works_without_a_restart(olcf: Shop) -> None:
    file = olcf.bench.box.root / "secrets" / "olcf-token"
    good = file.read_text()
    file.write_text("an-old-token")
    words = r"OLCF .* refused the token in file .*olcf-token \(401: Invalid or expired token\)"
    try:
        with pytest.raises(CredentialsRejected, match=words) as caught:
            olcf.submit()
    finally:
        file.write_text(good)

    assert "an-old-token" not in f"{caught.value} {caught.value.next_step}"
    assert "no restart is needed" in caught.value.next_step
    assert olcf.do().state is OperationState.SUCCEEDED
    assert olcf.runs() == 1


def test_the_end_of_the_token_is_what_olcf_says(olcf: Shop) -> None:
    ends = olcf.transport.credential_expiry()  # type: ignore[attr-defined]

    assert timedelta(days=9) < ends - datetime.now(UTC) < timedelta(days=11)


def test_health_and_maintenance(olcf: Shop) -> None:
    control, health = olcf.bench.control, olcf.transport.health  # type: ignore[attr-defined]
    begin, end = datetime(2099, 1, 1, 8, tzinfo=UTC), datetime(2099, 1, 1, 18, tzinfo=UTC)
    try:
        assert health().ok and health().outage_from is None, "a page of incidents that is not there is no incident"
        control.set_iri("olcf", "up", [{"start": begin.isoformat(), "end": end.isoformat()}])
        told = health()
        assert (told.ok, told.outage_from, told.outage_to) == (True, begin, end)
        assert "maintenance from 2099-01-01 08:00 to 2099-01-01 18:00 UTC" in told.sentence
        control.set_iri("olcf", "down")
        assert not health().ok and "is down" in health().sentence
    finally:
        control.set_iri("olcf")


def test_a_machine_that_has_another_name_is_an_error_of_the_facility_file(olcf: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = olcf.transport
    monkeypatch.setattr(transport, "_known_id", "")
    monkeypatch.setattr(transport, "_setup", transport._setup.model_copy(update={"resource": "summit"}))  # type: ignore[attr-defined]

    with pytest.raises(Exception, match=r"has 0 machines named 'summit' \(it tells of: frontier\)"):
        olcf.submit()


def test_a_machine_whose_id_changed_is_found_again(olcf: Shop) -> None:
    _, job_id = olcf.submit()
    olcf.transport._known_id = "00000000-0000-0000-0000-000000000000"  # type: ignore[attr-defined]

    assert olcf.ended(job_id).state == "COMPLETED"
