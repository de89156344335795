"""The simulated IRI API, read by an independent client (amsc_iri, generated from the API's specification)."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amsc_iri
import httpx
import pytest
from amsc_iri.exceptions import ApiException, NotFoundException, UnauthorizedException
from forks import Process

from als_assets.simulator.config import IriFacility, IriToken, SimulatorConfig
from als_assets.simulator.control import Control, ControlRefused
from als_assets.simulator.iri.specs import JobSpec, SpecRefused, batch_script
from als_assets.simulator.server import Simulator

TOKENS = {"full": "a-token", "olcf": "another-token"}
TOKEN = TOKENS["full"]


def config(folder: Path, **changes: Any) -> SimulatorConfig:
    usual: dict[str, Any] = {"roots": [folder], "queue_wait_s": 0.02, "kill_wait_s": 0.3, "slots": 4}
    full = IriFacility(title="A laboratory", resource="aurora", cluster="aurora", node="n1", user="me", tokens={TOKEN: IriToken()}, **usual)
    sites = {"full": full, "olcf": IriFacility(personality="olcf", resource="frontier", tokens={TOKENS["olcf"]: IriToken()}, **usual)}
    return SimulatorConfig(state_dir=folder / "state", iri=sites, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("iri")


@pytest.fixture(scope="module")
def simulator(folder: Path) -> Iterator[Simulator]:
    with Simulator(config(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def client(simulator: Simulator) -> amsc_iri.ApiClient:
    return client_of(simulator.url, "full")


def client_of(url: str, name: str, token: str = TOKEN) -> amsc_iri.ApiClient:
    return amsc_iri.ApiClient(amsc_iri.Configuration(host=f"{url}/iri/{name}", access_token=token))


@pytest.fixture
def machine(client: amsc_iri.ApiClient) -> str:
    (resource,) = amsc_iri.StatusApi(client).get_resources(resource_type="compute")
    assert (resource.name, resource.current_status) == ("aurora", "up")
    return str(resource.id)


def spec(script: str, **fields: Any) -> amsc_iri.JobSpec:
    return amsc_iri.JobSpec(executable="/bin/bash", arguments=["-lc", script], stdout_path="/dev/null", stderr_path="/dev/null", **fields)


def ended(control: Control, client: amsc_iri.ApiClient, machine: str, job_id: str) -> Any:
    def look() -> Any:
        job = amsc_iri.ComputeApi(client).get_job(machine, job_id)
        return job if job.status.state in ("completed", "failed", "canceled") else None

    return control.wait_for(look, what="the end of the job")


# --- facility and status ---------------------------------------------------------------------------------------------------


def test_facility_and_sites(client: amsc_iri.ApiClient) -> None:
    api = amsc_iri.FacilityApi(client)
    facility = api.get_facility()
    (site,) = api.get_sites()

    assert facility.name == site.name == "A laboratory"
    assert facility.site_uris == [api.get_site(site.id).self_uri]


def test_status_and_incidents_follow_the_control_plane(simulator: Simulator, client: amsc_iri.ApiClient, machine: str) -> None:
    api = amsc_iri.StatusApi(client)
    assert api.get_incidents() == [] and api.get_events_by_incident() == []
    simulator.control.set_iri("full", "down", [{"start": "2099-01-01T08:00:00Z", "end": "2099-01-01T18:00:00Z"}])
    (incident,) = api.get_incidents()

    assert (incident.type, incident.status, incident.resolution) == ("planned", "down", "pending")
    assert incident.resource_uris == [api.get_resource(machine).self_uri]
    assert api.get_incident(incident.id).start == incident.start
    assert api.get_resource(machine).current_status == "down"
    simulator.control.set_iri("full")
    with pytest.raises(ControlRefused, match="no status sunny"):
        simulator.control.set_iri("full", "sunny")
    for ask in (lambda: api.get_resource("x"), lambda: api.get_incident("x")):
        with pytest.raises(NotFoundException):
            ask()


# --- jobs ------------------------------------------------------------------------------------------------------------------


def test_a_job_runs_as_its_spec_says(simulator: Simulator, client: amsc_iri.ApiClient, machine: str, folder: Path) -> None:
    attributes = amsc_iri.JobAttributes(
        duration=60, account="als", queue_name="prod", custom_attributes={"comment": "x y", "filesystems": "eagle"}
    )
    resources = amsc_iri.ResourceSpec(node_count=1, memory=1 << 30, exclusive_node_use=False)
    job = amsc_iri.ComputeApi(client).launch_job(
        machine,
        spec(
            'echo "$WORD $SLURM_JOB_NAME $SLURM_JOB_ACCOUNT $PWD" > told; exit 3',
            name="tomo x",
            directory=str(folder),
            environment={"WORD": "it's"},
            attributes=attributes,
            resources=resources,
        ),
    )
    found = ended(simulator.control, client, machine, job.id)

    assert (found.status.state, found.status.exit_code) == ("failed", 3)
    assert (found.status.meta_data["state"], found.status.meta_data["comment"]) == ("FAILED", "x y")
    assert (folder / "told").read_text() == f"it's tomo x als {folder}\n"
    with_spec = amsc_iri.ComputeApi(client).get_job(machine, job.id, include_spec=True)
    assert (with_spec.job_spec.name, with_spec.job_spec.attributes.duration) == ("tomo x", 60)


def test_the_list_is_paged_newest_first(simulator: Simulator, client: amsc_iri.ApiClient, machine: str) -> None:
    api = amsc_iri.ComputeApi(client)
    ids = [api.launch_job(machine, spec("true")).id for _ in range(3)]
    for job_id in ids:
        assert ended(simulator.control, client, machine, job_id).status.state == "completed"

    assert [job.id for job in api.get_jobs(machine, historical=True, limit=2)] == ids[:0:-1]
    assert [job.id for job in api.get_jobs(machine, historical=True, limit=1, offset=2)] == ids[:1]
    assert not {job.id for job in api.get_jobs(machine)} & set(ids), "those that have ended are history"


def test_cancel(simulator: Simulator, client: amsc_iri.ApiClient, machine: str) -> None:
    api = amsc_iri.ComputeApi(client)
    job = api.launch_job(machine, spec("sleep 60"))
    api.cancel_job(machine, job.id)

    assert ended(simulator.control, client, machine, job.id).status.state == "canceled"
    for ask in (lambda: api.get_job(machine, "999"), lambda: api.cancel_job(machine, "999"), lambda: api.get_job("no-machine", job.id)):
        with pytest.raises(NotFoundException):
            ask()


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"executable": "x", "colour": "red"}, 422, "colour"),
        ({"arguments": []}, 422, "executable"),
        ({"executable": "x", "name": "a\nb"}, 400, "control character"),
        ({"executable": "x", "environment": {"A B": "1"}}, 400, "no name of a variable"),
    ],
)
def test_a_spec_that_is_refused(simulator: Simulator, machine: str, document: dict[str, Any], status: int, words: str) -> None:
    url, headers = f"{simulator.url}/iri/full/api/v1/compute/job/{machine}", {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(url, json=document, headers=headers)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_no_value_of_a_spec_is_run_by_a_shell() -> None:
    evil = "x'; touch owned; echo '$(touch owned)"
    document = {"executable": evil, "arguments": [evil], "name": evil, "environment": {"A": evil}, "stdin_path": evil}
    script = batch_script(JobSpec.model_validate(document))

    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert script.count("touch owned") == script.count("'\"'\"'; touch owned; echo '\"'\"'") * 2
    with pytest.raises(SpecRefused):
        batch_script(JobSpec(executable="x", directory="a\tb"))


def test_launcher_and_the_lines_around_the_program() -> None:
    script = batch_script(JobSpec(executable="prog", launcher="srun -n 1", pre_launch="module load x", post_launch="echo over"))

    assert script.splitlines()[-3:] == ["module load x", "srun -n 1 prog", "echo over"]


# --- files -----------------------------------------------------------------------------------------------------------------


def task(client: amsc_iri.ApiClient, submitted: Any) -> Any:
    return amsc_iri.TaskApi(client).get_task(submitted.task_id)


def test_files(client: amsc_iri.ApiClient, machine: str, folder: Path) -> None:
    api, place = amsc_iri.FilesystemApi(client), folder / "files"
    made = task(client, api.mkdir(machine, amsc_iri.PostMakeDirRequest(path=str(place / "deep"), parent=True)))
    (place / ".hidden").touch()
    (place / "log").write_text("one\ntwo\nthree\n")

    assert made.status == "completed"
    names = lambda **options: [row["name"] for row in task(client, api.ls(machine, str(place), **options)).result["output"]]  # noqa: E731
    assert (names(), names(show_hidden=True)) == (["deep", "log"], [".hidden", "deep", "log"])
    assert task(client, api.stat(machine, str(place / "log"))).result["output"]["size"] == 14
    contents = [
        api.tail(machine, str(place / "log"), lines=1),
        api.head(machine, str(place / "log"), bytes=5),
        api.view(machine, str(place / "log"), size=3, offset=4),
    ]
    assert [task(client, one).result["output"]["content"] for one in contents] == ["three\n", "one\nt", "two"]
    assert len(task(client, api.checksum(machine, str(place / "log"))).result["output"]["checksum"]) == 64
    failed = [task(client, api.ls(machine, path)) for path in (str(place / "absent"), "/etc", f"{place}/../../x")]
    assert [one.status for one in failed] == ["failed"] * 3
    assert "No such file" in failed[0].result["error"] and "Permission denied" in failed[1].result["error"]
    with pytest.raises(ApiException, match="Exactly one"):
        api.tail(machine, str(place / "log"))
    assert len(amsc_iri.TaskApi(client).get_tasks()) >= 10
    with pytest.raises(NotFoundException):
        amsc_iri.TaskApi(client).get_task("x")


# --- tokens and OLCF's subset ----------------------------------------------------------------------------------------------


def test_without_a_token(simulator: Simulator, machine: str) -> None:
    stranger = client_of(simulator.url, "full", "nobody's")
    assert amsc_iri.StatusApi(stranger).get_resource(machine).name == "aurora", "status is public there"
    with pytest.raises(UnauthorizedException):
        amsc_iri.ComputeApi(stranger).get_job(machine, "1")
    with pytest.raises(UnauthorizedException):  # a token of another facility
        amsc_iri.ComputeApi(client_of(simulator.url, "full", TOKENS["olcf"])).get_job(machine, "1")


def test_olcf_has_facility_status_and_compute_only(simulator: Simulator) -> None:
    api = client_of(simulator.url, "olcf", TOKENS["olcf"])
    with pytest.raises(UnauthorizedException):  # the specification says that status is public, and the client believes it
        amsc_iri.StatusApi(api).get_resources()
    api.set_default_header("Authorization", f"Bearer {TOKENS['olcf']}")
    (resource,) = amsc_iri.StatusApi(api).get_resources()
    job = amsc_iri.ComputeApi(api).launch_job(resource.id, spec("exit 3", name="x"))
    found = ended(simulator.control, api, resource.id, job.id)

    assert (found.status.state, found.status.exit_code, found.status.message, found.status.meta_data) == ("failed", 3, None, None)
    assert amsc_iri.ComputeApi(api).get_job(resource.id, job.id, include_spec=True).job_spec is None
    with pytest.raises(NotFoundException):
        amsc_iri.StatusApi(api).get_incidents()
    with pytest.raises(ApiException) as caught:
        amsc_iri.FilesystemApi(api).ls(resource.id, "/")
    assert caught.value.status == 501
    headers = {"Authorization": TOKENS["olcf"]}
    introspected = httpx.get(f"{simulator.url}/iri/olcf/olcf/v1/token/ctls/introspect", headers=headers).json()["token"]
    assert (introspected["username"], introspected["project"]) == ("als_auser", "als")


# --- a restart -------------------------------------------------------------------------------------------------------------


def test_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    with Process(config(tmp_path)) as process:
        process.start()
        api = client_of(process.url, "full")
        (resource,) = amsc_iri.StatusApi(api).get_resources()
        job = amsc_iri.ComputeApi(api).launch_job(
            resource.id, spec("echo x >> runs; until [ -e go ]; do sleep 0.02; done", directory=str(tmp_path))
        )
        process.control.wait_for((tmp_path / "runs").exists, what="the start of the job")
        process.end(signal.SIGKILL)
        (tmp_path / "go").touch()
        process.start()
        assert ended(process.control, api, resource.id, job.id).status.state == "completed"
        assert process.end(signal.SIGTERM) == 0
    assert (tmp_path / "runs").read_text() == "x\n"
