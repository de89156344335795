"""Leases of run processes: a row with host, boot, process and heartbeat, by which a dead worker is told from a slow one.

Here: registering, beating, and judging. Not here: what follows from a dead worker (``defs/health.py`` reports its run failed).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Worker

# A worker on another host cannot be looked at; only a long silence says that it is gone.
SILENCE = timedelta(minutes=10)


class Life(StrEnum):
    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


def boot_id() -> str:
    """Changes with every boot of the host (Linux)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def process_started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, or None if there is none; with the pid it names one process for ever.
    A zombie counts as gone: it works on nothing (proc(5), fields 3 and 22 of /proc/PID/stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Workers:
    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def register(self, run_id: str, dataset_key: str | None) -> None:
        """This process works on the run."""
        pid = os.getpid()
        row = Worker(run_id=run_id, dataset_key=dataset_key, host=socket.gethostname(), boot_id=boot_id(), pid=pid)
        row.pid_started, row.heartbeat_at = process_started(pid) or 0, self._clock()
        with writing(self._engine) as session:
            session.merge(row)

    def beat(self, run_id: str) -> None:
        with writing(self._engine) as session:
            session.execute(sa.update(Worker).filter_by(run_id=run_id).values(heartbeat_at=self._clock()))

    def find(self, run_id: str) -> Worker | None:
        with reading(self._engine) as session:
            return session.get(Worker, run_id)

    def life_of(self, run_id: str) -> Life:
        """ALIVE, GONE (provably, or silent for long), UNKNOWN (never registered)."""
        row = self.find(run_id)
        if row is None:
            return Life.UNKNOWN
        if row.host == socket.gethostname():
            same_process = row.boot_id == boot_id() and process_started(row.pid) == row.pid_started
            return Life.ALIVE if same_process else Life.GONE
        return Life.GONE if self._clock() - row.heartbeat_at > SILENCE else Life.ALIVE
