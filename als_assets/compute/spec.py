"""What a job is: named steps of quoted commands, with its resources and what it must leave behind.

Here: the frozen description that becomes the intent in the record. Not here: schedulers and how a site runs containers.
The words are those of PSI/J (https://exaworks.org/job-api-spec) and the IRI API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

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
class JobSpec:
    """One job. ``name`` is the correlation id, by which the job is found again at the scheduler."""

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
