"""What runs the jobs behind the simulated APIs: processes of this machine, or a real Slurm.

Here: what both offer, and the choice. Not here: either of them (``sfapi.jobs``, ``slurm_backend``) and the APIs in front.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from als_assets.simulator.config import BatchConfig
from als_assets.simulator.faults import FaultBook
from als_assets.simulator.sfapi.jobs import Scheduler
from als_assets.simulator.slurm_backend import SlurmBackend
from als_assets.simulator.store import Doc, Store


class Backend(Protocol):
    """A machine's batch system, as its commands sbatch, scancel, squeue and sacct show it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def submit(self, text: str, arguments: list[str] | None = None) -> str:
        """Queue a script; its job id. Raises ScriptRefused with sbatch's words."""
        ...

    def cancel(self, job_id: str) -> bool:
        """scancel. False for an id never given."""
        ...

    def rows(self, filters: dict[str, str], *, sacct: bool) -> list[Doc]:
        """Rows with lower-case column names. Raises UnknownFilter."""
        ...

    def jobs(self) -> list[Doc]:
        """All jobs for the control plane: at least ``jobid``, ``name`` and ``state``."""
        ...


def backend_of(name: str, config: BatchConfig, store: Store, faults: FaultBook, folder: Path) -> Backend:
    """The batch system of the machine ``name``, with its files below ``folder``."""
    if config.backend == "slurm":
        return SlurmBackend(config, store, faults, folder, name)
    return Scheduler(config, store, faults, folder, name)
