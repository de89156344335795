"""The jobs behind the golden scripts, full of hostile words. Here: their making. Not here: assertions."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from als_assets.compute.script import recon_argv, render, slurm_directives
from als_assets.compute.spec import JobSpec, StageIn, Step
from als_assets.facility.compute import Container, SfapiCompute
from als_assets.facility.models import Image

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "scan 'one' \"two\";$(touch INJECTED)`touch INJECTED`|&größe\\ *?"
IMAGE = Image(reference="ghcr.io/als-computing/microct", digest="sha256:" + "ab" * 32)
SITE = SfapiCompute.model_validate(
    {
        "kind": "sfapi",
        "api_url": "https://api.nersc.gov/api/v1.2",
        "token_url": "https://oidc.nersc.gov/c2id/token",
        "identity": "jobs",
        "account": "als",
        "raw": "raw",
        "scratch": "scratch",
        "log_dir": "/logs",
    }
)
# name of the golden file -> (container, whether a scheduler reads the script, the program that the stub stands for)
KINDS = {
    "nersc_podman": (Container(command="podman-hpc", image="microct"), True, "podman-hpc"),
    "nersc_bare": (Container(python="site-python"), True, "site-python"),
    "apptainer": (Container(command="apptainer", image="microct"), True, "apptainer"),
    "local": (Container(python="site-python"), False, "site-python"),
}
SIZE = 20


def spec_at(root: Path, kind: str) -> JobSpec:
    container = KINDS[kind][0]
    here = PurePosixPath(root)
    raw, output = here / "raw" / f"{HOSTILE}.h5", here / "scratch" / HOSTILE / "recX"
    arguments = ["reconstruct", str(raw), "--output", str(output.parent), "--params", str(here / "logs" / "als-rec-0001.parameters.yaml")]
    steps = (Step("reconstruct", recon_argv(arguments, container, {"microct": IMAGE}, [here / "raw", here / "logs"])),)
    return JobSpec(
        name="als-rec-0001",
        dataset_key="X",
        title=f"The reconstruction of {HOSTILE}\n#SBATCH --account=thief",
        site="nersc",
        steps=steps,
        output=output,
        log_dir=here / "logs",
        walltime_s=5400,
        stage_in=StageIn(here / "cfs" / f"{HOSTILE}.h5", raw, SIZE) if kind != "local" else None,
        parameters=json.dumps({"center": 1.5, "note": HOSTILE}),
        environment=(("NOTE", HOSTILE), ("NUMBA_CACHE_DIR", f"{here}/numba")),
    )


def script_of(spec: JobSpec, kind: str) -> str:
    return render(spec, slurm_directives(spec, SITE) if KINDS[kind][1] else [])
