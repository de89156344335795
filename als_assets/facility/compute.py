"""How a site runs jobs: one model per kind of scheduler, and its containers.

Here: what a facility file says about a site's processors. Not here: talking to a scheduler (the room ``compute``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from als_assets.facility.base import AbsolutePath, Name, Strict, Url
from als_assets.facility.secrets import SecretRef


class Container(Strict):
    """How a site runs the reconstruction programs: in ``image`` by ``command``, or bare with ``python``."""

    command: Literal["podman-hpc", "apptainer", "none"] = "none"
    image: Name | None = None
    python: str = "python3"

    @model_validator(mode="after")
    def _image_named(self) -> Self:
        if (self.command == "none") != (self.image is None):
            raise ValueError("name an 'image' together with 'command' podman-hpc or apptainer, or neither")
        return self


class _Compute(Strict):
    raw: Name  # location: where ensure_replica stages the raw file
    scratch_raw: Name | None = None  # location: where the job copies it to before it reads (None: read in place)
    scratch: Name  # location: where products are written
    log_dir: AbsolutePath
    walltime_s: Annotated[int, Field(ge=60)] = 900  # while nothing was learnt from earlier jobs
    walltime_max_s: Annotated[int, Field(ge=60)] = 14_400  # never more is asked for, whatever was learnt
    most_jobs: Annotated[int, Field(ge=1)] = 20  # of ours at once; the next scan goes elsewhere or waits
    container: Container = Container()
    environment: dict[str, str] = Field(default_factory=dict)


class LocalCompute(_Compute):
    kind: Literal["local"]
    poll_s: Annotated[float, Field(gt=0)] = 0.5


class Streaming(Strict):
    """The live reconstruction service of a beamline: what runs, on what, and the port that answers once it is ready. ``command``
    runs in ``image``, with the folder ``output`` and the file ``env_file`` (of the operator; it may hold secrets) at the site."""

    beamline: Name
    image: Name
    command: list[str] = Field(default_factory=list)
    container: Literal["podman-hpc", "none"] = "podman-hpc"
    port: Annotated[int, Field(ge=1024, le=65535)]
    output: AbsolutePath
    env_file: AbsolutePath | None = None
    qos: Name = "realtime"
    constraint: Name = "gpu"
    gpus: Annotated[int, Field(ge=0)] = 1
    walltime_s: Annotated[int, Field(ge=60)] = 1800
    walltime_max_s: Annotated[int, Field(ge=60)] = 14_400


class SfapiCompute(_Compute):
    kind: Literal["sfapi"]
    api_url: Url
    token_url: Url
    machine: Name = "perlmutter"
    identity: Name
    account: Name
    qos: Name = "realtime"
    qos_fallback: list[Name] = Field(default_factory=lambda: ["regular"])  # tried in this order when a QOS refuses; never debug
    constraint: Name = "cpu"
    cpus_per_task: Annotated[int, Field(ge=1)] = 64
    streaming: Streaming | None = None
    quota_of: AbsolutePath | None = None  # a Lustre file system whose quota for us is asked (None: it is not asked)
    poll_s: Annotated[float, Field(gt=0)] = 10.0


class IriCompute(_Compute):
    """A machine behind the DOE IRI API. ``api_url`` is without the version; ``resource`` (and ``group``, where a name is not
    unique) is looked up, because ids have changed between months. ``files`` says how listings and logs come back: by the API's own
    filesystem routes, or by Globus where a site has none (OLCF; ``inbox`` is then a mounted location for fetched logs).
    ``token_url`` belongs to an identity of kind sfapi, ``introspect_url`` to a token whose site tells its expiry there. ``batch``:
    many jobs are looked at in one request. ``custom_attributes`` go to the scheduler as they are (ALCF demands 'filesystems')."""

    kind: Literal["iri"]
    api_url: Url
    version: Literal["v1", "v2"] = "v1"
    resource: str
    group: str = ""
    identity: Name
    token_url: Url = ""
    introspect_url: Url = ""
    account: str
    queue: str
    custom_attributes: dict[str, str] = Field(default_factory=dict)
    files: Literal["iri", "globus"] = "iri"
    inbox: Name | None = None
    batch: bool = True
    poll_s: Annotated[float, Field(gt=0)] = 10.0

    @model_validator(mode="after")
    def _inbox_named(self) -> Self:
        if (self.files == "globus") != (self.inbox is not None):
            raise ValueError("name an 'inbox' (a mounted location) together with 'files: globus', or neither")
        return self


class GlobusCompute(_Compute):
    """A Globus Compute endpoint (ALCF). ``account``, ``queue``, ``nodes`` and the walltime go into its template together with
    ``options`` (``worker_init``, ``scheduler_options``, ...: the site's documentation names them). Listings, logs and stops are small
    functions, which must not wait behind jobs: ``files_endpoint`` and ``files_options`` name where they run, best a login node
    (default: with the jobs). A site is checked again when its last good check is older than ``check_hours``."""

    kind: Literal["globus_compute"]
    endpoint: UUID | SecretRef
    identity: Name
    account: Annotated[str, Field(min_length=1)]
    queue: Annotated[str, Field(min_length=1)]
    nodes: Annotated[int, Field(ge=1)] = 1
    options: dict[str, str | int] = Field(default_factory=dict)
    files_endpoint: UUID | SecretRef | None = None
    files_options: dict[str, str | int] = Field(default_factory=dict)
    modules: list[str] = Field(default_factory=list)  # that ``container.python`` must be able to import at the site
    check_hours: Annotated[float, Field(gt=0)] = 8.0
    poll_s: Annotated[float, Field(gt=0)] = 10.0


Compute = Annotated[LocalCompute | SfapiCompute | IriCompute | GlobusCompute, Field(discriminator="kind")]
