"""The same transport at ALCF (a token, files by the API) and at NERSC (an API client, version 2, no list of jobs)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from iri_shop import TOKEN, Profile, full_facilities
from small_jobs import GOOD, spec_of

from als_assets.compute.iri.transport import IriTransport
from als_assets.errors import ConfigError, CredentialsRejected, JobRefused, SecretUnavailable, ServiceUnreachable
from als_assets.facility import load_facility
from als_assets.simulator.box import Ports, make_box


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    with full_facilities(tmp_path_factory.mktemp("iri")) as profile:
        yield profile


@pytest.fixture
def sites(running: Profile) -> Iterator[Profile]:
    running.simulator.control.clear_faults()
    running.simulator.control.set_iri("alcf")
    yield running
    running.simulator.control.clear_faults()


@pytest.fixture
def alcf(sites: Profile) -> Iterator[IriTransport]:
    transport = sites.transport("alcf")
    yield transport
    transport.close()


@pytest.fixture
def nersc(sites: Profile) -> Iterator[IriTransport]:
    transport = sites.transport("nersc")
    yield transport
    transport.close()


@pytest.fixture(params=["alcf", "nersc"])
def either(sites: Profile, request: pytest.FixtureRequest) -> Iterator[IriTransport]:
    transport = sites.transport(request.param)
    yield transport
    transport.close()


class Job:
    """One small job of a transport."""

    def __init__(self, transport: IriTransport, folder: Path, script: str = GOOD, **changes: Any) -> None:
        key = uuid.uuid4().hex[:8]
        self.transport, self.output, self.logs = transport, folder / f"out-{key}", folder / f"logs-{key}"
        self.spec = spec_of("x", f"als-test-{key}", key, script, str(self.output), str(self.logs), **changes)

    def submit(self) -> str:
        return self.transport.submit(self.spec.name, self.transport.script(self.spec), self.spec.log_dir)

    def find(self) -> str | None:
        return self.transport.find(self.spec.name, self.spec.log_dir)

    def runs(self) -> int:
        file = self.output / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0


def ended(sites: Profile, transport: IriTransport, job_id: str) -> Any:
    def look() -> Any:
        view = transport.look_many([job_id]).get(job_id)
        return view if view is not None and not view.live else None

    return sites.simulator.control.wait_for(look, what="the end of the job")


# --- the facility file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inbox": None}, "name an 'inbox'"),
        ({"files": "iri"}, "name an 'inbox'"),
        ({"inbox": "nowhere"}, "inbox: 'nowhere' is not defined"),
        ({"identity": "mover"}, "identity 'mover' is of kind globus, not token"),
        ({"token_url": "http://127.0.0.1:1/token"}, "identity 'olcf_jobs' is of kind token, not sfapi"),
        ({"version": "v3"}, "version"),
    ],
    ids=str,
)
def test_a_profile_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    box = make_box(tmp_path, Ports(1, 2, 3))
    document = yaml.safe_load(box.facility_file.read_text())
    compute = {**document["sites"]["olcf"]["compute"], **change}
    document["sites"]["olcf"]["compute"] = {key: value for key, value in compute.items() if value is not None}
    box.facility_file.write_text(yaml.safe_dump(document))

    with pytest.raises(ConfigError, match=words):
        load_facility(box.facility_file)


# --- a job's life ------------------------------------------------------------------------------------------------------------


def test_a_job_with_its_logs_and_files_over_the_api(either: IriTransport, sites: Profile) -> None:
    job = Job(either, sites.folder, f"mkdir -p deep/er; echo 12345 > deep/er/.hidden; {GOOD}")

    job_id = job.submit()
    view = ended(sites, either, job_id)

    assert (view.state, view.exit_code) == ("COMPLETED", "0:0")
    assert view.nodes == "nid001234" and view.queue_wait_s is not None and view.used_s is not None, "the full API tells the facts"
    assert job.find() == job_id
    assert either.tail(job.spec.stdout_path, 40) == "working"
    assert either.tail(job.spec.log_dir / "absent", 40) == ""
    assert either.listing(job.spec.output) == {"done.txt": 5, "runs": (job.output / "runs").stat().st_size, "deep/er/.hidden": 6}
    assert either.listing(job.spec.output / "done.txt") == {"": 5}
    assert either.listing(job.spec.output / "absent") is None


@pytest.mark.parametrize("word", ["TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "GREMLINS"])
def test_the_schedulers_word_comes_through(alcf: IriTransport, sites: Profile, word: str) -> None:
    sites.simulator.control.add_fault(where="job", action="state", state=word)

    assert ended(sites, alcf, Job(alcf, sites.folder, "sleep 60").submit()).state == word


def test_cancelling_while_it_waits_and_while_it_runs(either: IriTransport, sites: Profile) -> None:
    hold = sites.simulator.control.add_fault(where="job", action="hold")
    waiting = Job(either, sites.folder).submit()
    assert either.look_many([waiting])[waiting].state == "PENDING"
    either.cancel(waiting)
    sites.simulator.control.clear_fault(hold)
    running = Job(either, sites.folder, "sleep 60")
    job_id = running.submit()
    sites.simulator.control.wait_for(running.runs, what="the start")

    either.cancel(job_id)

    assert {view.state.split()[0] for view in either.look_many([waiting, job_id]).values()} == {"CANCELLED"}


def test_a_job_that_has_not_begun_is_found_by_its_name_where_the_list_shows_it(alcf: IriTransport, sites: Profile) -> None:
    hold = sites.simulator.control.add_fault(where="job", action="hold", times=2)
    job = Job(alcf, sites.folder)
    first, second = job.submit(), job.submit()

    assert job.find() == first, "the first of two copies"

    sites.simulator.control.clear_fault(hold)
    codes = sorted(ended(sites, alcf, job_id).exit_code for job_id in (first, second))
    assert (codes, job.runs()) == (["0:0", "75:0"], 1), "only one of them works"


def test_many_jobs_are_one_request(alcf: IriTransport, sites: Profile) -> None:
    hold = sites.simulator.control.add_fault(where="job", action="hold", times=None)
    ids = [Job(alcf, sites.folder).submit() for _ in range(25)]
    before = len(sites.simulator.control.requests())

    views = alcf.look_many(ids)

    (request,) = sites.simulator.control.requests()[before:]
    assert (request["method"], set(views), {view.state for view in views.values()}) == ("POST", set(ids), {"PENDING"})
    for job_id in ids:
        alcf.cancel(job_id)
    sites.simulator.control.clear_fault(hold)


def test_ended_and_unknown_jobs_among_live_ones(alcf: IriTransport, sites: Profile) -> None:
    done = Job(alcf, sites.folder).submit()
    ended(sites, alcf, done)
    hold = sites.simulator.control.add_fault(where="job", action="hold")
    waiting = Job(alcf, sites.folder).submit()

    views = alcf.look_many([done, waiting, "999"])

    assert {job_id: view.state for job_id, view in views.items()} == {done: "COMPLETED", waiting: "PENDING"}
    alcf.cancel(waiting)
    sites.simulator.control.clear_fault(hold)


# --- once ----------------------------------------------------------------------------------------------------------------------


def test_the_same_key_is_one_job_in_version_2(nersc: IriTransport, sites: Profile) -> None:
    sites.simulator.control.add_fault(where="http", method="POST", path="*/api/v2/compute/job/*", after=True, status="drop")
    job = Job(nersc, sites.folder)
    with pytest.raises(ServiceUnreachable, match="did not answer"):
        job.submit()

    assert job.submit() == job.submit(), "the site answers as it did, or would have done, the first time"

    assert len([one for one in sites.simulator.control.jobs() if one["name"] == job.spec.name]) == 1


def test_a_key_with_another_job_is_refused(nersc: IriTransport, sites: Profile) -> None:
    job = Job(nersc, sites.folder)
    ended(sites, nersc, job.submit())
    other = nersc.script(job.spec).replace("echo working", "echo idling")

    with pytest.raises(JobRefused, match="different request body"):
        nersc.submit(job.spec.name, other, job.spec.log_dir)


def test_a_submission_in_flight_is_an_outage_and_not_a_refusal(nersc: IriTransport, sites: Profile) -> None:
    problem = {"status": 409, "detail": "A request with this Idempotency-Key is already in progress."}
    sites.simulator.control.add_fault(where="http", method="POST", path="*/compute/job/*", status=409, body=problem)

    with pytest.raises(ServiceUnreachable, match="still working on an earlier submission"):
        Job(nersc, sites.folder).submit()


def test_a_site_without_a_store_of_keys_gets_the_job_without_one(nersc: IriTransport, sites: Profile) -> None:
    problem = {"status": 501, "detail": "no idempotency store is configured"}
    sites.simulator.control.add_fault(where="http", method="POST", path="*/compute/job/*", status=501, body=problem)

    assert ended(sites, nersc, Job(nersc, sites.folder).submit()).state == "COMPLETED"


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_in_the_sites_words(alcf: IriTransport, sites: Profile, status: int) -> None:
    problem = {"status": status, "title": "Error", "detail": "sbatch: error:\n  Invalid qos"}
    sites.simulator.control.add_fault(where="http", method="POST", path="*/compute/job/*", status=status, body=problem)

    with pytest.raises(JobRefused, match=r"ALCF refused the job .*: sbatch: error: Invalid qos") as caught:
        Job(alcf, sites.folder).submit()

    assert caught.value.details["site_fault"] is True


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 200, "body": {}}, "without telling its number"),
        ({"status": 200, "body": [1]}, "without telling its number"),
        ({"status": 500}, "answered 500 to POST"),
        ({"status": 429, "body": "slow down"}, "answered 429"),
    ],
)
def test_an_answer_that_says_nothing_is_an_outage(alcf: IriTransport, sites: Profile, answer: dict[str, Any], words: str) -> None:
    sites.simulator.control.add_fault(where="http", method="POST", path="*/compute/job/*", **answer)

    with pytest.raises(ServiceUnreachable, match=words) as caught:
        Job(alcf, sites.folder).submit()

    assert "nothing_sent" not in caught.value.details


def test_a_site_that_nobody_answers_at_heard_nothing(sites: Profile) -> None:
    transport = sites.transport("alcf", api_url="http://127.0.0.1:9/iri/alcf/api")
    with pytest.raises(ServiceUnreachable) as caught:
        Job(transport, sites.folder).submit()
    transport.close()

    assert caught.value.details["nothing_sent"] is True


# --- lists and files that go wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_site_without_a_list_is_asked_job_by_job(alcf: IriTransport, sites: Profile, status: int) -> None:
    one, two = Job(alcf, sites.folder).submit(), Job(alcf, sites.folder).submit()
    sites.simulator.control.add_fault(where="http", method="POST", path="*/compute/status/*", status=status, times=None)

    assert set(alcf.look_many([one, two])) == {one, two}
    assert alcf.find("never", PurePosixPath(sites.folder)) is None


@pytest.mark.parametrize(
    ("method", "path", "answer", "words"),
    [
        ("POST", "*/compute/status/*", {"status": 200, "body": {"no": "list"}}, "no list of jobs"),
        ("GET", "*/filesystem/*", {"status": 200, "body": {}}, "without a task"),
        ("GET", "*/task/*", {"status": 200, "body": {"status": "failed", "result": {"error": "quota exceeded"}}}, "quota exceeded"),
        ("GET", "*/filesystem/*", {"status": 400, "body": {"detail": "bad path"}}, "bad path"),
    ],
)
def test_a_look_that_the_site_cannot_do_is_an_outage(
    alcf: IriTransport, sites: Profile, method: str, path: str, answer: dict[str, Any], words: str
) -> None:
    sites.simulator.control.add_fault(where="http", method=method, path=path, **answer)

    with pytest.raises(ServiceUnreachable, match=words):
        alcf.find("x", PurePosixPath(sites.folder))


def test_a_file_task_that_never_ends_is_an_outage(alcf: IriTransport, sites: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("als_assets.compute.iri.files._TASK_TIMEOUT_S", 0.1)
    sites.simulator.control.add_fault(where="http", path="*/task/*", status=200, body={"status": "active"}, times=None)

    with pytest.raises(ServiceUnreachable, match="did not finish the task"):
        alcf.listing(PurePosixPath(sites.folder))


# --- credentials and health ------------------------------------------------------------------------------------------------------


def test_a_token_without_the_right_to_compute(sites: Profile) -> None:
    transport = sites.transport("alcf")
    sites.secret("token", "weak")
    try:
        with pytest.raises(CredentialsRejected, match="403: The token lacks the compute scope"):
            Job(transport, sites.folder).submit()
    finally:
        sites.secret("token", TOKEN)
    assert ended(sites, transport, Job(transport, sites.folder).submit()).state == "COMPLETED", "the file is read again"
    transport.close()


def test_an_opaque_token_and_a_renewed_one_tell_no_end(alcf: IriTransport, nersc: IriTransport) -> None:
    assert alcf.credential_expiry() is None
    assert nersc.credential_expiry() is None


def test_a_token_that_ran_out_is_renewed_with_the_key(nersc: IriTransport, sites: Profile) -> None:
    nersc.look_many(["1"])
    sites.simulator.control.expire_tokens("sfapi")

    assert nersc.look_many(["1"]) == {}


def test_a_client_that_nobody_knows(sites: Profile) -> None:
    transport = sites.transport("nersc")
    key = (sites.folder / "key").read_text()
    sites.secret("client", "nobody")
    with pytest.raises(CredentialsRejected, match=r"refused the API client in file .* \('invalid_client'\)"):
        transport.look_many(["1"])
    sites.secret("key", "no key at all")
    with pytest.raises(SecretUnavailable, match="holds no private key"):
        transport.look_many(["1"])
    transport.close()
    sites.secret("key", key)


def test_health_of_the_full_api(alcf: IriTransport, sites: Profile) -> None:
    begin = "2099-01-01T08:00:00Z"
    sites.simulator.control.set_iri("alcf", "degraded", [{"start": begin}, {"start": begin, "resource_uris": ["https://x/y/other"]}])

    health = alcf.health()

    assert health.ok and health.outage_from is not None and health.outage_to is None
    assert health.sentence == "ALCF is up, but degraded; maintenance from 2099-01-01 08:00 UTC."
