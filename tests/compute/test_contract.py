"""The contract that every way to a site fulfils: the same promises at NERSC (SFAPI), ALCF (Globus Compute), OLCF (IRI) and here.

Here: what holds for all of them, each against its own simulated back end. Not here: what only one of them has (modules of their own).
"""

from __future__ import annotations

import time
import uuid
from pathlib import PurePosixPath
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import Bench
from small_jobs import GOOD, Shop, shop_at

from als_assets.compute.globus_compute import client as globus_compute_client
from als_assets.compute.transport import TellsExpiry, TellsHealth
from als_assets.errors import BadOutput, JobFailed
from als_assets.ledger import OperationState

SITES = ["nersc", "alcf", "olcf", "als"]
HOSTILE = "x'; touch INJECTED; $(touch INJECTED) `touch INJECTED` \"|&"


@pytest.fixture(params=SITES)
def shop(bench: Bench, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(globus_compute_client, "_MAX_SLEEP_S", 0.03)
    return shop_at(bench, request.param)


def test_a_good_job_is_followed_to_a_report_with_all_facts(shop: Shop) -> None:
    noise = "for i in {1..60}; do echo line $i >&2; done; "
    operation = shop.do(noise + GOOD)

    report = operation.outcome["report"]
    assert (operation.state, shop.runs()) == (OperationState.SUCCEEDED, 1)
    assert (report["reason"], report["step"], report["site"]) == ("none", "work", shop.site)
    assert report["stdout_tail"] == "working"
    assert report["stderr_tail"].splitlines() == [*[f"line {n}" for n in range(22, 61)], "started"], "the last forty lines, no more"
    assert report["script"] and report["log_path"].endswith(".err") and report["asked_s"] == 300
    assert operation.handle["job_id"] and operation.handle["site"] == shop.site


def test_every_way_to_fail_is_red_with_its_reason(shop: Shop) -> None:
    with pytest.raises(JobFailed, match=r"failed with exit code 3 in step 'work'.*: the flats are missing") as caught:
        shop.do("echo the flats are missing >&2; exit 3")
    report: dict[str, Any] = dict(caught.value.details["report"])
    assert (report["reason"], report["site_fault"]) == ("exit_code", False)

    with pytest.raises(JobFailed, match="killed by signal 9"):
        shop.do("kill -9 $$")
    with pytest.raises(BadOutput, match=r"done\.txt is missing"):
        shop.do("true")
    assert shop.do().attempt == 4 and shop.runs() == 4, "each attempt is a job of its own"


def test_a_time_limit_is_told_as_one(shop: Shop) -> None:
    if shop.site == "als":
        shop.transport._walltime_s = 1  # type: ignore[attr-defined]
    try:
        with pytest.raises(JobFailed, match="ran into its time limit") as caught:
            shop.do("for i in {1..600}; do sleep 0.1; done", walltime_s=1)
    finally:
        if shop.site == "als":
            shop.transport._walltime_s = 14400  # type: ignore[attr-defined]
    assert caught.value.details["report"]["reason"] == "timeout"


def test_what_is_cancelled_ends_and_says_by_whom(shop: Shop) -> None:
    def wait(_seconds: float) -> None:
        if shop.runs() and "cancelled_by_us" not in shop.operation.handle:
            shop.bench.platform.compute.cancel(shop.operation)
        time.sleep(0.05)

    with pytest.raises(JobFailed, match="was cancelled by this platform") as caught:
        shop.do("for i in {1..600}; do sleep 0.1; done", shop.bench.actor(wait=wait))

    assert caught.value.details["report"]["reason"] == "cancelled_by_platform"
    assert shop.operation.state is OperationState.CANCELLED


def test_what_is_not_known_is_absent_and_what_is_not_there_is_empty(shop: Shop) -> None:
    here = PurePosixPath(shop.output)
    name, job_id = shop.submit("true")
    unknown = job_id.replace(name, "als-test-unknown") if name in job_id else "999"
    if shop.site == "alcf":
        unknown = f"{unknown.rsplit('/', 1)[0]}/{uuid.uuid4()}"

    assert unknown not in shop.transport.look_many([unknown])
    assert set(shop.transport.look_many([job_id, unknown])) == {job_id}
    assert dict(shop.transport.look_many([])) == {}
    assert shop.find("als-test-never") is None
    assert shop.transport.tail(here / "absent.txt", 5) == ""
    assert shop.transport.listing(here / "absent") is None
    shop.ended(job_id)
    assert shop.find(name) == job_id, "by its name, or by the claim that it left"


def test_a_job_outlives_the_process_that_started_it(shop: Shop, zygote: Zygote) -> None:
    go = shop.output / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; {GOOD}"
    pid = zygote.start("job", **shop.arguments(script))
    shop.wait_until_running()
    zygote.kill(pid)
    go.touch()

    operation = shop.do(script)

    assert (operation.state, operation.fence, shop.runs()) == (OperationState.SUCCEEDED, 2, 1)


def test_a_hostile_word_runs_nothing(shop: Shop) -> None:
    shop.do(GOOD, environment=(("NOTE", HOSTILE),), parameters=f'{{"note": "{len(HOSTILE)} {HOSTILE}"}}', title=f"Work\n{HOSTILE}")

    assert shop.runs() == 1
    assert list(shop.bench.box.root.rglob("INJECTED*")) == []


def test_a_site_that_tells_how_it_is_is_asked(shop: Shop) -> None:
    transport = shop.transport
    if isinstance(transport, TellsHealth):
        health = transport.health()
        assert health.sentence.endswith(".") and health.ok
    if isinstance(transport, TellsExpiry):
        ends = transport.credential_expiry()
        assert ends is None or ends.tzinfo is not None
