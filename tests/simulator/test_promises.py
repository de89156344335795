"""Promises that hold for any input, at any moment: any tree arrives, nothing is done twice, a stop loses nothing."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from globus_sdk import TransferClient, TransferData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.server import Simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sfapi_client import Client

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
_SAFE = _NAMES.filter(lambda name: name not in (".", "..") and len(name.encode()) < 100)
_TREES = st.recursive(st.binary(max_size=50), lambda below: st.dictionaries(_SAFE, below, max_size=4), max_leaves=8)


def changed(config: SimulatorConfig, room: str, **fields: Any) -> SimulatorConfig:
    """The configuration with some fields of one service replaced."""
    service = getattr(config, room)
    return config.model_copy(update={room: service.model_copy(update=fields)})


def ended(simulator: Simulator, task_id: str) -> dict[str, Any]:
    def look() -> Any:
        return next((task for task in simulator.control.tasks() if task["task_id"] == task_id and task["completion_time"]), None)

    found: dict[str, Any] = simulator.control.wait_for(look, what="the task's end")
    return found


def submit(client: TransferClient, site: Any, source: str, target: str, **options: Any) -> str:
    data = TransferData(site.source, site.target, **options)
    data.add_item(source, target)
    return str(client.submit_transfer(data)["task_id"])


# --- any tree ------------------------------------------------------------------------------------------------------------


def plant(top: Path, tree: dict[str, Any]) -> None:
    """Make directories and files of a nested dictionary."""
    top.mkdir(parents=True)
    for name, below in tree.items():
        if isinstance(below, dict):
            plant(top / name, below)
        else:
            (top / name).write_bytes(below)


def harvest(top: Path) -> dict[str, Any]:
    """The nested dictionary of what lies in a directory."""
    return {path.name: harvest(path) if path.is_dir() else path.read_bytes() for path in top.iterdir()}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(_SAFE, _TREES, max_size=5), verify=st.booleans())
def test_any_tree_arrives_unchanged(
    simulator: Simulator, site: Any, transfer_client: TransferClient, tree: dict[str, Any], verify: bool
) -> None:
    name = f"tree{len(list(site.folders['source'].iterdir()))}"
    plant(site.folders["source"] / name, tree)
    task = ended(simulator, submit(transfer_client, site, f"/{name}", f"/{name}", verify_checksum=verify))
    assert task["status"] == "SUCCEEDED"
    assert harvest(site.folders["target"] / name) == tree
    assert task["files"] == task["files_transferred"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_SAFE)
def test_any_name_can_be_seen_renamed_and_deleted(simulator: Simulator, site: Any, transfer_client: TransferClient, name: str) -> None:
    for left in site.folders["target"].iterdir():
        left.unlink()
    (site.folders["target"] / name).write_bytes(b"12345")
    assert transfer_client.operation_stat(site.target, f"/{name}")["size"] == 5
    assert [entry["name"] for entry in transfer_client.operation_ls(site.target)] == [name]
    transfer_client.operation_rename(site.target, oldpath=f"/{name}", newpath="/renamed\u00e9")
    assert [path.name for path in site.folders["target"].iterdir()] == ["renamed\u00e9"]


# --- once ----------------------------------------------------------------------------------------------------------------


def at_once(count: int, action: Callable[[int], Any]) -> list[Any]:
    """The results of ``count`` threads that begin together."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        return action(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_one_submission_id_from_many_threads_is_one_task(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    value = transfer_client.get_submission_id()["value"]
    token = transfer_client.get("/v0.10/submission_id")._response.request.headers["Authorization"]  # type: ignore[union-attr]
    document = {
        "DATA_TYPE": "transfer",
        "submission_id": value,
        "source_endpoint": site.source,
        "destination_endpoint": site.target,
        "DATA": [{"DATA_TYPE": "transfer_item", "source_path": "/f", "destination_path": "/f"}],
    }

    def post(number: int) -> Any:
        return httpx.post(f"{simulator.url}/v0.10/transfer", json=document, headers={"Authorization": token}).json()

    answers = at_once(8, post)
    assert sorted(answer["code"] for answer in answers) == ["Accepted"] + ["Duplicate"] * 7
    assert len({answer["task_id"] for answer in answers}) == len(simulator.control.tasks()) == 1


