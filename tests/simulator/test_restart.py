"""The simulator as a process: started, stopped, killed with -9 in the middle of work, and started again on the same state."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from forks import Process
from globus_sdk import ClientApp, ConfidentialAppAuthClient, GlobusAppConfig, TransferClient, TransferData

from als_assets.errors import ConfigError, ServiceUnreachable
from als_assets.simulator.server import Simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sfapi_client import Client


@pytest.fixture
def process(site: Any) -> Iterator[Process]:
    with Process(site.config) as made:
        yield made


@pytest.fixture
def transfer(process: Process) -> Iterator[TransferClient]:
    with (
        ConfidentialAppAuthClient("11111111-1111-4111-8111-111111111111", "mover-secret", base_url=process.url) as login,
        ClientApp("als-test", login_client=login, config=GlobusAppConfig(token_storage="memory")) as app,
        TransferClient(app=app, base_url=process.url) as client,
    ):
        yield client


def submit(client: TransferClient, site: Any, path: str) -> str:
    data = TransferData(site.source, site.target, verify_checksum=True)
    data.add_item(path, path)
    return str(client.submit_transfer(data)["task_id"])


def task_ended(process: Process, task_id: str) -> dict[str, Any]:
    def look() -> Any:
        return next((task for task in process.control.tasks() if task["task_id"] == task_id and task["completion_time"]), None)

    found: dict[str, Any] = process.control.wait_for(look, what="the task's end")
    return found


def job_ended(process: Process, job_id: str) -> dict[str, Any]:
    def look() -> Any:
        jobs = [job for job in process.control.jobs() if job["jobid"] == job_id]
        return next((job for job in jobs if job["state"] not in ("PENDING", "RUNNING")), None)

    found: dict[str, Any] = process.control.wait_for(look, what="the job's end")
    return found


# --- life ----------------------------------------------------------------------------------------------------------------


def test_ready_line_and_clean_stop(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "simulator.json"
    file.write_text(process.config.model_dump_json())
    command = [sys.executable, "-m", "als_assets.simulator", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == f"The simulator is ready at {process.url}\n"
        assert process.control.ready()
        started.terminate()
        assert started.wait(timeout=20) == 0
    assert not process.control.ready()


def test_a_wrong_configuration_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"state_dir": "x", "host": "0.0.0.0"}')
    command = [sys.executable, "-m", "als_assets.simulator", "--config", str(tmp_path / "bad.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "0.0.0.0 can be reached from outside" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said_and_the_state_is_free_again(site: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        occupied = site.config.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(ServiceUnreachable, match="could not listen"):
            Simulator(occupied).start()
    with Simulator(site.config) as running:
        assert running.control.ready()


def test_two_simulators_do_not_share_a_state(site: Any) -> None:
    with Simulator(site.config), pytest.raises(ConfigError, match="Another simulator"):
        Simulator(site.config).start()
    with Simulator(site.config) as again:
        assert again.control.ready()


# --- killed in the middle --------------------------------------------------------------------------------------------------


def test_a_transfer_goes_on_after_a_kill(process: Process, site: Any, transfer: TransferClient) -> None:
    folder = site.folders["source"] / "scan"
    folder.mkdir()
    for number in range(4):
        (folder / f"f{number}").write_bytes(os.urandom(100_000))
    process.start()
    process.control.add_fault(where="transfer", action="slow", bytes_per_s=250_000)
    task_id = submit(transfer, site, "/scan")
    process.control.wait_for(lambda: next(iter(process.control.tasks()), {}).get("files_transferred", 0) >= 1, what="the first file")
    process.end(signal.SIGKILL)
    arrived = sorted((site.folders["target"] / "scan").iterdir())
    assert len(arrived) < 4
    first_write = arrived[0].stat().st_mtime_ns

    process.start()
    task = task_ended(process, task_id)
    assert (task["status"], task["files_transferred"], task["files"]) == ("SUCCEEDED", 4, 4)
    assert arrived[0].stat().st_mtime_ns == first_write  # what had arrived was not sent again
    for path in folder.iterdir():
        assert (site.folders["target"] / "scan" / path.name).read_bytes() == path.read_bytes()
    assert transfer.get_task(task_id)["status"] == "SUCCEEDED"  # the token survived, too
    assert len(process.control.requests("POST", "/v2/oauth2/token")) == 1
    listed = [entry["source_path"] for entry in transfer.task_successful_transfers(task_id)]
    assert sorted(listed) == [f"/scan/f{number}" for number in range(4)]


def test_a_held_transfer_is_still_held_after_a_kill(process: Process, site: Any, transfer: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    process.start()
    rule = process.control.add_fault(where="transfer", action="stall")
    task_id = submit(transfer, site, "/f")
    process.control.wait_for(lambda: any(task["held_by"] for task in process.control.tasks()), what="the stall")
    process.end(signal.SIGKILL)
    process.start()
    assert [found["id"] for found in process.control.faults()] == [rule]
    (task,) = process.control.tasks()
    assert (task["status"], task["held_by"]) == ("ACTIVE", rule)
    process.control.clear_faults()
    assert task_ended(process, task_id)["status"] == "SUCCEEDED"


def test_a_submission_id_is_remembered(process: Process, site: Any, transfer: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    process.start()
    data = TransferData(site.source, site.target, submission_id=transfer.get_submission_id()["value"])
    data.add_item("/f", "/f")
    first = transfer.submit_transfer(data)["task_id"]
    process.end(signal.SIGKILL)
    process.start()
    again = transfer.submit_transfer(data)
    assert (again["code"], again["task_id"]) == ("Duplicate", first)


@pytest.fixture
def submit_job(process: Process, site: Any) -> Iterator[Callable[[str], str]]:
    clients: list[Client] = []

    def run(text: str) -> str:
        urls = {"api_base_url": f"{process.url}/api/v1.2", "token_url": f"{process.url}/c2id/token"}
        clients.append(Client("abcdefghij123", site.key, **urls))
        script = f"#!/bin/bash\n#SBATCH --time=0:01:00\n{text}\n"
        return str(clients[-1].compute("perlmutter").submit_job(script).jobid)

    yield run
    for client in clients:
        client.close()


def test_jobs_are_found_again_after_a_kill(process: Process, site: Any, submit_job: Callable[[str], str]) -> None:
    process.start()
    script = "echo $$ >> runs; until [ -e {0} ]; do sleep 0.02; done; exit {1}"
    early, late = submit_job(script.format("early", 0)), submit_job(script.format("late", 3))
    runs = site.jobs / "runs"
    process.control.wait_for(lambda: runs.exists() and len(runs.read_text().split()) == 2, what="two running jobs")
    queued = submit_job("echo queued > queued")
    process.end(signal.SIGKILL)
    (site.jobs / "early").touch()  # this one ends while nobody looks

    process.start()
    assert (job_ended(process, early)["state"], job_ended(process, queued)["state"]) == ("COMPLETED", "COMPLETED")
    assert [job["state"] for job in process.control.jobs() if job["jobid"] == late] == ["RUNNING"]
    (site.jobs / "late").touch()
    found = job_ended(process, late)
    assert (found["state"], found["exit"]) == ("FAILED", [3, 0])
    assert len(runs.read_text().split()) == 2  # no script ran twice
    assert (site.jobs / "queued").exists()


def test_a_job_that_vanished_meanwhile_is_a_node_failure(process: Process, site: Any, submit_job: Callable[[str], str]) -> None:
    process.start()
    job_id = submit_job("echo $PPID $$ > pids.tmp && mv pids.tmp pids; sleep 60")
    process.control.wait_for((site.jobs / "pids").exists, what="the job's process")
    process.end(signal.SIGKILL)
    for pid in (site.jobs / "pids").read_text().split():  # the wrapper first: it must not be able to tell
        os.kill(int(pid), signal.SIGKILL)
    process.start()
    assert job_ended(process, job_id)["state"] == "NODE_FAIL"


def test_a_clean_stop_leaves_no_job_behind(process: Process, site: Any, submit_job: Callable[[str], str]) -> None:
    process.start()
    job_id = submit_job("echo $$ > pid.tmp && mv pid.tmp pid; sleep 60")
    process.control.wait_for((site.jobs / "pid").exists, what="the job's process")
    assert process.end(signal.SIGTERM) == 0
    stat = Path("/proc", (site.jobs / "pid").read_text().strip(), "stat")
    process.control.wait_for(lambda: not stat.exists() or " Z " in stat.read_text(), what="the end of the process")
    process.start()
    assert job_ended(process, job_id)["state"] == "NODE_FAIL"


def test_records_and_tokens_of_scicat_stay(process: Process) -> None:
    process.start()
    with httpx.Client(base_url=f"{process.url}/api/v3") as client:
        token = client.post("/auth/login", json={"username": "ingestor", "password": "ingest"}).json()["id"]
        client.headers["Authorization"] = f"Bearer {token}"
        body = {"type": "raw", "owner": "J", "ownerGroup": "ingestor", "contactEmail": "j@lbl.gov", "sourceFolder": "/"}
        body |= {"creationTime": "2026-11-22T10:00:00Z", "principalInvestigator": "J", "creationLocation": "8.3.2"}
        pid = client.post("/datasets", json=body).json()["pid"]
    process.end(signal.SIGKILL)
    process.start()
    with httpx.Client(base_url=f"{process.url}/api/v3", headers={"Authorization": f"Bearer {token}"}) as client:
        assert [dataset["pid"] for dataset in client.get("/datasets").json()] == [pid]
