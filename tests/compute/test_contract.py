"""The contract that every way to a site fulfils: the same promises at NERSC (SFAPI), ALCF (Globus Compute), OLCF (IRI) and here, and
for the first and third also with a real Slurm behind their API.

Here: what holds for all of them. Not here: what only one of them has (modules of their own), and the states that a small real Slurm
cannot be brought into (``test_jobs``, ``test_iri``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import Bench, running_facility
from small_jobs import GOOD, Shop, shop_at

from als_assets.compute.globus_compute import client as globus_compute_client
from als_assets.compute.local import _read
from als_assets.compute.transport import TellsExpiry, TellsHealth
from als_assets.errors import BadOutput, ExportRefused, JobError, JobFailed
from als_assets.ledger import OperationState
from als_assets.simulator import slurm

SLURM = {"nersc on Slurm": "nersc", "olcf on Slurm": "olcf"}
SITES = ["nersc", "alcf", "olcf", "als", *SLURM]
SLURM_POLL_S, OVERDUE_POLL_S = 0.2, 2.0  # every look at a real Slurm is a process of its own
LONG = "for i in {1..6000}; do sleep 0.1; done"
HOSTILE = "x'; touch INJECTED; $(touch INJECTED) `touch INJECTED` \"|&"


@dataclass
class Ground:
    """Where the contract is kept: a facility, its crowd of processes, and jobs that were begun early because their end takes long."""

    bench: Bench
    zygote: Zygote
    slurm: bool = False
    overdue: dict[str, Shop] = field(default_factory=dict)


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Slurm looks for jobs that are over their time each half minute and knows whole minutes only: such jobs are submitted first."""
    if why_not := slurm.why_not():
        pytest.skip(f"no real Slurm: {why_not}")
    with running_facility(tmp_path_factory.mktemp("slurm"), slurm=True) as bench, Zygote(bench.box.facility_file) as zygote:
        ground = Ground(bench, zygote, slurm=True)
        for site in SLURM.values():
            shop = ground.overdue[site] = shop_at(bench, site)
            shop.poll_s = OVERDUE_POLL_S
            pid = zygote.start("job", **shop.arguments(LONG), walltime_s=1)
            shop.wait_until_running()
            zygote.kill(pid)
        yield ground


@pytest.fixture(params=SITES)
def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param in SLURM:
        made: Ground = request.getfixturevalue("on_slurm")
        made.bench.told.clear()
        return made
    return Ground(request.getfixturevalue("bench"), request.getfixturevalue("zygote"))


