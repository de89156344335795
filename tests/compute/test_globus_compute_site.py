"""The function that runs at a Globus Compute site, alone: executed from its text by a Python without any packages, as it is there.

Here: what it leaves on disk and answers. Not here: the service in between (``test_globus_compute``).
"""

from __future__ import annotations

import ast
import base64
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from als_assets.compute.globus_compute import site as globus_compute_site
from als_assets.compute.globus_compute.calls import FUNCTION, source

_RUNNER = """
import json, sys
space = {}
exec(sys.argv[1], space)
print(json.dumps(space[sys.argv[2]](json.loads(sys.argv[3]))))
"""
LIMITS = {"limit_s": 60, "warning_s": 10, "silent_s": 300}


class Place:
    """A log folder with one job, and processes that call the function about it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, str(folder / "logs" / "als-test-1")

    def begin(self, request: dict[str, Any]) -> subprocess.Popen[str]:
        command = [sys.executable, "-I", "-S", "-c", _RUNNER, source(), FUNCTION, json.dumps(request)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, verb: str, **fields: Any) -> dict[str, Any]:
        out, err = self.begin({"verb": verb, "base": self.base, "silent_s": 300, **fields}).communicate()
        assert err == ""
        return dict(json.loads(out))

    def run(self, script: str, **fields: Any) -> dict[str, Any]:
        return self.call("run", **{"script": f"#!/bin/bash\n{script}\n", **LIMITS, **fields})

    def start(self, script: str, **fields: Any) -> subprocess.Popen[str]:
        request = {"verb": "run", "base": self.base, "script": f"#!/bin/bash\n{script}\n", **LIMITS, **fields}
        return self.begin(request)

    def state(self, silent_s: float = 300) -> dict[str, Any]:
        return dict(self.call("status", bases=[self.base], silent_s=silent_s)["states"][self.base])

    def file(self, ending: str) -> Path:
        return Path(f"{self.base}.{ending}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert err == ""
    return dict(json.loads(out))


# --- the text ------------------------------------------------------------------------------------------------------------


def test_the_text_is_python_3_9_and_imports_the_standard_library_alone() -> None:
    tree = ast.parse(source(), feature_version=(3, 9))

    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imports |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imports} <= set(sys.stdlib_module_names)
    assert source() == Path(globus_compute_site.__file__).read_text()


# --- run -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "state", "code"), [("true", "COMPLETED", 0), ("exit 3", "FAILED", 3), ("exit 42", "FAILED", 42)])
def test_a_script_is_run_and_its_exit_code_kept(place: Place, script: str, state: str, code: int) -> None:
    end = place.run(f"echo to out; echo to err >&2; {script}")

    assert (end["state"], end["exit"], end["signal"]) == (state, code, 0)
    assert end["host"] == os.uname().nodename and end["ended"] >= end["began"] and end["maxrss_kib"] > 0
    assert place.file("out").read_text() == "to out\n" and place.file("err").read_text() == "to err\n"
    assert json.loads(place.file("end").read_text()) == end == place.state(), "the same stands at the site"


def test_a_script_that_is_killed_says_by_which_signal(place: Place) -> None:
    end = place.run("kill -9 $$")

    assert (end["state"], end["exit"], end["signal"]) == ("FAILED", 0, 9)


def test_a_job_that_was_begun_is_never_begun_again(place: Place) -> None:
    first = place.run(f"echo x >> {place.folder}/runs")

    again = place.run(f"echo x >> {place.folder}/runs")

    assert again == {**first, "claimed": True}
    assert (place.folder / "runs").read_text() == "x\n"


def test_of_many_at_once_one_begins(place: Place) -> None:
    script = f"echo x >> {place.folder}/runs; sleep 0.2"

    answers = [ended(process) for process in [place.start(script) for _ in range(4)]]

    assert [answer.get("claimed", False) for answer in answers].count(False) == 1
    assert (place.folder / "runs").read_text() == "x\n"
    assert not list((place.folder / "logs").glob("*.begun.*")), "nothing is left of those that came late"


def test_a_time_limit_ends_the_script_after_a_warning(place: Place) -> None:
    script = "trap 'echo warned; exec sleep 60' TERM; while true; do sleep 0.05; done"

    end = place.run(script, limit_s=1.0, warning_s=0.6)

    assert end["state"] == "TIMEOUT"
    assert place.file("out").read_text() == "warned\n"


def test_what_a_script_leaves_behind_is_killed(place: Place) -> None:
    place.run(f"sleep 600 & echo $! > {place.folder}/pid")

    pid = int((place.folder / "pid").read_text())
    wait_for(lambda: not globus_compute_site._started(pid))


def test_a_log_folder_that_cannot_be_made_is_a_launch_failure(place: Place) -> None:
    (place.folder / "logs").write_text("a file is in the way")

    assert place.run("true") == {"state": "LAUNCH_FAILED", "error": f"File exists: {place.folder}/logs"}


def test_a_script_that_cannot_be_written_is_a_launch_failure(place: Place) -> None:
    place.file("sh").mkdir(parents=True)

    end = place.run("true")

    assert (end["state"], end["error"]) == ("LAUNCH_FAILED", f"Is a directory: {place.base}.sh")
    assert place.state()["state"] == "LAUNCH_FAILED"


# --- status --------------------------------------------------------------------------------------------------------------


def test_a_job_that_nobody_knows(place: Place) -> None:
    assert place.state() == {"state": "UNKNOWN"}


def test_a_job_whose_worker_was_killed_is_a_node_failure_and_its_script_is_ended(place: Place) -> None:
    worker = place.start(f"echo $$ > {place.folder}/pid; sleep 600")
    wait_for(lambda: (place.folder / "pid").exists() and (place.folder / "pid").read_text())
    assert place.state()["state"] == "RUNNING"
    worker.kill()
    worker.communicate()

    assert place.state()["state"] == "NODE_FAIL"
    pid = int((place.folder / "pid").read_text())
    wait_for(lambda: not globus_compute_site._started(pid))
    assert place.run("true")["state"] == "NODE_FAIL", "it is not begun again"


def test_a_job_on_another_node_lives_as_long_as_it_gives_signs_of_life(place: Place) -> None:
    place.file("begun").parent.mkdir()
    place.file("begun").write_text(json.dumps({"host": "nid000001", "pid": 1, "started": 1, "at": time.time()}))

    assert place.state(silent_s=300)["state"] == "RUNNING"
    os.utime(place.file("begun"), (0, 0))
    assert place.state(silent_s=300)["state"] == "NODE_FAIL"


def test_a_job_that_was_declared_dead_stops(place: Place) -> None:
    worker = place.start("sleep 600")
    wait_for(place.file("script").exists)
    os.utime(place.file("begun"), (0, 0))
    assert place.state(silent_s=1)["state"] == "NODE_FAIL"

    assert ended(worker)["state"] == "NODE_FAIL", "the first word about its end stays"


# --- stop ----------------------------------------------------------------------------------------------------------------


def test_a_running_job_is_stopped(place: Place) -> None:
    worker = place.start("sleep 600")
    wait_for(place.file("script").exists)

    assert place.call("stop", wait_s=60)["state"] == "CANCELLED"

    assert ended(worker)["state"] == "CANCELLED"


def test_a_job_that_will_not_stop_is_told_as_running_and_killed_in_the_end(place: Place) -> None:
    worker = place.start("trap '' TERM; echo ready; while true; do sleep 0.05; done")
    wait_for(lambda: place.file("out").exists() and place.file("out").read_text())

    assert place.call("stop", wait_s=0)["state"] == "RUNNING"
    script = json.loads(place.file("script").read_text())
    os.killpg(script["pid"], signal.SIGKILL)  # ten seconds before the worker would
    assert ended(worker)["state"] == "CANCELLED"


def test_a_job_that_was_stopped_in_the_queue_never_begins(place: Place) -> None:
    assert place.call("stop", wait_s=60)["state"] == "CANCELLED"

    end = place.run(f"touch {place.folder}/began")

    assert (end["state"], end["claimed"]) == ("CANCELLED", True)
    assert not (place.folder / "began").exists()


def test_a_job_that_had_ended_stays_as_it_ended(place: Place) -> None:
    place.run("exit 3")

    assert place.call("stop", wait_s=60)["state"] == "FAILED"


# --- files ---------------------------------------------------------------------------------------------------------------


def listing(place: Place, path: Path) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(place.call("listing", path=str(path))["files"])))


def test_a_listing(place: Place) -> None:
    names = ["plain.tiff", "deep/er/x.tiff", "with blank 'and' \"quotes\";$(touch owned).txt", "größe.json", ".zattrs", "-rf"]
    for number, name in enumerate(names):
        file = place.folder / "stack" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * number)

    assert listing(place, place.folder / "stack") == {name: number for number, name in enumerate(names)}
    assert listing(place, place.folder / "stack" / "deep/er/x.tiff") == {"": 1}
    assert listing(place, place.folder / "absent") is None
    assert not (place.folder / "owned").exists()


def test_a_listing_of_a_volume_fits_into_an_answer(tmp_path: Path) -> None:
    """Ten megabytes are allowed; a hundred thousand chunks need not even one."""
    files = {f"c/0/{n // 316}/{n % 316}": 65536 + n % 999 for n in range(100_000)}

    assert len(base64.b64encode(zlib.compress(json.dumps(files).encode()))) < 1_000_000


def test_a_tail_is_the_end_of_a_long_log(place: Place) -> None:
    log = place.folder / "log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))

    assert place.call("tail", path=str(log), lines=2)["text"] == "line 19998\nline 19999"
    assert place.call("tail", path=str(place.folder / "absent"), lines=2)["text"] == ""


# --- hello ---------------------------------------------------------------------------------------------------------------


def hello(place: Place, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"folders": [str(place.folder / "logs")], "programs": ["bash"], "python": sys.executable, "modules": ["json"]}
    return place.call("hello", **{**request, **changes})


def test_a_site_that_has_all(place: Place) -> None:
    answer = hello(place)

    assert answer["missing"] == []
    assert answer["python"].startswith("3.") and answer["host"] == os.uname().nodename
    assert (place.folder / "logs").is_dir(), "the log folder is there before the first job"


def test_a_site_that_lacks_something_names_all_of_it(place: Place) -> None:
    (place.folder / "file").touch()

    answer = hello(place, folders=[f"{place.folder}/file/logs"], programs=["bash", "apptainer-832"], modules=["json", "als_recon_832"])

    assert answer["missing"] == [
        f"the folder {place.folder}/file/logs cannot be written",
        "there is no program apptainer-832",
        f"{sys.executable} cannot import als_recon_832",
    ]
