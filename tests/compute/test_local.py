"""Jobs on this machine: they outlive their starter, are found again, end when they are told to, and never run twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from als_assets.compute import local as local_module
from als_assets.compute.local import LocalTransport
from als_assets.compute.spec import JobSpec, Step
from als_assets.errors import JobRefused
from als_assets.ledger.workers import process_started

LONG = "for i in {1..1200}; do sleep 0.05; done"


class Host:
    """This machine with a log folder of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.transport = LocalTransport(60)

    def spec(self, script: str, name: str = "als-test-1") -> JobSpec:
        step = Step("work", ("bash", "-euc", f"echo $$ >>{self.root}/runs; {script}"))
        return JobSpec(name, "key", "The work", "als", (step,), PurePosixPath(self.root, "out"), PurePosixPath(self.logs), 60)

    def submit(self, script: str, name: str = "als-test-1") -> str:
        return self.transport.submit(name, self.transport.script(self.spec(script, name)), PurePosixPath(self.logs))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + 30
        while not (value := condition()):
            assert time.monotonic() < end, f"{what} did not come"
            time.sleep(0.01)
        return value

    def running(self, job_id: str) -> int:
        """Wait until the step runs; the process id of the step."""
        self.until(lambda: self.pids() and self.transport.look_many([job_id]), "the start")
        return self.pids()[0]

    def pids(self) -> list[int]:
        file = self.root / "runs"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def ended(self, job_id: str) -> Any:
        return self.until(lambda: (v := self.transport.look_many([job_id]).get(job_id)) is not None and not v.live and v, "the end")

    def process(self, ending: str, name: str = "als-test-1") -> int:
        return int(json.loads((self.logs / f"{name}.{ending}").read_text())["pid"])

    def gone(self, pid: int) -> bool:
        return process_started(pid) is None


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for ending in ("job", "script"):
        for file in made.logs.glob(f"*.{ending}"):
            pid = int(json.loads(file.read_text())["pid"])
            if not made.gone(pid):
                os.killpg(pid, signal.SIGKILL)


def test_a_good_job(host: Host) -> None:
    job_id = host.submit("echo hello; echo trouble >&2")

    view = host.ended(job_id)

    assert (view.state, view.exit_code) == ("COMPLETED", "0:0")
    assert view.nodes == os.uname().nodename and view.used_s is not None
    assert (host.logs / "als-test-1.out").read_text() == "hello\n"
    assert (host.logs / "als-test-1.err").read_text() == "trouble\n"
    assert json.loads((host.logs / "als-test-1.result.json").read_text())["exit"] == 0
    assert host.transport.script(host.spec("x")).splitlines()[1].startswith("# "), "no scheduler reads it"


@pytest.mark.parametrize("code", [1, 3, 42, 127])
def test_exit_codes_come_through(host: Host, code: int) -> None:
    view = host.ended(host.submit(f"exit {code}"))

    assert (view.state, view.exit_code) == ("FAILED", f"{code}:0")


def test_a_script_that_is_killed_shows_the_signal(host: Host) -> None:
    job_id = host.submit(LONG)
    host.running(job_id)

    os.kill(host.process("script"), signal.SIGKILL)

    assert (host.ended(job_id).state, host.ended(job_id).exit_code) == ("FAILED", "0:9")


def test_it_is_found_by_its_name_from_the_first_moment_to_after_its_end(host: Host) -> None:
    logs = PurePosixPath(host.logs)
    assert host.transport.find("als-test-1", logs) is None

    job_id = host.submit("true")

    assert host.transport.find("als-test-1", logs) == job_id == str(host.logs / "als-test-1")
    host.ended(job_id)
    assert host.transport.find("als-test-1", logs) == job_id
    assert host.transport.find("als-test-2", logs) is None
    assert host.transport.look_many([str(host.logs / "als-test-2")]) == {}


