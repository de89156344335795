"""Jobs on this machine: the same script, in a session of its own, that outlives the run that started it.

Here: starting, finding again, looking and cancelling through files beside the log. Not here: limits of a batch system; the local
machine runs what it is given, one session per job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
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
script, base, limit, patience = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
word = child = None
def send(number):
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        pass
def stop(number, _frame):
    global word
    again, word = word, word or ("TIMEOUT" if number == signal.SIGALRM else "CANCELLED")
    if child is not None:
        send(signal.SIGKILL if again else signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, patience)
def put(name, value):
    new = base + name + f".{os.getpid()}"
    with open(new, "w") as stream:
        json.dump(value, stream); stream.flush(); os.fsync(stream.fileno())
    try:
        os.link(new, base + name)
    finally:
        os.unlink(new)
def process(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return {"pid": pid, "started": int(stat.read().rsplit(")", 1)[1].split()[19]), "at": time.time()}
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGALRM, stop)
try:
    put(".job", process(os.getpid()))
except FileExistsError:
    sys.exit()  # another process started this job before
signal.setitimer(signal.ITIMER_REAL, limit)
with open(base + ".out", "ab") as out, open(base + ".err", "ab") as err:
    child = subprocess.Popen(["bash", script], stdout=out, stderr=err, stdin=subprocess.DEVNULL, process_group=0)
if word is not None:
    send(signal.SIGTERM); signal.setitimer(signal.ITIMER_REAL, patience)
put(".script", process(child.pid))
code = child.wait()
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
send(signal.SIGKILL)  # whatever the script left behind
put(".exit", {"code": code, "word": word or ("COMPLETED" if code == 0 else "FAILED"), "at": time.time()})
"""


# How long a script may take to end after TERM, before it is killed.
_PATIENCE_S = 10.0


class LocalTransport:
    """Jobs as sessions on this host. A job's id is ``<log folder>/<name>``; its truth lies in files of that name."""

    def __init__(self, walltime_s: int, poll_s: float = 0.5) -> None:
        self._walltime_s = walltime_s
        self.poll_s = poll_s

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
            fresh = path.with_name(f"{path.name}.{os.getpid()}")
            fresh.write_text(script)
            fresh.replace(path)  # another starter's bash may be reading the script, piece by piece
            command = [sys.executable, "-c", _KEEPER, str(path), str(base), str(self._walltime_s), str(_PATIENCE_S)]
            keeper = os.posix_spawn(command[0], command, os.environ, setsid=True, file_actions=_detached(f"{base}.err"))
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

    def look_many(self, job_ids: Sequence[str]) -> dict[str, SchedulerView]:
        views = {job_id: self._look(job_id) for job_id in job_ids}
        return {job_id: view for job_id, view in views.items() if view is not None}

    def _look(self, job_id: str) -> SchedulerView | None:
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
        if _read(job_id + ".exit") is not None:  # it ended between the two looks
            return self._look(job_id)
        _end_orphans(job_id)
        return SchedulerView("NODE_FAIL", nodes=os.uname().nodename)

    def cancel(self, job_id: str) -> None:
        job = _read(job_id + ".job")
        if job is not None and process_started(int(job["pid"])) == int(job["started"]):
            os.kill(int(job["pid"]), signal.SIGTERM)

    def forestall(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """By writing the job's first file in the place of its keeper, which then leaves at once."""
        base = Path(log_dir, spec_name)
        base.parent.mkdir(parents=True, exist_ok=True)
        mine = base.with_name(f"{base.name}.job.{os.getpid()}")
        mine.write_text(json.dumps({"pid": 0, "started": 0, "at": time.time()}))
        try:
            os.link(mine, f"{base}.job")
        except FileExistsError:
            return str(base)
        finally:
            mine.unlink()
        return None

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


def _detached(error_log: str) -> list[Any]:
    """Standard streams of a keeper: none of ours, because it outlives us and would keep our pipes open."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    rows = ((0, os.devnull, os.O_RDONLY, 0), (1, os.devnull, os.O_WRONLY, 0), (2, error_log, append, 0o660))
    return [(os.POSIX_SPAWN_OPEN, *row) for row in rows]


def _end_orphans(job_id: str) -> None:
    """Kill the script of a keeper that is gone: the next attempt must not find it writing to the same place."""
    script = _read(job_id + ".script")
    if script is not None and process_started(int(script["pid"])) == int(script["started"]):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(script["pid"]), signal.SIGKILL)


def _read(path: str) -> dict[str, Any] | None:
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None
    return dict(content)
