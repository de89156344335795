"""Processes killed with -9 around a job at OLCF: one job at the scheduler, one run of the step on disk, and a complete report."""

from __future__ import annotations

from datetime import timedelta

import pytest
from doomed import Zygote
from iri_shop import olcf
from small_jobs import GOOD, Shop

from als_assets.compute import submission
from als_assets.ledger import OperationState

__all__ = ["olcf"]

OPERATIONS, SUBMISSION = "ledger.operations:Operations", "compute.submission:Submission"
IRI, FILES = "compute.iri.transport:IriTransport", "transfer.site_files:SiteFiles"
POINTS = [
    f"after {OPERATIONS}.begin",
    f"before {SUBMISSION}._ask",  # nothing was sent
    f"before {IRI}.submit",  # the request is announced, but not sent
    f"after {IRI}._start",  # the POST was answered, the job's number is not on record
    f"after {OPERATIONS}.submitted",
    f"after {IRI}.look_many",
    f"after {IRI}.look_many 3",
    f"after {FILES}._fetch",  # a log was fetched
    f"after {IRI}.listing",
    f"before {OPERATIONS}.finish",
]
SLOW = "sleep 0.3; " + GOOD


@pytest.mark.parametrize("point", POINTS)
def test_one_job_whenever_our_process_dies(olcf: Shop, zygote: Zygote, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if point == f"before {IRI}.submit":  # nobody can know that nothing was sent, so a second attempt waits out the grace time
        monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.1))
    zygote.dies("job", point, **olcf.arguments(SLOW))

    operation = olcf.do(SLOW)

    (job,) = olcf.jobs()
    report = operation.outcome["report"]
    assert operation.state is OperationState.SUCCEEDED
    assert operation.handle["job_id"] == job["jobid"]
    assert (report["step"], report["stdout_tail"], olcf.runs()) == ("work", "working", 1)
    assert len(olcf.bench.ledger.operations.of(olcf.key)) == 1
