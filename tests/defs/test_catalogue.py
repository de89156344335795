"""SciCat in Dagster: a record that waits is materialized and says so, the sensor makes it good, and a refusal is red.

Here: assets, sensor and job on a simulated facility in this process. Not here: the outbox itself (``tests/catalogue``).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from als_assets.defs import catalogue as records
from als_assets.defs.bl832.catalogue import scicat_record
from als_assets.defs.catalogue import scicat_outbox, scicat_reconcile
from als_assets.ledger import ReplicaState
from als_assets.ledger.datasets import NewDataset
from als_assets.simulator.detector import synthetic_scan
from tests.defs.conftest import Facility

KEY = "scan_1"
FOLDER = "dabramov-00847_dabramov"


@pytest.fixture
def scan(facility: Facility) -> Path:
    path = facility.box.watched / FOLDER / f"{KEY}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    synthetic_scan(path, rows=4, columns=32, angles=5)
    size = path.stat().st_size
    new = NewDataset(KEY, "bl832", FOLDER, path.name, "ALS-00847", size, None, True, "a test", "spot832", f"{FOLDER}/{KEY}.h5")
    facility.parts.ledger.datasets.admit(new)
    return path


def materialise(facility: Facility, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [scicat_record], partition_key=KEY, instance=instance, resources=facility.resources, raise_on_error=False, tags={"als/scan": KEY}
    )


def tick(facility: Facility, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    with dg.build_sensor_context(instance=instance, resources=facility.resources, cursor=cursor) as context:
        result = scicat_outbox(context)
    assert isinstance(result, dg.SensorResult)
    return result


def shown(result: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue]:
    (event,) = result.asset_materializations_for_node("scicat_record")
    return dict(event.metadata)


def test_a_record_is_written_and_linked(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    metadata = shown(materialise(facility, instance))
    assert str(metadata["record"].value).startswith(f"{facility.box.simulator_url}/datasets/als%2F")
    assert str(metadata["proposal"].value).endswith("/proposals/ALS-00847")
    assert "waiting" not in metadata
    (stored,) = facility.simulator.control.records()
    assert stored["sourceFolder"].endswith(f"/global/cfs/cdirs/als/data_mover/8.3.2/raw/{FOLDER}"), "where users find it"
    assert stored["scientificMetadata"]["scan_page"].endswith(f"/scan/{KEY}")


def test_an_outage_waits_in_green_and_the_sensor_makes_it_good(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    facility.simulator.control.add_fault(where="scicat", action="bad_gateway", times=None)
    result = materialise(facility, instance)
    assert result.success, "data movement never depends on SciCat"
    assert str(shown(result)["waiting"].value).startswith("waiting for SciCat since 20")
    assert facility.simulator.control.records() == []
    facility.simulator.control.clear_faults()
    outbox = facility.parts.ledger.outbox
    (row,) = outbox.open_rows()
    outbox.enqueue(row.pid, row.dataset_key, row.kind, row.body)  # its pause is over
    ticked = tick(facility, instance)
    (observation,) = ticked.asset_events
    assert (observation.asset_key.path, observation.partition) == (["scicat_record"], KEY)
    assert observation.description == "SciCat: the record was created"
    assert len(facility.simulator.control.records()) == 1
    assert "1 written, 0 waiting" in str(ticked.skip_reason and ticked.skip_reason.skip_message)


def test_a_500_for_this_record_is_red_and_mended_by_re_execution(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    facility.simulator.control.add_fault(where="http", method="POST", path="/api/v3/datasets", status=500, body={}, times=None)
    assert not materialise(facility, instance).success
    (record,) = instance.fetch_observations(dg.AssetKey("scicat_record"), limit=5).records
    assert record.asset_observation is not None
    assert "500" in str(record.asset_observation.description)
    assert "Re-execute" in str(record.asset_observation.description)
    assert record.asset_observation.metadata["help page"].value == "docs/errors/catalogue-failed.md"
    assert "1 refused" in str(tick(facility, instance).skip_reason)
    facility.simulator.control.clear_faults()
    assert tick(facility, instance).asset_events == [], "a refusal waits for a person"
    assert materialise(facility, instance).success


def test_the_sensor_follows_the_copies(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    materialise(facility, instance)
    first = tick(facility, instance)
    (event,) = first.asset_events
    assert str(event.description).startswith("SciCat: the record now says where the data is: archiveRetentionTime")
    assert tick(facility, instance, first.cursor).asset_events == []
    (replica,) = facility.parts.ledger.replicas.of(KEY, product="raw", location="data832_raw")
    facility.parts.ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why="a test")
    (event,) = tick(facility, instance, first.cursor).asset_events
    assert "isOnCentralDisk" in str(event.description)
    (stored,) = facility.simulator.control.records()
    assert stored["datasetlifecycle"]["isOnCentralDisk"] is False


def test_a_refusal_found_by_the_sensor_is_shown_with_its_page(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    materialise(facility, instance)
    facility.simulator.control.add_fault(where="http", path="*/datasetlifecycle", status=400, body={"message": ["no"]})
    (event,) = tick(facility, instance).asset_events
    assert "no (400)" in str(event.description)
    assert event.metadata["help page"].value == "docs/errors/catalogue-refused.md"


def test_a_password_that_cannot_be_read_is_said_and_keeps_the_sensor_alive(
    facility: Facility, scan: Path, instance: dg.DagsterInstance
) -> None:
    facility.simulator.control.add_fault(where="scicat", action="bad_gateway", times=None)
    materialise(facility, instance)
    outbox = facility.parts.ledger.outbox
    (row,) = outbox.open_rows()
    outbox.enqueue(row.pid, row.dataset_key, row.kind, row.body)
    facility.parts.accounts.close()
    for name in ("accounts", "catalogue"):
        vars(facility.parts).pop(name)
    (facility.box.root / "secrets" / "scicat-user").unlink()
    assert "1 waiting" in str(tick(facility, instance).skip_reason)


def test_the_sensor_says_which_rights_are_missing(facility: Facility, instance: dg.DagsterInstance) -> None:
    """The start-up check: asked once in a process, and again where SciCat did not answer."""
    down = facility.simulator.control.add_fault(where="scicat", action="bad_gateway", times=None)
    assert "Missing" not in str(tick(facility, instance).skip_reason)
    facility.simulator.control.clear_fault(down)
    facility.simulator.control.add_fault(where="http", path="*/isValid", status=403, body={"message": "Forbidden resource"}, times=None)
    words = str(tick(facility, instance).skip_reason)
    assert "Missing: ingest (ingestor): create - SciCat must list a group of this account in CREATE_DATASET_PRIVILEGED_GROUPS." in words
    facility.simulator.control.clear_faults()
    asked = len(facility.simulator.control.requests())
    assert "Missing: ingest" in str(tick(facility, instance).skip_reason)
    assert len(facility.simulator.control.requests()) == asked


def test_the_comparison_is_red_while_both_sides_differ(facility: Facility, scan: Path, instance: dg.DagsterInstance) -> None:
    def run(apply: bool) -> dg.ExecuteInProcessResult:
        config = {"ops": {"reconcile": {"config": {"apply": apply}}}}
        return scicat_reconcile.execute_in_process(run_config=config, instance=instance, resources=facility.resources, raise_on_error=False)

    failed = run(apply=False)
    assert not failed.success
    assert "differ in 1 places" in str(failed.failure_data_for_node("reconcile"))
    assert run(apply=True).success
    assert len(facility.simulator.control.records()) == 1


def test_every_beamline_with_records_has_assets_for_them() -> None:
    assert set(records.ASSETS) == {"bl832"}