def test_one_pid_from_many_threads_is_one_record(simulator: Simulator) -> None:
    login = httpx.post(f"{simulator.url}/api/v3/auth/login", json={"username": "ingestor", "password": "ingest"}).json()
    body = {"pid": "als/1", "type": "raw", "owner": "J", "ownerGroup": "g", "contactEmail": "j@lbl.gov", "sourceFolder": "/"}
    body |= {"creationTime": "2026-11-22T10:00:00Z", "principalInvestigator": "J", "creationLocation": "8.3.2"}
    headers = {"Authorization": f"Bearer {login['id']}"}
    codes = at_once(8, lambda number: httpx.post(f"{simulator.url}/api/v3/datasets", json=body, headers=headers).status_code)
    assert sorted(codes) == [201] + [409] * 7
    assert len(simulator.control.records()) == 1


def test_a_fault_for_one_request_strikes_one_of_many(simulator: Simulator) -> None:
    simulator.control.add_fault(where="http", path="/api/v1.2/status", status=503)
    codes = at_once(8, lambda number: httpx.get(f"{simulator.url}/api/v1.2/status").status_code)
    assert sorted(codes) == [200] * 7 + [503]


# --- speed limits and stops ------------------------------------------------------------------------------------------------


def test_a_throttled_collection_still_delivers(site: Any, globus_client: Callable[..., TransferClient]) -> None:
    content = os.urandom(60_000)
    (site.folders["source"] / "f").write_bytes(content)
    with Simulator(changed(site.config, "globus", bytes_per_s=200_000)) as simulator:
        task = ended(simulator, submit(globus_client(simulator), site, "/f", "/f", verify_checksum=True))
    assert task["status"] == "SUCCEEDED"
    assert 0 < task["effective_bytes_per_second"] <= 200_000
    assert (site.folders["target"] / "f").read_bytes() == content


def test_a_clean_stop_in_a_transfer_loses_nothing(site: Any, globus_client: Callable[..., TransferClient]) -> None:
    content = os.urandom(200_000)
    (site.folders["source"] / "f").write_bytes(content)
    with Simulator(changed(site.config, "globus", bytes_per_s=200_000)) as slow:
        task_id = submit(globus_client(slow), site, "/f", "/f")
        slow.control.wait_for((site.folders["target"] / "f").exists, what="the first bytes")
    assert (site.folders["target"] / "f").stat().st_size < len(content)
    with Simulator(site.config) as fast:
        task = ended(fast, task_id)
    assert (task["status"], task["bytes_transferred"]) == ("SUCCEEDED", len(content))
    assert (site.folders["target"] / "f").read_bytes() == content


def test_a_queued_task_waits_through_a_stop(site: Any, globus_client: Callable[..., TransferClient]) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    with Simulator(changed(site.config, "globus", task_slots=1)) as first:
        client = globus_client(first)
        submit(client, site, "/late", "/late")
        waiting = submit(client, site, "/f", "/f")
        assert client.get_task(waiting)["nice_status"] == "Queued"
    assert not (site.folders["target"] / "f").exists()
    (site.folders["source"] / "late").write_bytes(b"y")
    with Simulator(site.config) as second:
        assert ended(second, waiting)["status"] == "SUCCEEDED"


def test_a_hanging_login_does_not_hold_up_a_stop(site: Any) -> None:
    with Simulator(site.config) as simulator:
        simulator.control.add_fault(where="scicat", action="hang_login", times=None)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{simulator.url}/api/v3/auth/login", json={}, timeout=0.2)
    with Simulator(site.config) as again:
        assert again.control.ready()


