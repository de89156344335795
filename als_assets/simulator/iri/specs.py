"""The API's JobSpec, and the batch script that a facility's adapter makes of it.

Here: the model (unknown keys are refused, as in the reference server) and the script. Not here: running it.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

_OPTIONS = frozenset({"constraint", "qos", "signal", "comment", "reservation", "licenses"})
"""Custom attributes that Slurm knows; others are kept in the spec only."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResourceSpec(_Strict):
    """What a job needs."""

    node_count: StrictInt | None = Field(default=None, ge=1)
    process_count: StrictInt | None = Field(default=None, ge=1)
    processes_per_node: StrictInt | None = Field(default=None, ge=1)
    cpu_cores_per_process: StrictInt | None = Field(default=None, ge=1)
    gpu_cores_per_process: StrictInt | None = Field(default=None, ge=1)
    exclusive_node_use: StrictBool = True
    memory: StrictInt | None = Field(default=None, ge=1)


class JobAttributes(_Strict):
    """Where and how long."""

    duration: StrictInt | None = Field(default=None, ge=1)
    queue_name: str | None = Field(default=None, min_length=1)
    account: str | None = Field(default=None, min_length=1)
    reservation_id: str | None = Field(default=None, min_length=1)
    custom_attributes: dict[str, str] = Field(default_factory=dict)


class JobSpec(_Strict):
    """A job in PSI/J's words."""

    executable: str = Field(min_length=1)
    arguments: list[str] = Field(default_factory=list)
    directory: str | None = Field(default=None, min_length=1)
    name: str | None = Field(default=None, min_length=1)
    inherit_environment: StrictBool = True
    environment: dict[str, str] = Field(default_factory=dict)
    stdin_path: str | None = Field(default=None, min_length=1)
    stdout_path: str | None = Field(default=None, min_length=1)
    stderr_path: str | None = Field(default=None, min_length=1)
    resources: ResourceSpec | None = None
    attributes: JobAttributes | None = None
    pre_launch: str | None = Field(default=None, min_length=1)
    post_launch: str | None = Field(default=None, min_length=1)
    launcher: str | None = Field(default=None, min_length=1)


class SpecRefused(ValueError):
    """A value that no batch script can hold."""


def batch_script(spec: JobSpec) -> str:
    """The script for sbatch. Raises SpecRefused."""
    lines = ["#!/bin/bash", *(f"#SBATCH {line}" for line in _directives(spec))]
    for name, value in spec.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise SpecRefused(f"'{name}' is no name of a variable")
        lines.append(f"export {name}={shlex.quote(value)}")
    command = shlex.join([*shlex.split(spec.launcher or ""), spec.executable, *spec.arguments])
    redirect = f" <{shlex.quote(spec.stdin_path)}" if spec.stdin_path else ""
    lines += [spec.pre_launch] if spec.pre_launch else []
    lines += [command + redirect, spec.post_launch] if spec.post_launch else [f"exec {command}{redirect}"]
    return "\n".join(lines) + "\n"


def _directives(spec: JobSpec) -> list[str]:
    resources, attributes = spec.resources or ResourceSpec(), spec.attributes or JobAttributes()
    custom = {key: value for key, value in attributes.custom_attributes.items() if key in _OPTIONS}
    options: dict[str, Any] = {
        "job-name": spec.name,
        "chdir": spec.directory,
        "output": spec.stdout_path,
        "error": spec.stderr_path,
        "time": None if attributes.duration is None else _clock(attributes.duration),
        "partition": attributes.queue_name,
        "account": attributes.account,
        "reservation": attributes.reservation_id,
        "nodes": resources.node_count,
        "ntasks": resources.process_count,
        "ntasks-per-node": resources.processes_per_node,
        "cpus-per-task": resources.cpu_cores_per_process,
        "mem": None if resources.memory is None else f"{max(1, resources.memory >> 20)}M",
        **custom,
    }
    lines = [f"--{key}={_value(value)}" for key, value in options.items() if value is not None]
    return [*lines, "--exclusive"] if resources.exclusive_node_use else lines


def _value(value: object) -> str:
    text = str(value)
    if any(ord(letter) < 32 for letter in text):
        raise SpecRefused(f"{text!r} holds a control character")
    return shlex.quote(text)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