def test_it_survives_the_death_of_its_starter_and_is_adopted(host: Host) -> None:
    script = host.transport.script(host.spec("sleep 0.5; echo done"))
    starter = (
        "import os, sys; from pathlib import PurePosixPath; from als_assets.compute.local import LocalTransport\n"
        "LocalTransport(60).submit('als-test-1', sys.argv[1], PurePosixPath(sys.argv[2])); os.kill(os.getpid(), 9)"
    )
    # Its pipes must end with it: a job that held them would keep whoever reads them waiting for the job.
    done = subprocess.run([sys.executable, "-c", starter, script, str(host.logs)], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")

    job_id = host.transport.find("als-test-1", PurePosixPath(host.logs))

    assert job_id is not None
    assert host.transport.look_many([job_id])[job_id].state == "RUNNING"
    assert host.ended(job_id).state == "COMPLETED"
    assert len(host.pids()) == 1


def test_two_starters_of_one_job_start_it_once(host: Host) -> None:
    """The window between starting and finding: the keepers themselves decide who was first."""
    ids = [host.submit("sleep 0.3") for _ in range(3)]

    assert len(set(ids)) == 1
    assert host.ended(ids[0]).state == "COMPLETED"
    assert len(host.pids()) == 1
    assert sorted(p.suffix for p in host.logs.iterdir()) == sorted([".claim", ".err", ".exit", ".job", ".json", ".out", ".script", ".sh"])


def test_cancelling_ends_the_whole_job(host: Host) -> None:
    job_id = host.submit(f"sleep 60 & echo $! >>{host.root}/runs; {LONG}")
    host.until(lambda: len(host.pids()) == 2, "the grandchild")

    host.transport.cancel(job_id)

    assert host.ended(job_id).state == "CANCELLED"
    assert json.loads((host.logs / "als-test-1.result.json").read_text())["exit"] == 143
    host.until(lambda: all(host.gone(pid) for pid in host.pids()), "the end of all its processes")
    host.transport.cancel(job_id)  # nothing is left to cancel
    assert host.ended(job_id).state == "CANCELLED"


def test_a_step_that_does_not_obey_is_killed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "_PATIENCE_S", 0.2)
    job_id = host.submit(f"trap '' TERM; {LONG}")
    pid = host.running(job_id)

    host.transport.cancel(job_id)

    assert host.ended(job_id).state == "CANCELLED"
    host.until(lambda: host.gone(pid), "the end of the step")


def test_the_walltime_ends_the_whole_job(host: Host) -> None:
    host.transport = LocalTransport(1)
    job_id = host.submit(LONG)
    pid = host.running(job_id)

    view = host.ended(job_id)

    assert view.state == "TIMEOUT"
    host.until(lambda: host.gone(pid), "the end of the step")


def test_a_keeper_that_is_gone_is_a_failed_node_and_nothing_goes_on(host: Host) -> None:
    """What a power cut leaves is the same; but here the script still runs, and the next attempt must not meet it."""
    job_id = host.submit(LONG)
    step = host.running(job_id)

    os.kill(host.process("job"), signal.SIGKILL)

    assert host.ended(job_id).state == "NODE_FAIL"
    host.until(lambda: host.gone(step), "the end of the orphan")
    assert host.ended(job_id).state == "NODE_FAIL"


def test_a_process_id_that_was_given_to_another_process_is_not_ours(host: Host) -> None:
    host.logs.mkdir()
    for ending in ("job", "script"):
        (host.logs / f"old.{ending}").write_text(json.dumps({"pid": os.getpid(), "started": 1, "at": time.time()}))

    assert host.transport.look_many([str(host.logs / "old")])[str(host.logs / "old")].state == "NODE_FAIL"
    host.transport.cancel(str(host.logs / "old"))
    for file in host.logs.iterdir():
        file.unlink()


def test_a_folder_that_cannot_be_written_refuses_the_job(host: Host) -> None:
    host.logs.write_text("a file where a folder must be")

    with pytest.raises(JobRefused, match="could not start the job als-test-1: File exists"):
        host.submit("true")

    host.logs.unlink()


def test_a_keeper_that_cannot_begin_refuses_the_job(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(JobRefused, match="ended before it began"):
        host.submit("true")


def test_listing_and_tail(host: Host) -> None:
    (host.root / "out" / "deep").mkdir(parents=True)
    (host.root / "out" / "deep" / "größe;x.tiff").write_bytes(b"123")
    (host.root / "out" / "log").write_bytes(b"\xff broken\n" + b"".join(b"line %d\n" % n for n in range(20_000)))
    out = PurePosixPath(host.root / "out")

    listing = host.transport.listing(out)

    assert listing is not None and listing["deep/größe;x.tiff"] == 3 and set(listing) == {"deep/größe;x.tiff", "log"}
    assert host.transport.listing(out / "deep" / "größe;x.tiff") == {"": 3}
    assert host.transport.listing(out / "absent") is None
    assert host.transport.tail(out / "log", 2) == "line 19998\nline 19999"
    assert host.transport.tail(out / "absent", 2) == ""
