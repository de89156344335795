"""The simulated OLCF: its disk, its token, its IRI API in OLCF's subset, and how the facility file names them.

Here: the pieces that ``box`` merges into a simulated facility. Not here: other sites. Files come and go by Globus only, as at the real
site: the API has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from als_assets.simulator.caches import numba_cache

OLCF = "36d521b3-c182-4071-b7d5-91db5d380d42"
ORION = "/lustre/orion/als/proj-shared/8.3.2"
TOKEN_FILE = "olcf-token"


def folders(root: Path) -> list[Path]:
    """What must exist before anything starts. Not the folder of logs: the job script makes it."""
    return [root / f"olcf{ORION}/raw", root / f"olcf{ORION}/scratch"]


def collections(root: Path) -> dict[str, Any]:
    """The Globus collection."""
    return {OLCF: {"name": "OLCF DTN (Orion)", "root": str(root / "olcf")}}


def iri(root: Path, keys: dict[str, str], *, slurm: bool = False) -> dict[str, Any]:
    """The simulator's configuration of its IRI facilities."""
    olcf = {
        "personality": "olcf",
        "title": "Oak Ridge Leadership Computing Facility (simulated)",
        "resource": "frontier",
        "cluster": "frontier",
        "node": "frontier00832",
        "user": "als_auser",
        "tokens": {keys[TOKEN_FILE]: {"user": "als_auser", "project": "als"}},
        "roots": [str(root / "olcf")],
        "environment": {"NUMBA_CACHE_DIR": numba_cache(root.parent)},
        "backend": "slurm" if slurm else "processes",
    }
    return {"olcf": olcf}


def site(root: Path, url: str, bare: dict[str, Any]) -> dict[str, Any]:
    """The site of the facility file; ``bare`` is how programs run without a container."""
    return {
        "kind": "iri",
        "api_url": f"{url}/iri/olcf/api",
        "resource": "frontier",
        "identity": "olcf_jobs",
        "introspect_url": f"{url}/iri/olcf/olcf/v1/token/ctls/introspect",
        "account": "als",
        "queue": "batch",
        "raw": "olcf832_raw",
        "scratch": "olcf832_scratch",
        "log_dir": f"{root}/olcf{ORION}/logs",
        "files": "globus",
        "inbox": "data832_scratch",
        "poll_s": 0.5,
        **bare,
    }


def locations(root: Path) -> dict[str, Any]:
    """Its locations; the view covers the logs."""
    disk = root / "olcf"
    base = {"site": "olcf", "collection": OLCF}
    return {
        "olcf832": {**base, "root": ORION, "path_on_site": f"{disk}{ORION}", "class": "view"},
        "olcf832_raw": {**base, "root": f"{ORION}/raw", "path_on_site": f"{disk}{ORION}/raw", "class": "scratch"},
        "olcf832_scratch": {**base, "root": f"{ORION}/scratch", "path_on_site": f"{disk}{ORION}/scratch", "class": "scratch"},
    }


def identities() -> dict[str, Any]:
    """Its token."""
    return {"olcf_jobs": {"kind": "token", "token": {"file": f"secrets/{TOKEN_FILE}"}}}
