"""What a job is: named steps of quoted commands, with its resources and what it must leave behind.

Here: the frozen description that becomes the intent in the record. Not here: schedulers and how a site runs containers.
The words are those of PSI/J (https://exaworks.org/job-api-spec) and the IRI API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Self

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Step:
    """One named step: a command and its arguments, never a line of shell."""

    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class StageIn:
    """A file that the job copies next to its work before it reads it; the size must fit afterwards."""

    source: PurePosixPath
    target: PurePosixPath
    size_bytes: int


@dataclass(frozen=True)
class Resources:
    """What a job asks for, in PSI/J's words. None: the site's own, from the facility file."""

    node_count: int = 1
    processes_per_node: int = 1
    cpu_cores_per_process: int | None = None
    gpu_cores_per_process: int = 0
    exclusive_node_use: bool = True


@dataclass(frozen=True)
class JobSpec:
    """One job. ``name`` is the correlation id, by which the job is found again at the scheduler. ``walltime_s`` is PSI/J's
    ``attributes.duration``; ``queue_name`` and ``account`` are empty for the site's own. ``image`` names the container of its steps
    by digest; ``size_bytes`` is that of the raw file, from which later jobs learn how long they take."""

    name: str
    dataset_key: str
    title: str
    site: str
    steps: tuple[Step, ...]
    output: PurePosixPath
    log_dir: PurePosixPath
    walltime_s: int
    stage_in: StageIn | None = None
    parameters: str = ""  # JSON, written to ``parameters_path`` by the script
    environment: tuple[tuple[str, str], ...] = ()
    resources: Resources = Resources()
    queue_name: str = ""
    account: str = ""
    image: str = ""
    size_bytes: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a job name is made of A-Z a-z 0-9 . _ - (at most 64), not {self.name!r}")

    @property
    def result_path(self) -> PurePosixPath:
        return self.log_dir / f"{self.name}.result.json"

    @property
    def parameters_path(self) -> PurePosixPath:
        return self.log_dir / f"{self.name}.parameters.yaml"

    @property
    def stdout_path(self) -> PurePosixPath:
        return self.log_dir / f"{self.name}.out"

    @property
    def stderr_path(self) -> PurePosixPath:
        return self.log_dir / f"{self.name}.err"

    @property
    def claim_path(self) -> PurePosixPath:
        """Written by the first copy of the job that runs; any other copy leaves without doing anything."""
        return self.log_dir / f"{self.name}.claim"


@dataclass(frozen=True)
class JobHandle:
    """Where a submitted job is: stored in the record before the first look at it. ``submitted_at`` is UTC in ISO 8601; ``job_id`` is
    the scheduler's; ``queue`` tells which one took it where the site says so."""

    site: str
    job_id: str
    name: str
    log_dir: str
    submitted_at: str
    queue: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The handle in an operation's ``handle`` column, which holds progress and other notes beside it."""
        return cls(**{name: str(stored.get(name, "")) for name in cls.__dataclass_fields__})
