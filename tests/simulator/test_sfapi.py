"""SFAPI, driven by the unmodified sfapi_client: status, account, files, commands and jobs."""

from __future__ import annotations

import io
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

with warnings.catch_warnings():
    # authlib tells at import that it would rather have httpx2; that is a matter between it and sfapi_client.
    warnings.simplefilter("ignore")
    from authlib.integrations.base_client.errors import OAuthError
    from sfapi_client import Client, SfApiError

CLIENT_ID = "abcdefghij123"
HEAD = "#!/bin/bash\n#SBATCH -q realtime\n#SBATCH -A als\n#SBATCH --job-name=tomo_x\n#SBATCH --time=0:00:30\n"


@pytest.fixture
def sfapi(simulator: Any, site: Any) -> Iterator[Callable[..., Client]]:
    opened: list[Client] = []

    def make(key: dict[str, Any] | None = None, client_id: str = CLIENT_ID) -> Client:
        urls = {"api_base_url": f"{simulator.url}/api/v1.2", "token_url": f"{simulator.url}/c2id/token"}
        opened.append(Client(client_id, key or site.key, wait_interval=0.05, **urls))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def perlmutter(sfapi: Callable[..., Client]) -> Any:
    return sfapi().compute("perlmutter")


def ended(simulator: Any, job_id: str) -> dict[str, Any]:
    """The job as the control plane shows it, once it has ended."""

    def look() -> Any:
        jobs = [job for job in simulator.control.jobs() if job["jobid"] == job_id]
        return next((job for job in jobs if job["state"] not in ("PENDING", "RUNNING")), None)

    found: dict[str, Any] = simulator.control.wait_for(look, what=f"the end of job {job_id}")
    return found


def wait_state(simulator: Any, job_id: str, state: str) -> None:
    jobs = lambda: any(job["jobid"] == job_id and job["state"] == state for job in simulator.control.jobs())  # noqa: E731
    simulator.control.wait_for(jobs, what=f"{state} of job {job_id}")


def body(text: str, head: str = HEAD) -> str:
    return f"{head}{text}\n"


# --- identity and status -----------------------------------------------------------------------------------------------


def test_a_signed_assertion_gives_a_token(sfapi: Callable[..., Client]) -> None:
    client = sfapi()
    assert client.user().name == "alsdev"
    assert [found.clientId for found in client.user().clients()] == [CLIENT_ID]


def test_a_foreign_key_or_client_is_refused(sfapi: Callable[..., Client]) -> None:
    from joserfc.jwk import RSAKey

    foreign = RSAKey.generate_key(2048).as_dict(private=True)
    for client in (sfapi(key=foreign), sfapi(client_id="nobody")):
        with pytest.raises(OAuthError, match="invalid_client"):
            client.user()


@pytest.mark.parametrize(
    "change",
    [{"client_assertion": "no.token"}, {"client_assertion": ""}, {"grant_type": "password"}, {"client_assertion_type": "x"}],
)
def test_malformed_token_requests_are_refused(simulator: Any, change: dict[str, str]) -> None:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": "a.b.c"} | change
    answer = httpx.post(f"{simulator.url}/c2id/token", data=form)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_client", "unsupported_grant_type")


def test_an_expired_token_is_403(simulator: Any, sfapi: Callable[..., Client]) -> None:
    client = sfapi()
    client.user()
    simulator.control.expire_tokens("sfapi")
    with pytest.raises(httpx.HTTPStatusError) as error:
        client.user()
    assert error.value.response.status_code == 403
    assert httpx.get(f"{simulator.url}/api/v1.2/account/").status_code == 401


def test_status_and_outages_follow_the_control_plane(simulator: Any, sfapi: Callable[..., Client]) -> None:
    client = sfapi()
    assert client.compute("perlmutter").status == "active"
    simulator.control.set_system("perlmutter", "unavailable", "Power cut")
    machine = client.compute("perlmutter")
    assert (machine.status, machine.description) == ("unavailable", "Power cut")
    assert machine.planned_outages() == []
    times = {"start_at": "2026-12-01T08:00:00+00:00", "end_at": "2026-12-01T18:00:00+00:00"}
    simulator.control.set_outages([times, {**times, "status": "Completed"}])
    assert [outage.status for outage in machine.planned_outages()] == ["Planned"]
    assert len(machine.outages()) == 2
    assert set(client.resources.status()) >= {"perlmutter", "globus", "community_filesystem"}
    assert list(client.resources.planned_outages()) == ["perlmutter"]


