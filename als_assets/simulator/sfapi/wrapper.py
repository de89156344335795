"""Runs one batch script and writes down how it ended; a job's own process, which outlives the simulator.

Here: as little as possible, the standard library alone, started as a file with ``python -I -S``. Not here: queues, limits and
states; the simulator reads ``pids.json`` and ``exit.json`` of the job's directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NO_LOG = 53
"""Exit signal with which Slurm reports that it could not open a log file."""


def main(folder: Path) -> None:
    """Run ``folder``/script as ``folder``/job.json says, in a session of its own, detached from the caller."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if os.fork():
        return  # The caller need not wait for the job, nor reap it.
    os.setsid()
    _hear_every_signal()
    started = time.time()
    try:
        with Path(job["output"]).open("ab") as output, Path(job["error"]).open("ab") as error:
            process = subprocess.Popen(
                [str(folder / "script"), *job["arguments"]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error,
                cwd=job["workdir"],
                env=job["environment"],
                start_new_session=True,
            )
    except FileNotFoundError as missing:
        # Slurm: 0:53 when a log file cannot be opened; 127 when the script's interpreter does not exist.
        failure = {"exit": 127, "signal": 0} if missing.filename == str(folder / "script") else {"exit": 0, "signal": NO_LOG}
        write(folder / "exit.json", {**failure, "start": started, "end": time.time(), "maxrss_kib": 0})
        return
    except OSError:
        write(folder / "exit.json", {"exit": 0, "signal": NO_LOG, "start": started, "end": time.time(), "maxrss_kib": 0})
        return
    write(folder / "pids.json", {"wrapper": os.getpid(), "group": process.pid, "start": started})
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    ending = {"exit": max(code, 0), "signal": max(-code, 0), "start": started, "end": time.time(), "maxrss_kib": usage.ru_maxrss}
    write(folder / "exit.json", ending)


def _hear_every_signal() -> None:
    """As under Slurm, whatever the process that called ignores or has blocked at the moment: a script could not be stopped otherwise."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def write(path: Path, document: dict[str, float]) -> None:
    """Write a file that is either complete or absent."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.rename(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
