"""The configuration of the simulator: which clients, collections, directories and users exist.

Here: the models and the loading of a JSON file, with errors that name the field. Not here: faults and the state of a running
simulator, which live in SQLite below ``state_dir``.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from als_assets.errors import ConfigError
from als_assets.simulator.slurm import why_not


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Collection(_Model):
    """One Globus collection. ``writable_by`` lists client ids (None: every client may write; the empty list: nobody)."""

    name: str
    root: Path
    entity_type: str = "GCSv5_guest_collection"
    writable_by: list[str] | None = None


class GlobusConfig(_Model):
    """Client identities and collections. ``retry_s`` is how long a task waits between attempts at a failing file."""

    clients: dict[str, str] = Field(default_factory=dict)
    collections: dict[str, Collection] = Field(default_factory=dict)
    task_slots: int = Field(default=3, ge=1)
    bytes_per_s: int | None = Field(default=None, gt=0)
    token_ttl_s: int = Field(default=172800, gt=0)
    retry_s: float = Field(default=0.2, gt=0)


class BatchConfig(_Model):
    """One machine's batch system. ``backend``: jobs as processes of this machine, or on a real Slurm of its own (``slurm``).

    ``roots`` are real directories: a path in a request is a real absolute path and must lie below one of them. The first root
    is also the home directory of ``user``. ``timezone`` is the one in which the scheduler prints times, without an offset.
    ``keep_jobs``: jobs survive a clean stop (they always survive ``kill -9``).
    """

    backend: Literal["processes", "slurm"] = "processes"
    cluster: str = "perlmutter"
    node: str = "nid001234"
    user: str = "alsdev"
    roots: list[Path] = Field(default_factory=list)
    slots: int = Field(default=2, ge=1)
    queue_wait_s: float = Field(default=0.3, ge=0)
    environment: dict[str, str] = Field(default_factory=dict)
    kill_wait_s: float = Field(default=1.0, ge=0)
    timezone: str = "UTC"
    keep_jobs: bool = False


class SfapiConfig(BatchConfig):
    """API clients (public keys) of NERSC, and the machine on which their jobs run."""

    clients: dict[str, dict[str, Any]] = Field(default_factory=dict)
    token_ttl_s: float = Field(default=600, gt=0)


class IriToken(_Model):
    """A bearer token. ``compute``: it has the right to use the compute routes."""

    user: str = "als_auser"
    project: str = "als"
    compute: bool = True
    ttl_s: float = Field(default=864000, gt=0)


class IriFacility(BatchConfig):
    """One facility behind the IRI API, served below /iri/<name>/api/v1 and v2.

    ``personality``: ``full`` has files, incidents and (in v2) idempotency keys; ``olcf`` has facility, status and compute only,
    wants a token even for status, shows no job specs and no metadata.
    """

    personality: Literal["full", "olcf"] = "full"
    title: str = "A facility"
    resource: str = "compute"
    group: str = "machine"
    tokens: dict[str, IriToken] = Field(default_factory=dict)
    idempotency: bool = True


class ComputeEndpoint(_Model):
    """One Globus Compute endpoint. ``required`` are the words of ``user_endpoint_config`` without which its template fails."""

    name: str
    slots: int = Field(default=2, ge=1)
    queue_wait_s: float = Field(default=0.3, ge=0)
    required: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)


class ComputeConfig(_Model):
    """Globus Compute: endpoints by id; its clients are Globus Auth's. ``keep_tasks``: tasks survive a clean stop (they always
    survive ``kill -9``)."""

    endpoints: dict[str, ComputeEndpoint] = Field(default_factory=dict)
    result_kept_s: float = Field(default=1800, ge=0)
    keep_tasks: bool = False


class ScicatUser(_Model):
    """One account of the catalogue."""

    password: str
    groups: list[str] = Field(default_factory=list)
    admin: bool = False


class ScicatConfig(_Model):
    """Accounts, the groups with special rights, and which backend's habits to show. ``picture_groups`` may add attachments of their own
    identifiers to what they do not own. ``pid_pattern``: the site's rule for identifiers, a regular expression."""

    users: dict[str, ScicatUser] = Field(default_factory=dict)
    create_groups: list[str] = Field(default_factory=list)
    lifecycle_groups: list[str] = Field(default_factory=list)
    delete_groups: list[str] = Field(default_factory=list)
    picture_groups: list[str] = Field(default_factory=list)
    pid_pattern: str = ""
    personality: Literal["5.2", "4.27"] = "5.2"
    token_ttl_s: float = Field(default=3600, gt=0)


class SimulatorConfig(_Model):
    """All of it. ``port`` 0 takes a free one; a host that others can reach is refused unless ``allow_remote``."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    state_dir: Path
    allow_remote: bool = False
    globus: GlobusConfig = Field(default_factory=GlobusConfig)
    sfapi: SfapiConfig = Field(default_factory=SfapiConfig)
    iri: dict[str, IriFacility] = Field(default_factory=dict)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    scicat: ScicatConfig = Field(default_factory=ScicatConfig)

    def on_slurm(self) -> Self:
        """The same with a real Slurm behind every API. Raises ConfigError where that cannot be, and says why."""
        if words := why_not():
            raise ConfigError(f"There can be no real Slurm here: {words}.", next_step="Install the packages, or leave --slurm out.")
        iri = {name: facility.model_copy(update={"backend": "slurm"}) for name, facility in self.iri.items()}
        return self.model_copy(update={"sfapi": self.sfapi.model_copy(update={"backend": "slurm"}), "iri": iri})

    @model_validator(mode="after")
    def _stay_at_home(self) -> Self:
        if not self.allow_remote and not _is_loopback(self.host):
            raise ValueError(f"host {self.host} can be reached from outside; use 127.0.0.1, or set allow_remote to true")
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_config(path: Path) -> SimulatorConfig:
    """The configuration in the JSON file ``path``.

    Raises:
        ConfigError: the file cannot be read, is not JSON, or a field is wrong (the sentence names it).
    """
    try:
        return SimulatorConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).", next_step="Give the path of a readable file.") from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}).", next_step="Correct that line and start again."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {field}: {first['msg']}.", next_step="Correct that field and start again.") from error
