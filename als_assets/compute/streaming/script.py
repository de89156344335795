"""The script of a service session: strict bash with a ready file, a heartbeat, and a chance to end well.

Here: rendering. Not here: submitting it. The service counts as ready when its port answers on its own node.
"""

from __future__ import annotations

from als_assets.compute.script import ENGINE, image_reference, walltime_words
from als_assets.facility.compute import Container, SfapiCompute, Streaming
from als_assets.facility.models import Image
from als_assets.ledger.job_models import ServiceSession

BEAT_S = 10


def service_script(
    name: str, session: ServiceSession, compute: SfapiCompute, stream: Streaming, images: dict[str, Image], walltime_s: int, qos: str
) -> str:
    """The whole script, with ``walltime_s`` and ``qos`` of this job. Raises SecretUnavailable."""
    base = f"{session.log_dir}/{name}"
    directives = [
        f"--job-name={name}",
        f"--comment={name}",
        f"-q {qos}",
        f"-A {compute.account}",
        f"-C {stream.constraint}",
        "-N 1",
        *([f"--gpus={stream.gpus}"] if stream.gpus else []),
        f"--time={walltime_words(walltime_s)}",
        "--exclusive",
        "--no-requeue",
        "--signal=B:TERM@120",
        f"--output={base}.out",
        f"--error={base}.err",
    ]
    return ENGINE.get_template("service.sh.j2").render(
        directives=directives,
        title=f"Live reconstruction for {session.beamline}, session {session.id}",
        base=base,
        output=stream.output,
        port=stream.port,
        beat_s=BEAT_S,
        argv=_argv(stream, images),
    )


def _argv(stream: Streaming, images: dict[str, Image]) -> list[str]:
    if stream.container == "none":
        return list(stream.command)
    image = image_reference(Container(command=stream.container, image=stream.image), images)
    gpu = ["--gpu"] if stream.gpus else []
    env = ["--env-file", str(stream.env_file)] if stream.env_file else []
    mounts = ["--volume", f"{stream.output}:{stream.output}"]
    return ["podman-hpc", "run", "--rm", *gpu, "--network=host", "--shm-size=50G", *env, *mounts, image, *stream.command]
