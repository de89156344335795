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

ENGINE = Environment(loader=PackageLoader("als_assets.compute"), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
ENGINE.filters["q"] = lambda value: shlex.quote(str(value))


def render(spec: JobSpec, directives: list[str]) -> str:
    """The whole script. ``directives`` are the scheduler's lines without '#SBATCH'."""
    template = ENGINE.get_template("job.sh.j2")
    return template.render(
        directives=directives,
        title=spec.title.replace("\n", " "),
        name=spec.name,
        result=spec.result_path,
        claim=spec.claim_path,
        output=spec.output,
        environment=spec.environment,
        output_parent=spec.output.parent,
        parameters=spec.parameters,
        parameters_path=spec.parameters_path,
        stage_in=spec.stage_in,
        steps=spec.steps,
    )


def slurm_directives(spec: JobSpec, site: SfapiCompute) -> list[str]:
    """#SBATCH lines for NERSC. The signal gives the trap a minute to write its result before the time limit."""
    return [
        f"--job-name={spec.name}",
        f"--comment={spec.name}",
        f"-q {spec.queue_name or site.qos}",
        f"-A {spec.account or site.account}",
        f"-C {site.constraint}",
        f"-N {spec.resources.node_count}",
        f"--ntasks-per-node={spec.resources.processes_per_node}",
        f"--cpus-per-task={spec.resources.cpu_cores_per_process or site.cpus_per_task}",
        f"--time={walltime_words(spec.walltime_s)}",
        *(["--exclusive"] if spec.resources.exclusive_node_use else []),
        *([f"--gpus-per-task={spec.resources.gpu_cores_per_process}"] if spec.resources.gpu_cores_per_process else []),
        "--no-requeue",
        "--signal=B:TERM@60",
        f"--output={spec.stdout_path}",
        f"--error={spec.stderr_path}",
    ]


def walltime_words(seconds: int) -> str:
    """5400 -> '1:30:00', as schedulers read it."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def image_reference(container: Container, images: dict[str, Image]) -> str:
    """The image of a site's programs by digest; empty where they run bare. Raises SecretUnavailable."""
    if container.image is None:
        return ""
    image = images[container.image]
    digest = image.digest.read() if isinstance(image.digest, SecretRef) else image.digest
    return f"{image.reference}@{digest}"


def recon_argv(arguments: list[str], container: Container, images: dict[str, Image], mounts: list[PurePosixPath]) -> tuple[str, ...]:
    """The command that runs ``als_assets.recon`` at a site: bare, or in its container by digest."""
    program = [container.python, "-m", "als_assets.recon", *arguments]
    if container.command == "none" or container.image is None:
        return tuple(program)
    reference = image_reference(container, images)
    if container.command == "podman-hpc":
        volumes = [word for mount in mounts for word in ("--volume", f"{mount}:{mount}")]
        return ("podman-hpc", "run", "--rm", *volumes, reference, *program)
    volumes = [word for mount in mounts for word in ("--bind", str(mount))]
    return ("apptainer", "exec", *volumes, f"docker://{reference}", *program)
