"""The entry of a Globus Compute site in a facility file: what it needs, and ALCF in the production file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "facility"))

from facility_kit import text

from als_assets.errors import ConfigError
from als_assets.facility import load_facility
from als_assets.facility.compute import GlobusCompute
from als_assets.facility.identities import GlobusIdentity
from als_assets.facility.settings import Settings

REPOSITORY = Path(__file__).parents[2]
ENTRY: dict[str, Any] = {
    "kind": "globus_compute",
    "endpoint": "33333333-3333-4333-8333-333333333333",
    "identity": "mover",
    "account": "als",
    "queue": "debug",
    "raw": "eagle_raw",
    "scratch": "eagle_scratch",
    "log_dir": "/eagle/logs",
}


def load(tmp_path: Path, **changes: Any) -> GlobusCompute:
    document = yaml.safe_load(text(tmp_path))
    document["sites"]["alcf"]["compute"] = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    path = tmp_path / "facility.yaml"
    path.write_text(yaml.safe_dump(document))
    compute = load_facility(path).sites["alcf"].compute
    assert isinstance(compute, GlobusCompute)
    return compute


def test_an_entry_with_its_standard_values(tmp_path: Path) -> None:
    compute = load(tmp_path)

    assert (compute.nodes, compute.files_endpoint, compute.check_hours, compute.poll_s) == (1, None, 8.0, 10.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": "jobs"}, "sites.alcf.compute.identity: identity 'jobs' is of kind sfapi, not globus"),
        ({"identity": "nobody"}, "sites.alcf.compute.identity: 'nobody' is not defined"),
        ({"account": None}, "account"),
        ({"account": ""}, "account"),
        ({"queue": None}, "queue"),
        ({"endpoint": "polaris"}, "endpoint"),
        ({"nodes": 0}, "nodes"),
        ({"scratch": "nowhere"}, "sites.alcf.compute.scratch: 'nowhere' is not defined"),
        ({"queu": "debug"}, "queu"),
    ],
    ids=str,
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, **changes)


def test_alcf_in_the_production_file_is_complete_and_switched_off() -> None:
    als = load_facility(REPOSITORY / "facility" / "als.yaml")

    compute = als.sites["alcf"].compute
    assert isinstance(compute, GlobusCompute)
    assert isinstance(als.identities[compute.identity], GlobusIdentity)
    assert compute.identity not in (als.globus.mover, als.globus.pruner), "jobs run as an identity of their own"
    assert als.globus.compute_url == "", "the real service"
    for name in (compute.raw, compute.scratch):
        assert als.location(name).site == "alcf" and str(als.location(name).site_root).startswith("/eagle/")
    settings = Settings.model_validate(yaml.safe_load((REPOSITORY / "settings" / "bl832.yaml").read_text()))
    assert settings.sites["alcf"] is False
