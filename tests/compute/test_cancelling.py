"""Jobs that are taken back although nobody knows whether the site took them: none of them works afterwards."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath

import pytest
from facility_in_a_box import Bench
from small_jobs import Shop, shop_at

from als_assets.compute import cancelling, submission
from als_assets.compute.transport import Forestalls
from als_assets.errors import ServiceUnreachable

NERSC_JOBS, OLCF_JOBS = "/api/v1.2/compute/jobs/perlmutter", "/iri/olcf/api/v1/compute/job/*"


@pytest.fixture(params=["nersc", "alcf", "als"])
def shop(bench: Bench, request: pytest.FixtureRequest) -> Shop:
    return shop_at(bench, request.param)


def lost_answer(shop: Shop, jobs: str) -> None:
    """The site takes the job and keeps it in the queue; its answer is lost, and nothing is known of it."""
    shop.bench.control.add_fault(where="job", name=shop.names, action="hold")
    shop.bench.control.add_fault(where="http", method="POST", path=jobs, after=True, status="drop")
    with pytest.raises(ServiceUnreachable):
        shop.do()
    assert len(shop.jobs()) == 1 and "job_id" not in shop.operation.handle


def test_what_was_forestalled_never_begins(shop: Shop) -> None:
    assert isinstance(shop.transport, Forestalls)
    spec = shop.spec()

    assert shop.transport.forestall(spec.name, spec.log_dir) is None
    job_id = shop.transport.submit(spec.name, shop.transport.script(spec), spec.log_dir)  # it was on its way all the time

    shop.ended(job_id)
    assert shop.runs() == 0


def test_what_has_begun_is_not_forestalled_but_named_or_stopped(shop: Shop) -> None:
    assert isinstance(shop.transport, Forestalls)
    name, job_id = shop.submit("for i in {1..600}; do sleep 0.1; done")
    shop.wait_until_running()

    begun = shop.transport.forestall(name, PurePosixPath(shop.log_dir))

    assert begun in (job_id, None)
    if begun:
        cancelling.cancel_surely(shop.transport, begun)
    assert not shop.ended(job_id).live


def test_terminated_while_nersc_keeps_its_answer_to_itself(nersc: Shop) -> None:
    """Not in squeue, not in sacct, not begun: later it would have run although nobody wanted it any more."""
    nersc.bench.control.add_fault(where="job", name=nersc.names, action="lost")
    lost_answer(nersc, NERSC_JOBS)

    nersc.bench.platform.compute.cancel(nersc.operation)
    nersc.bench.control.clear_faults()

    (job,) = nersc.jobs()
    nersc.bench.control.wait_for(lambda: nersc.jobs()[0]["end"], what=f"the end of job {job['jobid']}")
    assert nersc.jobs()[0]["exit"] == [75, 0] and nersc.runs() == 0


def test_terminated_while_olcf_does_not_show_the_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list has no names and its API no files: the job is cancelled when it begins, and until then nobody says that it was."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.1))
    olcf = shop_at(bench, "olcf")
    script = "for i in {1..600}; do sleep 0.1; done"
    bench.control.add_fault(where="job", name=olcf.names, action="hold")
    bench.control.add_fault(where="http", method="POST", path=OLCF_JOBS, after=True, status="drop")
    with pytest.raises(ServiceUnreachable):
        olcf.do(script)
    with pytest.raises(ServiceUnreachable, match="Nobody knows yet whether the job als-test"):
        bench.platform.compute.cancel(olcf.operation)

    bench.control.clear_faults()
    olcf.wait_until_running()
    bench.platform.compute.cancel(olcf.operation)

    (job,) = olcf.jobs()
    assert job["state"].startswith("CANCELLED")


def test_a_job_that_never_showed_up_is_given_up_after_hours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.1))
    olcf = shop_at(bench, "olcf")
    bench.control.add_fault(where="http", method="POST", path=OLCF_JOBS, status=502)
    with pytest.raises(ServiceUnreachable):
        olcf.do()
    monkeypatch.setattr(cancelling, "LOOK_FOR", timedelta(0))

    bench.platform.compute.cancel(olcf.operation)

    assert olcf.jobs() == []
