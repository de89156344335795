"""Jobs followed to the truth: done once, and every way to fail told in words, at NERSC over the real API and on this machine."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import Bench
from small_jobs import GOOD, Shop

from als_assets.compute import act as act_module
from als_assets.compute.sfapi.api import SfapiApi
from als_assets.errors import BadOutput, ExportRefused, JobFailed, JobLost
from als_assets.ledger import OperationState

JOBS = "/api/v1.2/compute/jobs/perlmutter"
COMMAND = "/api/v1.2/utilities/command/perlmutter"


def report_of(caught: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    report = caught.value.details["report"]
    assert report["sentence"] == caught.value.sentence
    return dict(report)


# --- at both kinds of site --------------------------------------------------------------------------------------------------


def test_a_good_job_runs_once_and_its_report_has_all_the_facts(shop: Shop) -> None:
    operation = shop.do()

    report = operation.outcome["report"]
    assert shop.runs() == 1
    assert operation.state is OperationState.SUCCEEDED
    assert (report["reason"], report["state"], report["step"]) == ("none", "COMPLETED", "work")
    assert (report["stdout_tail"], report["stderr_tail"]) == ("working", "started")
    assert report["site"] == shop.site and report["asked_s"] == 300
    assert report["nodes"] and report["used_s"] is not None
    assert report["log_path"] == str(shop.log("err"))
    assert report["sentence"].startswith(f"The work on {shop.key} at ") and "succeeded" in report["sentence"]
    assert operation.request["script"].startswith("#!/bin/bash"), "the script is on record"


def test_a_job_that_was_done_is_not_done_again(shop: Shop) -> None:
    first = shop.do()

    again = shop.do()

    assert again.id == first.id
    assert shop.runs() == 1


def test_a_program_that_exits_3_is_red_with_its_last_words(shop: Shop) -> None:
    noise = "for i in {1..60}; do echo line $i >&2; done; echo some output; echo 'the flats are missing.' >&2; exit 3"

    with pytest.raises(JobFailed, match=r"failed with exit code 3 in step 'work'.*: the flats are missing\.$") as caught:
        shop.do(noise)

    report = report_of(caught)
    assert report["exit_code"] == "3:0"
    assert report["stderr_tail"].splitlines() == [*[f"line {i}" for i in range(22, 61)], "the flats are missing."]
    assert report["stdout_tail"] == "some output"
    assert "last lines of its log" in caught.value.next_step
    assert shop.operation.state is OperationState.FAILED
    assert shop.do().attempt == 2, "a retry is a new job"
    assert shop.runs() == 2


def test_a_job_that_lies_about_its_output_is_red(shop: Shop) -> None:
    with pytest.raises(BadOutput, match=r"its output is incomplete \(done\.txt is missing\)") as caught:
        shop.do("true")

    assert report_of(caught)["reason"] == "bad_output"


def test_a_job_without_its_result_file_is_red(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    look_many = type(shop.transport).look_many

    def and_the_disk_forgets(self: Any, job_ids: Any) -> Any:
        views = look_many(self, job_ids)
        if any(not view.live for view in views.values()):
            shop.log("result.json").unlink()
        return views

    monkeypatch.setattr(type(shop.transport), "look_many", and_the_disk_forgets)
    with pytest.raises(BadOutput, match="ended without writing its result file"):
        shop.do()


@pytest.mark.parametrize("garbage", ["{half", "[1]", '{"exit": "0"}', "null"])
def test_a_result_that_nobody_can_read_counts_as_none(shop: Shop, monkeypatch: pytest.MonkeyPatch, garbage: str) -> None:
    tail = type(shop.transport).tail
    monkeypatch.setattr(type(shop.transport), "tail", lambda self, path, n: garbage if path.suffix == ".json" else tail(self, path, n))

    with pytest.raises(BadOutput, match="without writing its result file"):
        shop.do()


def test_a_cancelled_job_is_told_as_cancelled(shop: Shop) -> None:
    def wait(_seconds: float) -> None:
        if shop.runs():
            shop.bench.platform.compute.cancel(shop.operation)
        time.sleep(0.05)

    with pytest.raises(JobFailed, match="was cancelled by this platform") as caught:
        shop.do("for i in {1..600}; do sleep 0.1; done", shop.bench.actor(wait=wait))

    assert report_of(caught)["reason"] == "cancelled_by_platform"
    assert shop.operation.state is OperationState.CANCELLED


def test_progress_is_told(shop: Shop) -> None:
    shop.do("sleep 0.5; " + GOOD)

    assert any("running" in sentence for sentence in shop.bench.told)


def test_a_flagged_scan_is_computed_at_home_only(bench: Bench, nersc: Shop, at_home: Shop) -> None:
    for shop in (nersc, at_home):
        bench.ledger.datasets.set_release(shop.key, may_leave=False, reason="the sponsor said so")

    with pytest.raises(ExportRefused, match="the sponsor said so"):
        nersc.do()

    assert nersc.jobs() == []
    assert nersc.key not in str(bench.control.requests(path="/api/v1.2/*"))
    assert at_home.do().state is OperationState.SUCCEEDED


# --- what a scheduler can say ------------------------------------------------------------------------------------------------

FAULTS = [
    ({"action": "node_fail"}, "node_fail", "its node failed", "the fault is the site's"),
    ({"action": "kill"}, "exit_code", "killed by signal 9", "re-execute"),
    ({"action": "state", "state": "OUT_OF_MEMORY"}, "out_of_memory", "ran out of memory", "more memory"),
    ({"action": "state", "state": "TIMEOUT"}, "timeout", "ran into its time limit", "longer walltime"),
    ({"action": "state", "state": "PREEMPTED"}, "preempted", "more urgent job", "Re-execute"),
    ({"action": "state", "state": "BOOT_FAIL"}, "node_fail", "its node failed", "Re-execute"),
    ({"action": "state", "state": "DEADLINE"}, "deadline", "missed its deadline", "another site"),
    ({"action": "state", "state": "GREMLINS"}, "unknown", r"not known here \('GREMLINS'\)", "Tell an operator"),
]


@pytest.mark.parametrize(("fault", "reason", "words", "next_step"), FAULTS, ids=[f"{f.get('state', f['action'])}" for f, *_ in FAULTS])
def test_every_end_is_told_in_plain_words_and_the_retry_succeeds(
    nersc: Shop, fault: dict[str, Any], reason: str, words: str, next_step: str
) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, delay_s=0.2, **fault)

    with pytest.raises(JobFailed, match=words) as caught:
        nersc.do("for i in {1..600}; do sleep 0.1; done")

    assert report_of(caught)["reason"] == reason
    assert next_step in caught.value.next_step
    assert f"(job {nersc.jobs()[0]['jobid']})" in caught.value.sentence
    nersc.do()
    assert len(nersc.jobs()) == 2


def test_completed_with_a_bad_exit_code_at_the_scheduler_is_red(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="exit", exit_code=9)

    with pytest.raises(JobFailed, match="exit code 9"):
        nersc.do()


def test_a_real_time_limit(nersc: Shop) -> None:
    with pytest.raises(JobFailed, match="ran into its time limit") as caught:
        nersc.do("for i in {1..600}; do sleep 0.1; done", walltime_s=1)

    report = report_of(caught)
    assert (report["state"], report["asked_s"], report["step"]) == ("TIMEOUT", 1, "work"), "the result was written by the warning"


def test_logs_that_cannot_be_opened_are_a_launch_failure(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SfapiApi, "command", lambda self, command: "")  # no log folder is made
    nersc.log_dir = nersc.log_dir / "absent"

    with pytest.raises(JobFailed, match="could not be started by the site"):
        nersc.do()


def test_a_job_that_accounting_learns_of_late_is_waited_for(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="sacct_lag", lag_s=0.7)

    operation = nersc.do()

    assert operation.state is OperationState.SUCCEEDED
    assert any("waiting for its record" in sentence for sentence in nersc.bench.told)


def test_a_job_that_nobody_knows_is_lost_only_after_the_grace_time(nersc: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act_module.JobAct.__init__, "__defaults__", _with_grace(timedelta(seconds=0.5)))
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="lost")

    with pytest.raises(JobLost, match="not known to the scheduler any more and left no result") as caught:
        nersc.do("sleep 0.1; " + GOOD)

    assert any("not in the scheduler's lists at the moment" in sentence for sentence in nersc.bench.told)
    assert report_of(caught)["reason"] == "lost"


def _with_grace(grace: timedelta) -> tuple[Any, ...]:
    defaults = act_module.JobAct.__init__.__defaults__
    assert defaults is not None and act_module.GRACE in defaults
    return tuple(grace if value == act_module.GRACE else value for value in defaults)