# --- jobs ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def job_client(site: Any) -> Iterator[Callable[[Simulator], Any]]:
    opened: list[Client] = []

    def make(simulator: Simulator) -> Any:
        urls = {"api_base_url": f"{simulator.url}/api/v1.2", "token_url": f"{simulator.url}/c2id/token"}
        opened.append(Client("abcdefghij123", site.key, wait_interval=0.05, **urls))
        return opened[-1].compute("perlmutter")

    yield make
    for client in opened:
        client.close()


def test_jobs_may_outlive_a_clean_stop(site: Any, job_client: Callable[[Simulator], Any]) -> None:
    config = changed(site.config, "sfapi", keep_jobs=True)
    with Simulator(config) as first:
        machine = job_client(first)
        job_id = machine.submit_job("#!/bin/sh\ntouch began\nuntil [ -e go ]; do sleep 0.02; done\nexit 9\n").jobid
        first.control.wait_for((site.jobs / "began").exists, what="the job's start")
    (site.jobs / "go").touch()
    with Simulator(config) as second:
        second.control.wait_for(lambda: second.control.jobs()[0]["end"], what="the job's end")
        assert job_client(second).job(job_id).exitcode == "9:0"


def test_times_are_the_clusters_own(site: Any, job_client: Callable[[Simulator], Any]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with Simulator(changed(site.config, "sfapi", timezone="Asia/Kathmandu")) as simulator:
        job = job_client(simulator).submit_job("#!/bin/sh\ntrue\n")
        job.complete()
        told = datetime.fromisoformat(job_client(simulator).job(job.jobid).submit)
    assert told.tzinfo is None
    offset_s = (told - before.replace(tzinfo=None)).total_seconds()
    assert 20_700 <= offset_s < 20_700 + 600  # 5 h 45 min


def test_a_job_does_not_see_the_simulators_secrets(
    site: Any, job_client: Callable[[Simulator], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALS_SECRET", "do not leak")
    with Simulator(site.config) as simulator:
        job = job_client(simulator).submit_job("#!/bin/bash\n#SBATCH -J env -A als -q realtime\nenv > env\n")
        assert job.complete() == "COMPLETED"
        command = job_client(simulator).run("env")
    seen = dict(line.split("=", 1) for line in (site.jobs / "env").read_text().splitlines() if "=" in line)
    assert "ALS_SECRET" not in seen
    assert "ALS_SECRET" not in command
    assert (seen["SLURM_JOB_ID"], seen["SLURM_JOB_NAME"], seen["SITE"], seen["USER"]) == (job.jobid, "env", "box", "alsdev")


def test_job_numbers_never_repeat(site: Any, job_client: Callable[[Simulator], Any]) -> None:
    numbers = []
    for _ in range(2):
        with Simulator(site.config) as simulator:
            numbers += [job_client(simulator).submit_job("#!/bin/sh\ntrue\n").jobid for _ in range(2)]
    assert len(set(numbers)) == 4
    assert numbers == sorted(numbers)


def test_a_long_command_can_be_cancelled(site: Any, job_client: Callable[[Simulator], Any]) -> None:
    with Simulator(site.config) as simulator:
        task = job_client(simulator).run_task("touch began; sleep 60; touch ended")
        simulator.control.wait_for((site.jobs / "began").exists, what="the command's start")
        task.cancel()
        assert task.update().status == "CANCELLED"
    time.sleep(0.1)
    assert not (site.jobs / "ended").exists()


def test_a_command_cut_off_by_a_stop_is_over(site: Any, job_client: Callable[[Simulator], Any]) -> None:
    with Simulator(site.config) as simulator:
        task = job_client(simulator).run_task("touch began; sleep 60")
        simulator.control.wait_for((site.jobs / "began").exists, what="the command's start")
    with Simulator(site.config) as again:
        machine = job_client(again)
        found = machine.client.get(f"tasks/{task.id}").json()
    assert found["status"] == "completed"
    assert '"exit_code": -9' in found["result"]
