"""How a site runs jobs: one model per kind of scheduler, and its containers.

Here: what a facility file says about a site's processors. Not here: talking to a scheduler (the room ``compute``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from als_assets.facility.base import AbsolutePath, Name, Strict, Url


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
    walltime_s: Annotated[int, Field(ge=60)] = 900
    container: Container = Container()
    environment: dict[str, str] = Field(default_factory=dict)


class LocalCompute(_Compute):
    kind: Literal["local"]


class SfapiCompute(_Compute):
    kind: Literal["sfapi"]
    api_url: Url
    token_url: Url
    machine: Name = "perlmutter"
    identity: Name
    account: Name
    qos: Name = "realtime"
    constraint: Name = "cpu"
    cpus_per_task: Annotated[int, Field(ge=1)] = 64
    poll_s: Annotated[float, Field(gt=0)] = 10.0


Compute = Annotated[LocalCompute | SfapiCompute, Field(discriminator="kind")]
