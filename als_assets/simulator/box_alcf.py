"""The simulated ALCF: Eagle as a folder, Polaris as two Globus Compute endpoints, and how the facility file names them.

Here: the pieces that ``box`` merges into a simulated facility. Not here: other sites, and the secrets, which ``box`` keeps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

EAGLE = "55c3adf6-31f1-4647-9a38-52591642f7e7"
POLARIS, LOGIN = "d3a1c9a0-0000-4000-8000-00000000c832", "d3a1c9a0-0000-4000-8000-00000000f832"
CLIENT = "d3a1c9a0-0000-4000-8000-000000000834"
SECRET_FILE = "globus-compute"
_ROOT = "eagle/IRIProd/ALS"


def folders(root: Path) -> list[Path]:
    """What must exist before anything starts. Not the folder of logs: the first check of the site makes it."""
    return [root / "alcf" / _ROOT / "data" / part for part in ("raw", "scratch")]


def clients(keys: dict[str, str]) -> dict[str, str]:
    """The Globus identity that runs jobs."""
    return {CLIENT: keys[SECRET_FILE]}


def collections(root: Path) -> dict[str, Any]:
    """The Globus collection."""
    return {EAGLE: {"name": "ALCF Eagle (ALS)", "root": str(root / "alcf" / _ROOT)}}


def compute() -> dict[str, Any]:
    """The simulator's endpoints. Small functions have one of their own, as on a login node: they never wait behind jobs."""
    polaris = {"name": "Polaris", "slots": 2, "queue_wait_s": 0.1, "required": ["account", "queue", "walltime"]}
    return {"endpoints": {POLARIS: polaris, LOGIN: {"name": "Polaris login", "slots": 8, "queue_wait_s": 0.0}}}


def site(root: Path, bare: dict[str, Any]) -> dict[str, Any]:
    """The site of the facility file; ``bare`` is how programs run without a container."""
    return {
        "kind": "globus_compute",
        "endpoint": POLARIS,
        "files_endpoint": LOGIN,
        "identity": "alcf_jobs",
        "account": "IRIProd",
        "queue": "debug",
        "modules": ["als_assets.recon"],
        "raw": "alcf832_raw",
        "scratch": "alcf832_scratch",
        "log_dir": str(root / "alcf" / _ROOT / "data" / "logs"),
        "poll_s": 0.2,
        **bare,
    }


def locations(root: Path) -> dict[str, Any]:
    """Its locations."""
    base = {"site": "alcf", "collection": EAGLE, "class": "scratch"}
    places = {part: {"root": f"/data/{part}", "path_on_site": str(root / "alcf" / _ROOT / "data" / part)} for part in ("raw", "scratch")}
    return {f"alcf832_{part}": {**base, **place} for part, place in places.items()}
