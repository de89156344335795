"""Job processes: start one through the wrapper, see whether it lives, read how it ended, signal it.

Here: files of a job's directory and process ids, so that a simulator started anew finds the jobs of the killed one. Not here:
states and queues (``jobs``).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from als_assets.simulator import children
from als_assets.simulator.sfapi import wrapper


@dataclass(frozen=True)
class Ending:
    """How a script ended: its exit code and signal as in Slurm's ``a:b``, times in seconds since the epoch."""

    exit: int
    signal: int
    start: float
    end: float
    maxrss_kib: int


@dataclass(frozen=True)
class JobFolder:
    """The directory of one job."""

    path: Path

    def start(self, script: str, document: dict[str, Any]) -> None:
        """Start the script detached. ``document``: output, error, workdir, environment, arguments."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "job.json").write_text(json.dumps(document), encoding="utf-8")
        file = self.path / "script"
        file.write_text(script, encoding="utf-8")
        file.chmod(0o700)
        command = [sys.executable, "-I", "-S", wrapper.__file__, str(self.path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ending(self) -> Ending | None:
        """How the script ended; None while it runs (or when its wrapper died)."""
        found = children.read(self.path / "exit.json")
        return None if found is None else Ending(**found)

    def started(self) -> bool:
        """Whether the wrapper got as far as running the script, or failing to."""
        return (self.path / "pids.json").exists() or (self.path / "exit.json").exists()

    def alive(self) -> bool:
        """Whether the wrapper still runs (a zombie does not)."""
        pids = children.read(self.path / "pids.json")
        return pids is not None and children.runs(int(pids["wrapper"]), wrapper.__file__, str(self.path))

    def signal_group(self, number: int) -> None:
        """Signal the script and all its children; nothing happens when they are gone."""
        pids = children.read(self.path / "pids.json")
        if pids is not None and self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pids["group"]), number)

    def signal_script(self, number: int) -> None:
        """Signal only the batch script itself, as ``--signal=B:`` asks."""
        pids = children.read(self.path / "pids.json")
        if pids is not None and self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pids["group"]), number)

    def kill(self) -> None:
        """Kill the script and all its children at once."""
        self.signal_group(signal.SIGKILL)
