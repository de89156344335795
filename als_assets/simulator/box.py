"""Setting up a simulated facility in a folder: disks, secrets, the simulator's configuration, and the facility file that points at it.

Here: files written before anything starts. Not here: running it (``server``). The platform sees nothing but a facility file with
loopback addresses.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from joserfc.jwk import RSAKey

from als_assets.simulator import box_alcf, box_olcf
from als_assets.simulator.caches import numba_cache

SPOT = "44ae904c-ab64-4145-a8f0-7287de38324d"
DATA = "75b478b2-37af-46df-bfbd-71ed692c6506"
NERSC = "d40248e6-d874-4f7b-badd-2c06c16f1a58"
CFS = "/global/cfs/cdirs/als/data_mover/8.3.2"
PSCRATCH = "/pscratch/sd/a/alsdev/8.3.2"
_MOVER, _PRUNER = "d3a1c9a0-0000-4000-8000-000000000832", "d3a1c9a0-0000-4000-8000-000000000833"
_SFAPI_CLIENT = "simulated832"


@dataclass(frozen=True)
class Ports:
    simulator: int
    dagster: int
    board: int


@dataclass(frozen=True)
class Box:
    """A simulated facility on disk. ``watched`` is where the detector writes."""

    root: Path
    facility_file: Path
    simulator_file: Path
    ports: Ports

    @property
    def watched(self) -> Path:
        return self.root / "spot832" / "raw"

    @property
    def data832_raw(self) -> Path:
        return self.root / "data832" / "data" / "raw"

    @property
    def results(self) -> Path:
        return self.root / "data832" / "data" / "scratch" / "globus_share"

    @property
    def nersc_raw(self) -> Path:
        return self.root / f"nersc{CFS}" / "raw"

    @property
    def settings_file(self) -> Path:
        return self.root / "bl832.yaml"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.simulator}"


def make_box(state_dir: Path, ports: Ports, *, settings: dict[str, Any] | None = None, simulator: dict[str, Any] | None = None) -> Box:
    """Write (or write again, keeping data and secrets) everything that a simulated facility needs below ``state_dir``.

    ``settings`` are merged into the beamline's settings, ``simulator`` into the simulator's configuration (for its tables by name).
    """
    root = state_dir.resolve() / "box"
    box = Box(root, root / "facility.yaml", root / "simulator.json", ports)
    for folder in (
        box.watched,
        box.data832_raw,
        box.results,
        box.nersc_raw,
        root / f"nersc{PSCRATCH}/raw",
        root / f"nersc{PSCRATCH}/scratch",
        *box_alcf.folders(root),
        *box_olcf.folders(root),
    ):
        folder.mkdir(parents=True, exist_ok=True)
    keys = _secrets(root / "secrets")
    box.simulator_file.write_text(json.dumps(_simulator(root, ports, keys, simulator or {}), indent=1))
    box.simulator_file.chmod(0o600)
    box.facility_file.write_text(yaml.safe_dump(_facility(root, state_dir.resolve(), ports), sort_keys=False))
    wanted = {"quiet_s": 2.0, "sites": {"nersc": True, "als": True, "alcf": False}, **(settings or {})}
    box.settings_file.write_text(yaml.safe_dump(wanted, sort_keys=False))
    return box


def _secrets(folder: Path) -> dict[str, str]:
    """Random secrets, made once; the simulator gets the public half of the key."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("globus-mover", "globus-pruner", "scicat", "scicat-lifecycle", box_alcf.SECRET_FILE, box_olcf.TOKEN_FILE):
        _keep(folder / name, lambda: secrets.token_urlsafe(24))
    _keep(folder / "sfapi-client-id", lambda: _SFAPI_CLIENT)
    _keep(folder / "sfapi-key.json", lambda: json.dumps(RSAKey.generate_key(2048).as_dict(private=True)))
    return {path.name: path.read_text() for path in folder.iterdir()}


def _keep(path: Path, make: Any) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make())


def _simulator(root: Path, ports: Ports, keys: dict[str, str], changes: dict[str, Any]) -> dict[str, Any]:
    public = RSAKey.import_key(json.loads(keys["sfapi-key.json"])).as_dict(private=False)
    base: dict[str, Any] = {
        "port": ports.simulator,
        "state_dir": str(root / "simulator"),
        "globus": {
            "clients": {_MOVER: keys["globus-mover"], _PRUNER: keys["globus-pruner"], **box_alcf.clients(keys)},
            "collections": {
                SPOT: {"name": "spot832", "root": str(root / "spot832"), "writable_by": [_PRUNER]},
                DATA: {"name": "data832", "root": str(root / "data832")},
                NERSC: {"name": "NERSC DTN (alsdev)", "root": str(root / "nersc")},
                **box_alcf.collections(root),
                **box_olcf.collections(root),
            },
        },
        "sfapi": {
            "clients": {_SFAPI_CLIENT: public},
            "roots": [str(root / "nersc")],
            "environment": {"NUMBA_CACHE_DIR": numba_cache(root.parent)},
        },
        "iri": box_olcf.iri(root, keys),
        "compute": box_alcf.compute(),
        "scicat": {
            "users": {
                "ingestor": {"password": keys["scicat"], "groups": ["als_ingest"]},
                "archiver": {"password": keys["scicat-lifecycle"], "groups": ["als_archive"], "admin": True},
            },
            "lifecycle_groups": ["als_archive"],
            "create_groups": ["als_ingest"],
        },
    }
    return {
        name: {**value, **changes.get(name, {})} if isinstance(value, dict) else changes.get(name, value) for name, value in base.items()
    }


