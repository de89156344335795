"""Job scripts: golden files for every kind of site, and what a scheduler reads of them.

``ALS_GOLDEN=write`` writes the golden files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from golden_jobs import GOLDEN, IMAGE, KINDS, SITE, script_of, spec_at

from als_assets.compute.script import recon_argv, slurm_directives
from als_assets.facility.compute import Container
from als_assets.facility.models import Image


@pytest.mark.parametrize("kind", KINDS)
def test_golden(kind: str) -> None:
    text = script_of(spec_at(Path("/SITE"), kind), kind)
    file = GOLDEN / f"{kind}.sh"
    if os.environ.get("ALS_GOLDEN") == "write":
        file.write_text(text)

    assert text == file.read_text()
    assert text.splitlines()[0] == "#!/bin/bash"
    assert not any(line.startswith("#SBATCH --account=thief") for line in text.splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_command_is_the_payload(kind: str) -> None:
    """Whatever comes after it would hide its exit code."""
    lines = [line for line in (GOLDEN / f"{kind}.sh").read_text().splitlines() if line.strip()]

    assert lines[-1].startswith(f"run {KINDS[kind][2]} ")


def test_directives_name_the_job_and_ask_for_what_the_facility_says() -> None:
    lines = slurm_directives(replace(spec_at(Path("/SITE"), "nersc_bare"), walltime_s=3 * 3600 + 125), SITE)

    assert {"--job-name=als-rec-0001", "--comment=als-rec-0001", "--time=3:02:05", "-q realtime", "-A als", "-C cpu"} <= set(lines)
    assert "--output=/SITE/logs/als-rec-0001.out" in lines and "--error=/SITE/logs/als-rec-0001.err" in lines
    assert "--no-requeue" in lines, "a requeued job would run twice"


def test_a_container_is_named_by_digest_and_sees_what_it_needs() -> None:
    mounts = [PurePosixPath("/a b"), PurePosixPath("/c")]

    podman = recon_argv(["preview"], KINDS["nersc_podman"][0], {"microct": IMAGE}, mounts)
    apptainer = recon_argv(["preview"], KINDS["apptainer"][0], {"microct": IMAGE}, mounts)
    bare = recon_argv(["preview"], KINDS["local"][0], {}, mounts)

    reference = f"{IMAGE.reference}@{IMAGE.digest}"
    program = ("python3", "-m", "als_assets.recon", "preview")
    assert podman == ("podman-hpc", "run", "--rm", "--volume", "/a b:/a b", "--volume", "/c:/c", reference, *program)
    assert apptainer == ("apptainer", "exec", "--bind", "/a b", "--bind", "/c", f"docker://{reference}", *program)
    assert bare == ("site-python", *program[1:])


def test_a_digest_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "digest"
    file.touch(mode=0o600)
    file.write_text("sha256:" + "cd" * 32 + "\n")
    image = Image.model_validate({"reference": "ghcr.io/x/y", "digest": {"file": str(file)}})

    argv = recon_argv([], Container(command="podman-hpc", image="microct"), {"microct": image}, [])

    assert "ghcr.io/x/y@sha256:" + "cd" * 32 in argv
