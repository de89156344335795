"""The way to NERSC: jobs, looks, files and logs over the real API, and what it makes of bad answers."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from small_jobs import GOOD, Shop

from als_assets.compute.sfapi import api as sfapi_api
from als_assets.compute.sfapi.api import SfapiApi
from als_assets.errors import JobRefused, ServiceUnreachable

API = "/api/v1.2"
JOBS, COMMAND, TASKS = f"{API}/compute/jobs/perlmutter", f"{API}/utilities/command/perlmutter", f"{API}/tasks/*"


# --- jobs ------------------------------------------------------------------------------------------------------------------


def test_a_job_from_submission_to_its_end(nersc: Shop) -> None:
    hold = nersc.bench.control.add_fault(where="job", name=nersc.names, action="hold", times=1)
    name, job_id = nersc.submit("sleep 0.3; " + GOOD)

    assert nersc.find(name) == job_id
    nersc.bench.control.wait_for(lambda: nersc.view(job_id).nodes == "(JobHeldAdmin)", what="the reason for waiting")
    assert nersc.view(job_id).state == "PENDING" and nersc.view(job_id).live
    nersc.bench.control.clear_fault(hold)
    nersc.bench.control.wait_for(lambda: nersc.view(job_id).state == "RUNNING", what="the start")
    view = nersc.ended(job_id)

    assert (view.state, view.exit_code, view.derived) == ("COMPLETED", "0:0", "0:0")
    assert view.nodes == "nid001234" and view.max_rss.endswith("K")
    assert view.queue_wait_s is not None and view.used_s is not None
    assert nersc.find(name) == job_id, "accounting finds it after its end"


def test_the_log_folder_is_made_before_the_job(nersc: Shop) -> None:
    nersc.log_dir = nersc.log_dir / "of a new day"
    assert not nersc.log_dir.exists()

    with pytest.raises(JobRefused):
        nersc.submit()  # a blank in #SBATCH is refused, not misread

    assert nersc.log_dir.is_dir()


def test_a_name_that_was_never_submitted_is_not_found(nersc: Shop) -> None:
    assert nersc.find("als-test-never") is None
    assert nersc.view("999") is None


def test_only_the_job_with_exactly_this_name_is_found(nersc: Shop) -> None:
    name, job_id = nersc.submit()

    assert nersc.find(name[:-1]) is None
    assert nersc.find(name + "x") is None
    nersc.ended(job_id)


def test_cancelling_is_believed_when_the_scheduler_says_so(nersc: Shop) -> None:
    _, job_id = nersc.submit("for i in {1..600}; do sleep 0.1; done")
    nersc.wait_until_running()

    nersc.transport.cancel(job_id)

    assert nersc.ended(job_id).state == "CANCELLED by 1"


@pytest.mark.parametrize(
    "answer",
    [
        {"task_id": None, "status": "ERROR", "error": "sbatch: error: no such account"},
        {"status": "ERROR", "error": "sbatch: error: no such account"},
    ],
)
def test_a_refusal_without_a_task(nersc: Shop, answer: dict[str, Any]) -> None:
    nersc.bench.control.add_fault(where="http", method="POST", path=JOBS, status=200, body=answer)

    with pytest.raises(JobRefused, match="no such account"):
        nersc.submit()


@pytest.mark.parametrize(
    "task",
    [
        {"status": "failed", "result": '{"status": "error", "error": "sbatch: error: Invalid qos"}'},
        {"status": "completed", "result": '{"status": "error", "jobid": null, "error": "sbatch: error: Invalid qos"}'},
        {"status": "failed", "result": "sbatch: error: Invalid qos"},
        {"status": "failed", "result": '["sbatch: error: Invalid qos"]'},
    ],
)
def test_a_refusal_by_a_task_of_any_shape(nersc: Shop, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]) -> None:
    monkeypatch.setattr(SfapiApi, "command", lambda self, command: "")
    nersc.bench.control.add_fault(where="http", path=TASKS, status=200, body=task)

    with pytest.raises(JobRefused, match="Invalid qos"):
        nersc.submit()


def test_a_cancelled_submission_is_a_refusal(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SfapiApi, "command", lambda self, command: "")
    nersc.bench.control.add_fault(where="http", path=TASKS, status=200, body={"status": "cancelled", "result": None})

    with pytest.raises(JobRefused, match="the task cancelled"):
        nersc.submit()


def test_a_task_that_never_ends_is_an_outage(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfapi_api, "_TASK_TIMEOUT_S", 0.2)
    nersc.bench.control.add_fault(where="http", path=TASKS, status=200, body={"status": "new", "result": None}, times=None)

    with pytest.raises(ServiceUnreachable, match="did not finish the task"):
        nersc.submit()


# --- bad answers -------------------------------------------------------------------------------------------------------------

BAD_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"status": 502}, "answered 502 to GET"),
    ({"status": 404}, "answered 404 to GET"),
    ({"status": "drop"}, "did not answer"),
    ({"status": 200, "body": "<html>maintenance</html>"}, "not JSON"),
    ({"status": 200, "body": [1, 2]}, "a list or a word"),
    ({"status": 200, "body": {"status": "ERROR", "output": None, "error": "slurmctld is down"}}, "could not list jobs: slurmctld is down"),
    ({"status": 200, "body": {}}, "could not list jobs: None"),
]


@pytest.mark.parametrize(("answer", "words"), BAD_ANSWERS, ids=[words for _, words in BAD_ANSWERS])
def test_an_answer_that_says_nothing_about_the_job_is_an_outage(nersc: Shop, answer: dict[str, Any], words: str) -> None:
    nersc.bench.control.add_fault(where="http", method="GET", path=JOBS, **answer)

    with pytest.raises(ServiceUnreachable, match=f"The NERSC API .*{words}"):
        nersc.view("1")


def test_an_account_without_a_name_is_an_outage(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="http", path=f"{API}/account/", status=200, body={})

    with pytest.raises(ServiceUnreachable, match="whose jobs"):
        nersc.find("x")


def test_a_command_that_got_no_task_is_an_outage(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="http", path=COMMAND, status=200, body={"status": "OK"})

    with pytest.raises(ServiceUnreachable, match="without a task"):
        nersc.transport.tail(PurePosixPath("/x"), 1)


# --- files -----------------------------------------------------------------------------------------------------------------------


def test_a_listing_shows_every_file_below_a_folder(nersc: Shop) -> None:
    names = ["plain.tiff", "deep/er/x.tiff", "with blank 'and' \"quotes\";$(touch owned).txt", "größe.json", ".zattrs", "-rf"]
    for number, name in enumerate(names):
        file = nersc.output / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * number)

    assert nersc.transport.listing(PurePosixPath(nersc.output)) == {name: number for number, name in enumerate(names)}
    assert nersc.transport.listing(PurePosixPath(nersc.output / "deep/er/x.tiff")) == {"": 1}
    assert nersc.transport.listing(PurePosixPath(nersc.output / "absent")) is None
    (nersc.output / "empty").mkdir()
    assert nersc.transport.listing(PurePosixPath(nersc.output / "empty")) == {}


def test_a_hostile_path_is_only_a_path(nersc: Shop, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()

    assert nersc.transport.listing(PurePosixPath(f"/x'; rm {victim}; echo '")) is None
    assert nersc.transport.tail(PurePosixPath(f"/x$(rm {victim})"), 3) == ""

    assert victim.exists()


def test_a_tail_is_the_end_of_a_long_log(nersc: Shop) -> None:
    nersc.output.mkdir(parents=True)
    log = nersc.output / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))

    assert nersc.transport.tail(PurePosixPath(log), 3) == "line 99997\nline 99998\nline 99999"
    assert nersc.transport.tail(PurePosixPath(nersc.output / "absent"), 3) == ""


def test_a_listing_that_the_site_refuses_is_an_outage(nersc: Shop) -> None:
    result = json.dumps({"status": "error", "output": "", "error": "find: permission denied", "exit_code": 1})
    nersc.bench.control.add_fault(where="http", path=TASKS, status=200, body={"status": "completed", "result": result})

    with pytest.raises(ServiceUnreachable, match="find: permission denied"):
        nersc.transport.listing(PurePosixPath("/x"))