def _facility(root: Path, state_dir: Path, ports: Ports) -> dict[str, Any]:
    url = f"http://127.0.0.1:{ports.simulator}"
    return {
        "name": "demo",
        "state_dir": str(state_dir),
        "board_url": f"http://127.0.0.1:{ports.board}",
        "dagster_url": f"http://127.0.0.1:{ports.dagster}",
        "sites": {
            "als": {"title": "ALS (simulated)", "on_premises": True, "compute": _local(root, state_dir)},
            "nersc": {"title": "NERSC (simulated)", "compute": _perlmutter(root, state_dir, url)},
            "alcf": {"title": "ALCF (simulated)", "compute": box_alcf.site(root, _bare(state_dir))},
            "olcf": {"title": "OLCF (simulated)", "compute": box_olcf.site(root, url, _bare(state_dir))},
            "scicat": {"title": "SciCat (simulated)"},
        },
        "locations": _locations(root),
        "identities": {
            "mover": _globus(root, "globus-mover", _MOVER),
            "pruner": _globus(root, "globus-pruner", _PRUNER),
            "nersc_jobs": {"kind": "sfapi", "client_id": _file(root, "sfapi-client-id"), "key": _file(root, "sfapi-key.json")},
            "alcf_jobs": _globus(root, box_alcf.SECRET_FILE, box_alcf.CLIENT),
            **box_olcf.identities(),
            "catalogue": _scicat(root, "scicat", "ingestor"),
            "catalogue_lifecycle": _scicat(root, "scicat-lifecycle", "archiver"),
        },
        "globus": {"auth_url": url, "transfer_url": url, "compute_url": url, "mover": "mover", "pruner": "pruner", "poll_s": 0.5},
        "scicat": {
            "site": "scicat",
            "api_url": f"{url}/api/v3",
            "frontend_url": url,
            "identity": "catalogue",
            "lifecycle_identity": "catalogue_lifecycle",
        },
        "beamlines": {
            "bl832": {
                "acquisition": "spot832",
                "raw": "data832_raw",
                "raw_remote": "nersc832_alsdev_raw",
                "results": "data832_scratch",
                "settings": "bl832.yaml",
            }
        },
    }


def _bare(state_dir: Path) -> dict[str, Any]:
    """Programs run with this Python, and keep their compiled code where the others do."""
    return {
        "container": {"command": "none", "python": sys.executable},
        "environment": {"NUMBA_CACHE_DIR": numba_cache(state_dir)},
    }


def _local(root: Path, state_dir: Path) -> dict[str, Any]:
    logs = str(root / "data832" / "logs")
    return {"kind": "local", "raw": "data832_raw", "scratch": "data832_scratch", "log_dir": logs, **_bare(state_dir)}


def _perlmutter(root: Path, state_dir: Path, url: str) -> dict[str, Any]:
    return {
        "kind": "sfapi",
        "api_url": f"{url}/api/v1.2",
        "token_url": f"{url}/c2id/token",
        "identity": "nersc_jobs",
        "account": "als",
        "raw": "nersc832_alsdev_raw",
        "scratch_raw": "nersc832_alsdev_pscratch_raw",
        "scratch": "nersc832_alsdev_pscratch_scratch",
        "log_dir": f"{root}/nersc{PSCRATCH}/logs",
        "quota_of": "/pscratch",
        "poll_s": 0.5,
        **_bare(state_dir),
    }


def _locations(root: Path) -> dict[str, Any]:
    data, nersc = root / "data832", root / "nersc"
    return {
        "spot832": _here("als", SPOT, "/", root / "spot832", "acquisition", prefix="raw"),
        "data832_raw": _here("als", DATA, "/data/raw", data / "data/raw", "staging"),
        "data832_scratch": _here("als", DATA, "/data/scratch/globus_share", data / "data/scratch/globus_share", "scratch"),
        "nersc832_alsdev_raw": _there(f"{CFS}/raw", nersc, "staging"),
        "nersc832_alsdev_pscratch_raw": _there(f"{PSCRATCH}/raw", nersc, "scratch"),
        "nersc832_alsdev_pscratch_scratch": _there(f"{PSCRATCH}/scratch", nersc, "scratch"),
        **box_alcf.locations(root),
        **box_olcf.locations(root),
    }


def _here(site: str, collection: str, root: str, folder: Path, kind: str, prefix: str = "") -> dict[str, Any]:
    place = {"site": site, "collection": collection, "root": root, "path_on_site": str(folder), "mounted": True, "class": kind}
    return {**place, "prefix": prefix} if prefix else place


def _there(root: str, disk: Path, kind: str) -> dict[str, Any]:
    return {"site": "nersc", "collection": NERSC, "root": root, "path_on_site": f"{disk}{root}", "class": kind}


def _globus(root: Path, name: str, client_id: str) -> dict[str, Any]:
    return {"kind": "globus", "client_id": _file(root, f"{name}-id", client_id), "client_secret": _file(root, name)}


def _scicat(root: Path, name: str, user: str) -> dict[str, Any]:
    return {"kind": "scicat", "username": _file(root, f"{name}-user", user), "password": _file(root, name)}


def _file(root: Path, name: str, content: str | None = None) -> dict[str, str]:
    path = root / "secrets" / name
    if content is not None:
        _keep(path, lambda: content)
    return {"file": f"secrets/{name}"}