def test_account_pages(sfapi: Callable[..., Client]) -> None:
    user = sfapi().user()
    assert [group.name for group in user.groups()] == ["als"]
    assert [project.repo_name for project in user.projects()] == ["als"]
    assert [role.iris_role for role in user.roles()] == ["user"]


# --- files and commands --------------------------------------------------------------------------------------------------


def test_upload_list_and_download(perlmutter: Any, site: Any) -> None:
    folder = site.jobs / "out"
    folder.mkdir()
    content = io.BytesIO(b"abc\x00\xff")
    content.filename = "up.bin"  # type: ignore[attr-defined]
    (remote,) = perlmutter.ls(str(folder), directory=True)
    uploaded = remote.upload(content)
    assert (folder / "up.bin").read_bytes() == b"abc\x00\xff"
    assert uploaded.download(binary=True).read() == b"abc\x00\xff"
    (folder / "log.txt").write_text("hello\n")
    assert [(found.name, found.is_file(), found.size) for found in perlmutter.ls(str(folder))] == [
        ("log.txt", True, 6),
        ("up.bin", True, 5),
    ]
    (folder / "link").symlink_to("log.txt")
    assert perlmutter.ls(str(folder / "link"))[0].is_symlink()
    (one,) = perlmutter.ls(str(folder / "log.txt"))
    assert (one.name, one.download().read()) == ("log.txt", "hello\n")


def test_paths_outside_the_roots_are_denied(perlmutter: Any, site: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (site.jobs / "link").symlink_to(tmp_path)
    for path in ("/etc/passwd", f"{site.jobs}/../secret", f"{site.jobs}/link/secret"):
        with pytest.raises(SfApiError, match="Permission denied"):
            perlmutter.ls(path)
    with pytest.raises(SfApiError, match="No such file or directory"):
        perlmutter.ls(str(site.jobs / "nope"))


def test_too_large_a_file_is_refused(perlmutter: Any, site: Any) -> None:
    (site.jobs / "big").write_bytes(b"\0" * 5_242_881)
    (remote,) = perlmutter.ls(str(site.jobs / "big"))
    with pytest.raises(SfApiError, match="5242880"):
        remote.download(binary=True)


def test_commands_keep_output_and_exit_code(perlmutter: Any, site: Any) -> None:
    assert perlmutter.run("echo $SITE; pwd").split() == ["box", str(site.jobs)]
    with pytest.raises(SfApiError, match="No such file"):
        perlmutter.run("ls /nonexistent-path")
    task = perlmutter.run_task("exit 4")
    task._wait()
    assert task.result.exit_code == 4


# --- jobs --------------------------------------------------------------------------------------------------------------


def test_a_job_runs_and_leaves_its_log(simulator: Any, perlmutter: Any, site: Any) -> None:
    (site.jobs / "logs").mkdir()
    logs = f"#SBATCH --output={site.jobs}/logs/%x_%j.out\n#SBATCH -e {site.jobs}/logs/%x_%j.err\n"
    job = perlmutter.submit_job(body("echo hello $SLURM_JOB_ID $SITE; echo oops >&2", HEAD + logs))
    assert job.complete() == "COMPLETED"
    found = perlmutter.job(job.jobid)
    assert (found.state, found.exitcode, found.jobname, found.qos, found.account) == (
        "COMPLETED",
        "0:0",
        "tomo_x",
        "realtime",
        "als",
    )
    assert found.nodelist.startswith("nid")
    assert found.start >= found.submit
    assert found.end >= found.start
    assert int(found.maxrss.removesuffix("K")) > 0
    assert found.timelimit == "00:00:30"
    (log,) = perlmutter.ls(f"{site.jobs}/logs/tomo_x_{job.jobid}.out")
    assert log.download().read() == f"hello {job.jobid} box\n"
    assert (site.jobs / "logs" / f"tomo_x_{job.jobid}.err").read_text() == "oops\n"


def test_exit_codes_and_signals(simulator: Any, perlmutter: Any) -> None:
    failed = perlmutter.submit_job(body("exit 3"))
    killed = perlmutter.submit_job(body("kill -KILL $$"))
    assert failed.complete() == "FAILED"
    assert perlmutter.job(failed.jobid).exitcode == "3:0"
    ended(simulator, killed.jobid)
    assert perlmutter.job(killed.jobid).exitcode == "0:9"


def test_timeout_kills_what_ignores_the_signal(simulator: Any, perlmutter: Any, site: Any) -> None:
    head = HEAD.replace("0:00:30", "0:00:01")
    job = perlmutter.submit_job(body("trap '' TERM; sleep 60 & echo $! > child; wait; while true; do sleep 1; done", head))
    assert job.complete() == "TIMEOUT"
    assert perlmutter.job(job.jobid).exitcode == "0:15"
    child = Path("/proc", (site.jobs / "child").read_text().strip())
    simulator.control.wait_for(lambda: not _lives(child), what="the end of the job's child")


def _lives(process: Path) -> bool:
    try:
        return " Z " not in (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_signal_before_the_limit_lets_the_script_finish(simulator: Any, perlmutter: Any) -> None:
    head = HEAD.replace("0:00:30", "0:00:10") + "#SBATCH --signal=B:USR1@9\n"
    job = perlmutter.submit_job(body("trap 'exit 7' USR1; sleep 60 & wait", head))
    assert ended(simulator, job.jobid)["exit"] == [7, 0]


def test_cancel_ends_the_whole_process_group(simulator: Any, perlmutter: Any, site: Any) -> None:
    job = perlmutter.submit_job(body("sleep 60 & echo $! > child.tmp && mv child.tmp child; wait"))
    simulator.control.wait_for((site.jobs / "child").exists, what="the job's child")
    job.cancel(wait=True)
    assert perlmutter.job(job.jobid).state == "CANCELLED"
    child = Path("/proc", (site.jobs / "child").read_text().strip())
    simulator.control.wait_for(lambda: not _lives(child), what="the end of the job's child")


def test_a_pending_job_can_be_cancelled(simulator: Any, perlmutter: Any) -> None:
    simulator.control.add_fault(where="job", action="hold")
    job = perlmutter.submit_job(body("true"))
    job.cancel(wait=True)
    assert ended(simulator, job.jobid)["start"] is None


def test_a_missing_log_directory_is_0_53(perlmutter: Any, site: Any) -> None:
    job = perlmutter.submit_job(body("touch ran", HEAD + f"#SBATCH -o {site.jobs}/nope/%j.out\n"))
    assert job.complete() == "FAILED"
    assert perlmutter.job(job.jobid).exitcode == "0:53"
    assert not (site.jobs / "ran").exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (HEAD.replace("0:00:30", "soon") + "true\n", "Invalid --time"),
        (HEAD + "#SBATCH --job-name='open\ntrue\n", "malformed"),
        (HEAD + "#SBATCH my job\ntrue\n", "Invalid option"),
    ],
)
def test_sbatch_refuses(perlmutter: Any, script: str, words: str) -> None:
    with pytest.raises(SfApiError, match=words):
        perlmutter.submit_job(script)


