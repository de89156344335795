"""Jobs followed to the truth: what a scheduler can say, and what it keeps to itself. What holds at every site is in ``test_contract``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from small_jobs import GOOD, Shop

from als_assets.compute import act as act_module
from als_assets.compute.sfapi.api import SfapiApi
from als_assets.errors import BadOutput, JobFailed, JobLost
from als_assets.ledger import OperationState

JOBS = "/api/v1.2/compute/jobs/perlmutter"
COMMAND = "/api/v1.2/utilities/command/perlmutter"


def report_of(caught: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    report = caught.value.details["report"]
    assert report["sentence"] == caught.value.sentence
    return dict(report)


def test_a_job_without_its_result_file_is_red(at_home: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    look_many = type(at_home.transport).look_many

    def and_the_disk_forgets(self: Any, job_ids: Any) -> Any:
        views = look_many(self, job_ids)
        if any(not view.live for view in views.values()):
            at_home.log("result.json").unlink()
        return views

    monkeypatch.setattr(type(at_home.transport), "look_many", and_the_disk_forgets)
    with pytest.raises(BadOutput, match="ended without writing its result file"):
        at_home.do()


@pytest.mark.parametrize("garbage", ["", "{half", "[1]", '{"exit": "0"}', "null"])
def test_a_result_that_nobody_can_read_counts_as_none(garbage: str) -> None:
    assert act_module._parse(garbage) is None
    assert act_module._parse('{"exit": 0}') == {"exit": 0}


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
def test_every_end_is_told_in_plain_words(nersc: Shop, fault: dict[str, Any], reason: str, words: str, next_step: str) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, delay_s=0.2, **fault)

    with pytest.raises(JobFailed, match=words) as caught:
        nersc.do("for i in {1..600}; do sleep 0.1; done")

    assert report_of(caught)["reason"] == reason
    assert next_step in caught.value.next_step
    assert f"(job {nersc.jobs()[0]['jobid']})" in caught.value.sentence


def test_completed_with_a_bad_exit_code_at_the_scheduler_is_red(nersc: Shop) -> None:
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="exit", exit_code=9)

    with pytest.raises(JobFailed, match="exit code 9"):
        nersc.do()


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