@pytest.fixture
def shop(ground: Ground, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(globus_compute_client, "_MAX_SLEEP_S", 0.03)
    site = request.node.callspec.params["ground"]
    made = shop_at(ground.bench, SLURM.get(site, site))
    made.poll_s = SLURM_POLL_S if ground.slurm else made.poll_s
    return made


def test_a_good_job_is_followed_to_a_report_with_all_facts(shop: Shop) -> None:
    noise = "for i in {1..60}; do echo line $i >&2; done; "
    operation = shop.do(noise + GOOD)

    report = operation.outcome["report"]
    assert (operation.state, shop.runs()) == (OperationState.SUCCEEDED, 1)
    assert (report["reason"], report["state"], report["step"], report["site"]) == ("none", "COMPLETED", "work", shop.site)
    assert report["stdout_tail"] == "working"
    assert report["stderr_tail"].splitlines() == [*[f"line {n}" for n in range(22, 61)], "started"], "the last forty lines, no more"
    assert report["script"].startswith("#!/bin/bash") and report["log_path"].endswith(".err") and report["asked_s"] == 300
    assert report["sentence"].startswith(f"The work on {shop.key} at ") and "succeeded" in report["sentence"]
    assert operation.handle["job_id"] and operation.handle["site"] == shop.site
    assert shop.do().id == operation.id and shop.runs() == 1, "what was done is not done again"


def test_every_way_to_fail_is_red_with_its_reason(shop: Shop) -> None:
    with pytest.raises(JobFailed, match=r"failed with exit code 3 in step 'work'.*: the flats are missing\.$") as caught:
        shop.do("echo some output; echo 'the flats are missing.' >&2; exit 3")
    report: dict[str, Any] = dict(caught.value.details["report"])
    assert (report["reason"], report["exit_code"], report["site_fault"]) == ("exit_code", "3:0", False)
    assert report["sentence"] == caught.value.sentence and report["stdout_tail"] == "some output"
    assert shop.operation.state is OperationState.FAILED

    with pytest.raises(JobFailed, match="killed by signal 9"):
        shop.do("kill -9 $$")
    with pytest.raises(BadOutput, match=r"its output is incomplete \(done\.txt is missing\)"):
        shop.do("true")
    assert shop.do().attempt == 4 and shop.runs() == 4, "each attempt is a job of its own"


def test_what_is_cancelled_ends_and_says_by_whom(shop: Shop) -> None:
    def wait(_seconds: float) -> None:
        if shop.runs() and "cancelled_by_us" not in shop.operation.handle:
            shop.bench.platform.compute.cancel(shop.operation)
        time.sleep(0.05)

    with pytest.raises(JobFailed, match="was cancelled by this platform") as caught:
        shop.do(LONG, shop.bench.actor(wait=wait))

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


def test_a_job_outlives_the_process_that_started_it_and_is_adopted_while_it_runs(shop: Shop, ground: Ground) -> None:
    go = shop.output / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; {GOOD}"
    pid = ground.zygote.start("job", **shop.arguments(script))
    shop.wait_until_running()
    ground.zygote.kill(pid)

    def tell(sentence: str) -> None:
        shop.bench.told.append(sentence)
        if "running" in sentence:
            go.touch()

    operation = shop.do(script, shop.bench.actor("the-second-run", tell=tell))

    assert any("running" in sentence for sentence in shop.bench.told), "it was adopted while it ran"
    assert (operation.state, operation.holder, operation.fence) == (OperationState.SUCCEEDED, "the-second-run", 2)
    assert shop.runs() == 1


def test_a_hostile_word_runs_nothing(shop: Shop) -> None:
    shop.output = shop.output / HOSTILE.replace("/", "")
    words = {"environment": (("NOTE", HOSTILE),), "parameters": f'{{"note": "{HOSTILE}"}}', "title": f"Work\n{HOSTILE}\n#SBATCH -A thief"}

    shop.do(GOOD, **words)

    assert shop.runs() == 1
    assert list(shop.bench.box.root.rglob("INJECTED*")) == [] and not Path("INJECTED").exists()


def test_a_scan_that_must_stay_is_not_even_spoken_of_elsewhere(shop: Shop) -> None:
    control, before = shop.bench.control, len(shop.bench.control.requests())
    shop.bench.ledger.datasets.set_release(shop.key, may_leave=False, reason="the sponsor said so")
    if shop.site == "als":
        assert shop.do().state is OperationState.SUCCEEDED
        return

    with pytest.raises(ExportRefused, match="the sponsor said so"):
        shop.do()

    assert shop.key not in str(control.requests()[before:]) and shop.runs() == 0


def test_a_site_that_tells_how_it_is_is_asked(shop: Shop) -> None:
    transport = shop.transport
    if isinstance(transport, TellsHealth):
        health = transport.health()
        assert health.sentence.endswith(".") and health.ok
    if isinstance(transport, TellsExpiry):
        ends = transport.credential_expiry()
        assert ends is None or ends.tzinfo is not None


def test_a_time_limit_is_told_as_one(shop: Shop, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = ground.overdue.pop(shop.site, shop)
    if shop.site == "als":
        monkeypatch.setattr(shop.transport, "_walltime_s", 1)

    patient = shop.bench.actor(wait=lambda _s: time.sleep(shop.poll_s / 2))

    with pytest.raises(JobFailed, match="ran into its time limit") as caught:
        shop.do(LONG, patient, walltime_s=1)

    report = caught.value.details["report"]
    assert (report["reason"], report["asked_s"], report["step"]) == ("timeout", 1, "work"), "the script's trap wrote its result"
    assert shop.runs() == 1


# --- a node that breaks down --------------------------------------------------------------------------------------------------


def _down(shop: Shop) -> None:
    """The only node of the site's Slurm."""
    config = shop.bench.box.root / "simulator" / {"nersc": "jobs", "olcf": "jobs-olcf"}[shop.site] / "slurm" / "slurm.conf"
    node = socket.gethostname().partition(".")[0]
    for state in ("down", "resume"):
        command = ["scontrol", "update", f"nodename={node}", f"state={state}", "reason=a test"]
        subprocess.run(command, env={**os.environ, "SLURM_CONF": str(config)}, check=True)


def _kill_keeper(shop: Shop) -> None:
    keeper = _read(f"{shop.log_dir}/{shop.operation.request['name']}.job")
    assert keeper is not None
    os.kill(int(keeper["pid"]), signal.SIGKILL)


@pytest.fixture
def break_down(shop: Shop, ground: Ground) -> Callable[[], None]:
    """The node under the running job of this shop breaks down."""
    if ground.slurm:
        return lambda: _down(shop)
    if shop.site == "als":
        return lambda: _kill_keeper(shop)
    if shop.site == "alcf":
        shop.bench.control.add_fault(where="task", name=f'*"run"*{shop.key}*', action="lose_worker", delay_s=0.3)
    else:
        shop.bench.control.add_fault(where="job", name=shop.names, action="node_fail", delay_s=0.3)
    return lambda: None


def test_a_node_that_breaks_down_is_the_sites_fault(shop: Shop, break_down: Callable[[], None]) -> None:
    broken = False

    def wait(_seconds: float) -> None:
        nonlocal broken
        if not broken and shop.runs():
            broken = True
            break_down()
        time.sleep(0.05)

    with pytest.raises(JobError) as caught:
        shop.do(LONG, shop.bench.actor(wait=wait))

    report = caught.value.details["report"]
    assert report["site_fault"] is True, "so it is tried once elsewhere"
    assert report["reason"] in ("node_fail", "unknown"), "OLCF tells no more than that it failed"
    assert (report["reason"] == "unknown") == (shop.site == "olcf")
    assert shop.operation.state is OperationState.FAILED