def test_a_script_by_path_with_arguments(perlmutter: Any, site: Any) -> None:
    path = site.jobs / "job.sh"
    path.write_text(body('echo "$1-$2" > result'))
    job = perlmutter.submit_job(perlmutter.ls(str(path))[0].__str__(), args=["a", "b c"])
    assert job.complete() == "COMPLETED"
    assert (site.jobs / "result").read_text() == "a-b c\n"


def test_only_so_many_run_at_a_time(simulator: Any, perlmutter: Any, site: Any) -> None:
    jobs = [perlmutter.submit_job(body("until [ -e go ]; do sleep 0.05; done")) for _ in range(3)]
    wait_state(simulator, jobs[1].jobid, "RUNNING")
    assert [row.state for row in perlmutter.jobs(user="alsdev")] == ["RUNNING", "RUNNING", "PENDING"]
    (site.jobs / "go").touch()
    assert {ended(simulator, job.jobid)["state"] for job in jobs} == {"COMPLETED"}
    assert perlmutter.jobs(user="alsdev") == []


def test_squeue_and_sacct_and_their_filters(simulator: Any, perlmutter: Any, sfapi: Callable[..., Client]) -> None:
    job = perlmutter.submit_job(body("true"))
    ended(simulator, job.jobid)
    client, path = sfapi(), "compute/jobs/perlmutter"

    def rows(sacct: bool, *filters: str) -> Any:
        return client.get(path, {"sacct": sacct, "kwargs": list(filters)}).json()

    assert rows(False, f"jobid={job.jobid}")["output"] == []
    assert [row["jobid"] for row in rows(True, "user=alsdev", "name=tomo_x")["output"]] == [job.jobid]
    assert rows(True, "name=other")["output"] == rows(True, "user=nobody")["output"] == []
    refused = rows(True, "colour=red")
    assert (refused["status"], refused["error"]) == ("ERROR", "sacct: unrecognized option '--colour'")


