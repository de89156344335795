"""The job script: strict bash from a template, every value quoted, the exit code written down by a trap.

Here: rendering a JobSpec for a site, with or without scheduler directives and container. Not here: submitting it.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from als_assets.compute.spec import JobSpec
from als_assets.facility.compute import Container, SfapiCompute
from als_assets.facility.models import Image
from als_assets.facility.secrets import SecretRef

_ENGINE = Environment(loader=PackageLoader("als_assets.compute"), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
_ENGINE.filters["q"] = lambda value: shlex.quote(str(value))


def render(spec: JobSpec, directives: list[str]) -> str:
    """The whole script. ``directives`` are the scheduler's lines without '#SBATCH'."""
    template = _ENGINE.get_template("job.sh.j2")
    return template.render(
        directives=directives,
        title=spec.title.replace("\n", " "),
        name=spec.name,
        result=spec.result_path,
        environment=spec.environment,
        output_parent=spec.output.parent,
        parameters=spec.parameters,
        parameters_path=spec.parameters_path,
        stage_in=spec.stage_in,
        steps=spec.steps,
    )


def slurm_directives(spec: JobSpec, site: SfapiCompute) -> list[str]:
    """#SBATCH lines for NERSC. The signal gives the trap a minute to write its result before the time limit."""
    hours, rest = divmod(spec.walltime_s, 3600)
    minutes, seconds = divmod(rest, 60)
    return [
        f"--job-name={spec.name}",
        f"--comment={spec.name}",
        f"-q {site.qos}",
        f"-A {site.account}",
        f"-C {site.constraint}",
        "-N 1",
        "--ntasks-per-node=1",
        f"--cpus-per-task={site.cpus_per_task}",
        f"--time={hours}:{minutes:02d}:{seconds:02d}",
        "--exclusive",
        "--no-requeue",
        "--signal=B:TERM@60",
        f"--output={spec.stdout_path}",
        f"--error={spec.stderr_path}",
    ]


def recon_argv(arguments: list[str], container: Container, images: dict[str, Image], mounts: list[PurePosixPath]) -> tuple[str, ...]:
    """The command that runs ``als_assets.recon`` at a site: bare, or in its container by digest."""
    program = [container.python, "-m", "als_assets.recon", *arguments]
    if container.command == "none" or container.image is None:
        return tuple(program)
    image = images[container.image]
    digest = image.digest.read() if isinstance(image.digest, SecretRef) else image.digest
    reference = f"{image.reference}@{digest}"
    if container.command == "podman-hpc":
        volumes = [word for mount in mounts for word in ("--volume", f"{mount}:{mount}")]
        return ("podman-hpc", "run", "--rm", *volumes, reference, *program)
    volumes = [word for mount in mounts for word in ("--bind", str(mount))]
    return ("apptainer", "exec", *volumes, f"docker://{reference}", *program)
