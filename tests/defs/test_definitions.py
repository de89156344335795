"""The code location as staff and Dagster see it: names, order, descriptions, and what is not imported.

Here: a snapshot of all asset specs and the cheapness of loading. Not here: what the assets do (``tests/e2e``).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from als_assets.definitions import build_defs
from als_assets.simulator.box import Ports, make_box

REPOSITORY = Path(__file__).parent.parent.parent

# asset -> (upstream assets, priority, pool)
EXPECTED = {
    "raw_on_spot832": ([], None, None),
    "raw_on_data832": (["raw_on_spot832"], "9", "globus_mover"),
    "preview": (["raw_on_data832"], "8", None),
    "scicat_record": (["raw_on_data832"], "7", None),
    "raw_on_nersc": (["raw_on_data832"], "2", "globus_mover"),
    "recon_tiff": (["raw_on_data832"], "1", None),
    "recon_zarr": (["recon_tiff"], "0", None),
    "recon_on_data832": (["recon_tiff", "recon_zarr"], "0", "globus_mover"),
    "scicat_recon_record": (["recon_on_data832", "recon_tiff", "recon_zarr", "scicat_record"], "0", None),
    "deletion_plan": ([], None, None),
    "live_reconstruction": ([], None, None),
}
WITHOUT_SCAN = {"deletion_plan", "live_reconstruction"}
SENSORS = ("bl832_new_scans", "bl832_held_reconstructions", "bl832_stream", "site_health", "watchdog", "reaper", "scicat_outbox")


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(make_box(tmp_path_factory.mktemp("box"), Ports(1, 2, 3)).facility_file)


def test_asset_specs_are_as_designed(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == set(EXPECTED)
    for name, (upstream, priority, pool) in EXPECTED.items():
        node = graph.get(dg.AssetKey(name))
        assert sorted(key.to_user_string() for key in node.parent_keys) == upstream, name
        assert node.group_name == "bl832", "one group, so that the graph opens as a picture"
        assert list(node.owners) == ["team:bl832"]
        assert node.description
        assert node.kinds
        assert (node.partitions_def is not None) == (name not in WITHOUT_SCAN)
        if node.is_materializable and node.is_executable:
            step = node.assets_def.op
            assert step.tags.get("dagster/priority") == priority, name
            assert step.pool == pool, name


def test_the_scan_job_runs_everything_of_a_scan_in_one_process(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("bl832_scan")
    assert job.executor_def is dg.in_process_executor
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(EXPECTED) - {"raw_on_spot832", *WITHOUT_SCAN}


def test_sensors_and_schedules_run_by_themselves(defs: dg.Definitions) -> None:
    sensors = {s.name: s.default_status for s in defs.sensors or []}
    assert sensors == dict.fromkeys(SENSORS, dg.DefaultSensorStatus.RUNNING)
    assert all(s.default_status is dg.DefaultScheduleStatus.RUNNING for s in defs.schedules or [])  # type: ignore[union-attr]


def test_loading_the_code_location_imports_nothing_heavy() -> None:
    heavy = ("numba", "h5py", "tensorstore", "ducc0", "globus_compute_sdk")
    code = f"import sys, als_assets.definitions; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"


def test_definitions_file_stays_small() -> None:
    assert len((REPOSITORY / "als_assets" / "definitions.py").read_text().splitlines()) < 60


def test_launchpad_shows_every_choice_with_its_default(defs: dg.Definitions) -> None:
    config = defs.resolve_asset_graph().get(dg.AssetKey("recon_tiff")).assets_def.op.config_schema.config_type
    fields = config.fields  # type: ignore[union-attr]
    assert {name: field.default_value for name, field in fields.items()} == {"site": "auto", "center": "auto", "parameters": {}}
    assert all(field.description for field in fields.values())
