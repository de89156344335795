"""Watchdog and reaper on a Dagster in memory.

Here: which runs are buried, and what is cancelled after a terminated one. Not here: real power cuts (``tests/e2e/test_crashes.py``).
"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import dagster as dg
import pytest
import sqlalchemy as sa

from als_assets.definitions import build_defs
from als_assets.defs import health
from als_assets.defs.health import reaper, watchdog
from als_assets.ledger import Manifest
from als_assets.ledger.acting import Actor
from als_assets.ledger.database import writing
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.models import Worker
from tests.defs.conftest import Facility

KEY = "scan_1"


@dg.job
def nothing() -> None: ...


def started_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)


def tick(sensor: dg.SensorDefinition, facility: Facility, instance: dg.DagsterInstance) -> str:
    context = dg.build_sensor_context(instance=instance, resources=facility.resources)
    return str(sensor(context).skip_message)  # type: ignore[union-attr]


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_watchdog_buries_the_dead_and_spares_the_living(facility: Facility, instance: dg.DagsterInstance) -> None:
    living, dead = started_run(instance), started_run(instance)
    for run in (living, dead):
        facility.parts.ledger.workers.register(run.run_id, KEY)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with writing(facility.parts.ledger.engine) as session:
        session.execute(sa.update(Worker).filter_by(run_id=dead.run_id).values(pid=gone.pid))
    assert tick(watchdog, facility, instance) == "1 run(s) found dead."
    assert status(instance, living) is dg.DagsterRunStatus.STARTED
    assert status(instance, dead) is dg.DagsterRunStatus.FAILURE


def test_watchdog_sees_to_retries_that_dagster_promised_and_forgot(
    facility: Facility, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FORGOTTEN", timedelta(0))
    tags = {"dagster/will_retry": "true", "dagster/partition": KEY, "als/scan": KEY}
    run = instance.create_run_for_job(
        build_defs(facility.box.facility_file).resolve_job_def("bl832_scan"),
        status=dg.DagsterRunStatus.FAILURE,
        tags=tags,
        asset_selection=frozenset({dg.AssetKey("raw_on_data832"), dg.AssetKey("recon_tiff")}),
        run_config={"ops": {"recon_tiff": {"config": {"site": "als"}}}},
    )
    context = dg.build_sensor_context(instance=instance, resources=facility.resources)
    [request] = watchdog(context).run_requests  # type: ignore[union-attr]
    assert request.partition_key == KEY
    assert {key.to_user_string() for key in request.asset_selection} == {"raw_on_data832", "recon_tiff"}
    assert request.run_config == {"ops": {"recon_tiff": {"config": {"site": "als"}}}}
    assert request.tags["dagster/parent_run_id"] == run.run_id
    assert request.tags["dagster/retry_number"] == "1"
    instance.create_run_for_job(nothing, tags={"dagster/parent_run_id": run.run_id})
    assert tick(watchdog, facility, instance) == "All runs are alive.", "once it was retried, nothing more is asked for"


def test_watchdog_gives_a_young_run_time_to_begin(facility: Facility, instance: dg.DagsterInstance) -> None:
    young = started_run(instance)
    assert tick(watchdog, facility, instance) == "All runs are alive."
    assert status(instance, young) is dg.DagsterRunStatus.STARTED


def test_reaper_cancels_what_a_terminated_run_left_behind(facility: Facility, instance: dg.DagsterInstance) -> None:
    parts = facility.parts
    path = facility.box.watched / "f" / "s.h5"
    path.parent.mkdir()
    path.write_bytes(b"0123456789")
    parts.ledger.datasets.admit(NewDataset(KEY, "bl832", "f", "s.h5", "P", 10, None, True, "allowed", "spot832", "f/s.h5"))
    raw = parts.ledger.replicas.of(KEY)[0]
    parts.ledger.replicas.verified(raw.id, Manifest.single(10), why="seen", evidence={})
    facility.simulator.control.add_fault({"where": "transfer", "action": "stall"})
    run = started_run(instance)

    class Vanished(BaseException):
        """The process is gone between two looks."""

    def vanish(_seconds: float) -> None:
        raise Vanished

    actor = Actor(run.run_id, lambda _other: False, wait=vanish)
    with pytest.raises(Vanished):
        parts.transfers.ensure_replica(actor, KEY, "raw", "data832_raw", "f/s.h5")
    assert tick(reaper, facility, instance) == "Nothing was left behind.", "a run that goes on keeps its task"
    instance.report_run_canceled(run)
    assert tick(reaper, facility, instance) == "Cancelled what 1 terminated run(s) left behind."
    [task] = facility.simulator.control.tasks()
    assert task["status"] == "FAILED"
    assert parts.ledger.operations.of(KEY)[0].state == "cancelled"
