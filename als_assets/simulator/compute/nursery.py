"""A warm Python that forks a worker for each function which needs the standard library alone, as an endpoint's own pool does.

Here: its life and its orders. Not here: what a worker does (``worker``). It ends with the simulator, also one that was killed; its
workers do not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from als_assets.simulator.compute import worker


class Nursery:
    """Started with the first worker that is wanted."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start_worker(self, folder: Path, environment: dict[str, str]) -> None:
        """A worker for ``folder``/task.json, with this environment and no other."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-I", "-S", worker.__file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "environment": environment}) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None
