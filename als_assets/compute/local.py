"""Jobs on this machine: the same script, in a session of its own, that outlives the run that started it.

Here: starting, finding again, looking and cancelling through files beside the log. Not here: limits of a batch system; the local
machine runs what it is given, one session per job.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path, PurePosixPath
from typing import Any

from als_assets.compute.report import SchedulerView
from als_assets.compute.script import render
from als_assets.compute.spec import JobSpec
from als_assets.errors import JobRefused
from als_assets.ledger.workers import process_started

# Starts the script, records the process before anything runs, and writes the exit code when it ends. Runs detached from us.
_KEEPER = """
import json, os, signal, subprocess, sys, time
word = None
def stop(*_):
    global word
    word = word or "CANCELLED"
    child.terminate()
script, base, limit = sys.argv[1], sys.argv[2], float(sys.argv[3])
def put(name, value):
    with open(base + name + ".new", "w") as stream:
        json.dump(value, stream); stream.flush(); os.fsync(stream.fileno())
    os.rename(base + name + ".new", base + name)
started = open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]
put(".job", {"pid": os.getpid(), "started": int(started), "at": time.time()})
with open(base + ".out", "ab") as out, open(base + ".err", "ab") as err:
    child = subprocess.Popen(["bash", script], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, stop)
    try:
        code = child.wait(limit)
    except subprocess.TimeoutExpired:
        word = "TIMEOUT"
        child.terminate()
        try:
            code = child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill(); code = child.wait()
put(".exit", {"code": code, "word": word or ("COMPLETED" if code == 0 else "FAILED"), "at": time.time()})
"""


class LocalTransport:
    """Jobs as sessions on this host. A job's id is ``<log folder>/<name>``; its truth lies in files of that name."""

    poll_s = 0.5

    def __init__(self, walltime_s: int) -> None:
        self._walltime_s = walltime_s

    def script(self, spec: JobSpec) -> str:
        return render(spec, [])

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        base = Path(log_dir, spec_name)
        return str(base) if base.with_name(base.name + ".job").exists() else None

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        base = Path(log_dir, spec_name)
        path = base.with_name(base.name + ".sh")
        try:
            base.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(script)
            command = [sys.executable, "-c", _KEEPER, str(path), str(base), str(self._walltime_s)]
            keeper = os.posix_spawn(command[0], command, os.environ, setsid=True)
        except OSError as error:
            raise JobRefused(
                f"This machine could not start the job {spec_name}: {error.strerror}.",
                next_step=f"Check free space and rights of {log_dir}, then re-execute from failure.",
            ) from error
        while not base.with_name(base.name + ".job").exists():
            if os.waitpid(keeper, os.WNOHANG)[0]:
                raise JobRefused(f"The job {spec_name} ended before it began.", next_step=f"Look into {log_dir}.")
            time.sleep(0.01)
        return str(base)

    def look(self, job_id: str) -> SchedulerView | None:
        job, ended = _read(job_id + ".job"), _read(job_id + ".exit")
        if job is None:
            return None
        if ended is not None:
            code = int(ended["code"])
            words = f"{code}:0" if code >= 0 else f"0:{-code}"
            used = float(ended["at"]) - float(job["at"])
            return SchedulerView(str(ended["word"]), exit_code=words, nodes=os.uname().nodename, used_s=used)
        if process_started(int(job["pid"])) == int(job["started"]):
            return SchedulerView("RUNNING", nodes=os.uname().nodename, used_s=time.time() - float(job["at"]))
        ended = _read(job_id + ".exit")  # it may have ended between the two looks
        return self.look(job_id) if ended is not None else SchedulerView("NODE_FAIL", nodes=os.uname().nodename)

    def cancel(self, job_id: str) -> None:
        job = _read(job_id + ".job")
        if job is not None and process_started(int(job["pid"])) == int(job["started"]):
            os.killpg(int(job["pid"]), signal.SIGTERM)

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        root = Path(path)
        if root.is_file():
            return {"": root.stat().st_size}
        if not root.is_dir():
            return None
        return {str(f.relative_to(root)): f.stat().st_size for f in root.rglob("*") if f.is_file()}

    def tail(self, path: PurePosixPath, lines: int) -> str:
        try:
            with Path(path).open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - 65536))
                text = stream.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _read(path: str) -> dict[str, Any] | None:
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None
    return dict(content)
