"""Processes killed with -9 around a job: one job at the scheduler, one run of the step on disk, and a complete report."""

from __future__ import annotations

import pytest
from doomed import Zygote
from small_jobs import GOOD, Shop

from als_assets.errors import JobFailed
from als_assets.ledger import OperationState

OPERATIONS = "ledger.operations:Operations"
SFAPI, LOCAL = "compute.sfapi.transport:SfapiTransport", "compute.local:LocalTransport"
API = "compute.sfapi.api:SfapiApi"
SUBMISSION, WATCHING = "compute.submission:Submission", "ledger.watching:Watching"
COMMON = [
    f"after {OPERATIONS}.begin",
    f"after {OPERATIONS}.take",
    f"after {OPERATIONS}.submitted",
    f"before {OPERATIONS}.finish",
    f"after {OPERATIONS}.finish",
]
NERSC_POINTS = [
    *COMMON,
    f"before {SUBMISSION}._ask",  # nothing was sent
    f"before {SFAPI}.submit",  # the request is announced, but not sent
    f"after {API}.command",  # the log folder is made
    f"before {API}.outcome 2",  # the POST was answered, the job's number is not known yet
    f"after {SFAPI}.submit",
    f"after {WATCHING}.claim",  # it was to ask for all
    f"after {SFAPI}.look_many",
    f"after {SFAPI}.look_many 3",
    f"after {SFAPI}.tail",
    f"after {SFAPI}.listing",
]
HOME_POINTS = [
    *COMMON,
    f"before {SUBMISSION}._ask",
    f"before {LOCAL}.submit",
    f"after {LOCAL}.submit",
    f"after {LOCAL}.look_many",
    f"after {LOCAL}.listing",
]
SLOW = "sleep 0.4; " + GOOD


def assert_done_once(shop: Shop) -> None:
    operation = shop.do(SLOW)

    assert operation.state is OperationState.SUCCEEDED
    assert operation.outcome["report"]["step"] == "work"
    assert operation.outcome["report"]["stdout_tail"] == "working"
    assert shop.runs() == 1
    assert len(shop.bench.ledger.operations.of(shop.key)) == 1


@pytest.mark.parametrize("point", NERSC_POINTS)
def test_at_nersc(nersc: Shop, zygote: Zygote, point: str) -> None:
    zygote.dies("job", point, **nersc.arguments(SLOW))

    assert_done_once(nersc)

    (job,) = nersc.jobs()
    assert nersc.operation.handle["job_id"] == job["jobid"]


@pytest.mark.parametrize("point", HOME_POINTS)
def test_on_this_machine(at_home: Shop, zygote: Zygote, point: str) -> None:
    zygote.dies("job", point, **at_home.arguments(SLOW))

    assert_done_once(at_home)


def test_a_job_that_failed_while_nobody_looked_is_told_by_the_next_process(shop: Shop, zygote: Zygote) -> None:
    pid = zygote.start("job", **shop.arguments("sleep 0.3; echo the disk is full >&2; exit 3"))
    shop.wait_until_running()
    zygote.kill(pid)

    with pytest.raises(JobFailed, match="the disk is full"):
        shop.do()

    assert shop.runs() == 1, "the failed job is the outcome; a new one is the next attempt's"
    shop.do()
    assert shop.runs() == 2


def test_two_processes_at_once_start_one_job(shop: Shop, zygote: Zygote) -> None:
    pids = [zygote.start("job", **shop.arguments(SLOW)) for _ in range(3)]

    assert [zygote.wait(pid) for pid in pids] == [0, 0, 0]
    assert shop.runs() == 1
