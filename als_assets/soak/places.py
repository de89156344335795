"""The facility of the soak: the places of 8.3.2, with the same classes and the same policy, in a folder.

Here: one facility as data, and its policy. Not here: what happens there. The ALS is mounted, as it is for the real platform, so
checksums are read there from real files; NERSC is reached through the mover only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from als_assets.facility import Facility
from als_assets.facility.retention import Retention

BEAMLINE = "bl832"
SPOT, DATA, RESULTS = "spot832", "data832_raw", "data832_scratch"
ARCHIVE, STAGED, SCRATCH, ALCF = "nersc_raw", "nersc_pscratch_raw", "nersc_pscratch", "alcf_raw"
_COLLECTIONS = {"als": "75b478b2-37af-46df-bfbd-71ed692c6506", "nersc": "d40248e6-d874-4f7b-badd-2c06c16f1a58"}
_COLLECTIONS["alcf"] = "55c3adf6-31f1-4647-9a38-52591642f7e7"
_PLACES = [
    (SPOT, "als", "acquisition"),
    (DATA, "als", "staging"),
    (RESULTS, "als", "scratch"),
    (ARCHIVE, "nersc", "archive"),
    (STAGED, "nersc", "scratch"),
    (SCRATCH, "nersc", "scratch"),
    (ALCF, "alcf", "scratch"),
]


def soak_facility(folder: Path) -> Facility:
    """The facility with its mounted folders below ``folder``."""
    identity = {"kind": "globus", "client_id": {"env": "SOAK_ID"}, "client_secret": {"env": "SOAK_SECRET"}}
    catalogue = {"kind": "scicat", "username": {"env": "SOAK_USER"}, "password": {"env": "SOAK_PASSWORD"}}
    parts = {"acquisition": SPOT, "raw": DATA, "raw_remote": ARCHIVE, "results": RESULTS, "settings": "bl832.yaml"}
    sites = {"als": {"title": "ALS", "on_premises": True}, "nersc": {"title": "NERSC"}, "alcf": {"title": "ALCF"}}
    return Facility.model_validate(
        {
            "name": "soak",
            "state_dir": str(folder / "state"),
            "board_url": "http://127.0.0.1:8832",
            "sites": sites,
            "locations": {name: _place(folder, name, site, kind) for name, site, kind in _PLACES},
            "identities": {"mover": identity, "pruner": identity, "catalogue": catalogue},
            "globus": {"mover": "mover", "pruner": "pruner"},
            "scicat": {"site": "als", "api_url": "http://127.0.0.1", "frontend_url": "http://127.0.0.1", "identity": "catalogue"},
            "beamlines": {BEAMLINE: parts},
        }
    )


def _place(folder: Path, name: str, site: str, kind: str) -> dict[str, Any]:
    here = {"mounted": True, "path_on_site": str(folder / name)} if site == "als" else {}
    return {"site": site, "collection": _COLLECTIONS[site], "root": f"/{name}", "class": kind, **here}


def beamline_policy() -> Retention:
    """That of ``settings/bl832.yaml``, for these places; data832 is cleaned sooner, so that a month sees it."""
    one = {"copies": 1, "sites": 1, "archive": True}
    return Retention.model_validate(
        {
            "rules": {
                "acquisition": {"min_age_days": 1, "proof_max_age_days": 1},
                "staging": {"min_age_days": 12, "proof_max_age_days": 1, "raw": one},
                "scratch": {"min_age_days": 14},
            },
            "locations": {name: {"min_age_days": days} for name, days in ((STAGED, 1), (SCRATCH, 1), (ALCF, 2))},
        }
    )