# --- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["node_fail", "kill"])
def test_a_job_is_killed_by_a_fault(simulator: Any, perlmutter: Any, site: Any, action: str) -> None:
    job = perlmutter.submit_job(body("echo $$ > pid.tmp && mv pid.tmp pid; sleep 60"))
    simulator.control.wait_for((site.jobs / "pid").exists, what="the job's process")
    simulator.control.add_fault(where="job", action=action, name="tomo*")
    found = ended(simulator, job.jobid)
    assert (found["state"], found["exit"]) == {"node_fail": ("NODE_FAIL", [0, 0]), "kill": ("FAILED", [0, signal.SIGKILL])}[action]
    process = Path("/proc", (site.jobs / "pid").read_text().strip())
    simulator.control.wait_for(lambda: not _lives(process), what="the end of the process")


@pytest.mark.parametrize(("state", "exit_code"), [("OUT_OF_MEMORY", "0:125"), ("TIMEOUT", "0:15"), ("LAUNCH_FAILED", "1:0")])
def test_a_forced_state(simulator: Any, perlmutter: Any, sfapi: Callable[..., Client], state: str, exit_code: str) -> None:
    simulator.control.add_fault(where="job", action="state", state=state)
    job = perlmutter.submit_job(body("sleep 60"))
    ended(simulator, job.jobid)
    answer = sfapi().get("compute/jobs/perlmutter", {"sacct": True, "kwargs": f"jobid={job.jobid}"}).json()
    assert [(row["state"], row["exitcode"]) for row in answer["output"]] == [(state, exit_code)]


def test_a_forced_exit_code(simulator: Any, perlmutter: Any) -> None:
    simulator.control.add_fault(where="job", action="exit", exit_code=42)
    job = perlmutter.submit_job(body("true"))
    assert (job.complete(), perlmutter.job(job.jobid).exitcode) == ("FAILED", "42:0")


def test_a_lost_job_is_in_no_table(simulator: Any, perlmutter: Any) -> None:
    simulator.control.add_fault(where="job", action="lost")
    job = perlmutter.submit_job(body("true"))
    with pytest.raises(SfApiError, match="Job not found"):
        job.update()
    assert ended(simulator, job.jobid)["state"] == "COMPLETED"
    with pytest.raises(SfApiError, match="Job not found"):
        perlmutter.job(job.jobid)


def test_sbatch_refuses_by_fault(simulator: Any, perlmutter: Any) -> None:
    simulator.control.add_fault(where="job", action="refuse", message="sbatch: error: Invalid qos specification")
    with pytest.raises(SfApiError, match="Invalid qos"):
        perlmutter.submit_job(body("true"))
    assert simulator.control.jobs() == []
    assert perlmutter.submit_job(body("true")).jobid


def test_sacct_learns_late(simulator: Any, perlmutter: Any) -> None:
    simulator.control.add_fault(where="job", action="sacct_lag", lag_s=0.5)
    job = perlmutter.submit_job(body("true"))
    ended(simulator, job.jobid)
    with pytest.raises(SfApiError, match="Job not found"):
        job.update()
    simulator.control.wait_for(lambda: perlmutter.jobs(jobids=[job.jobid], command="sacct"), what="sacct")


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_hold_until_cleared(simulator: Any, perlmutter: Any, site: Any, state: str) -> None:
    simulator.control.add_fault(where="job", action="hold", state=state)
    job = perlmutter.submit_job(body("touch ran"))
    wait_state(simulator, job.jobid, state)
    if state == "RUNNING":
        simulator.control.wait_for((site.jobs / "ran").exists, what="the script's end")
    time.sleep(0.3)
    job.update()
    assert (job.state, (site.jobs / "ran").exists()) == (state, state == "RUNNING")
    simulator.control.clear_faults()
    assert job.complete() == "COMPLETED"


def test_a_slow_submission_that_the_client_repeats_makes_two_jobs(simulator: Any, site: Any, sfapi: Callable[..., Client]) -> None:
    """No idempotency there: the client repeats a POST, and both are real jobs. (Why our driver looks by name first.)"""
    simulator.control.add_fault(where="http", method="POST", path="*/compute/jobs/*", status=503, after=True)
    sfapi().compute("perlmutter").submit_job(body("true"))
    assert len(simulator.control.jobs()) == 2


def test_unknown_routes_are_loud(simulator: Any) -> None:
    for path in ("/api/v1.2/storage/globus/transfer/1", "/v0.10/bookmark_list", "/api/v3/jobs", "/nothing"):
        answer = httpx.get(f"{simulator.url}{path}")
        assert (answer.status_code, path in answer.json()["message"]) == (501, True)
