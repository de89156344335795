"""Where scans are computed, as Dagster does it: held with a reason and started by itself, pinned, and warned about credentials.

Here: sensors and the choice of a step against a simulated facility. Not here: the decision itself (``tests/compute/test_routing``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from als_assets.defs.bl832 import reconstruction, sensors, streaming
from als_assets.defs.bl832.reconstruction import choice, job_under_way, site_is_guilty
from als_assets.defs.health import site_health
from als_assets.errors import JobFailed, JobRefused, NoSiteAvailable
from als_assets.facility.settings import Settings
from als_assets.ledger import Dataset, Manifest, OperationKind
from als_assets.ledger.database import reading
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.job_models import SiteState
from als_assets.ledger.models import Audit
from tests.defs.conftest import Facility

NERSC_ONLY = Settings.model_validate({"reconstruction": {"sites": ["nersc"]}})


def admit(facility: Facility, key: str, *, may_leave: bool = True) -> Dataset:
    source = {"source_location": "spot832", "source_path": f"x/{key}.h5", "release_reason": "of a test", "may_leave": may_leave}
    new = NewDataset(
        key=key, beamline="bl832", folder="x", file_name=f"{key}.h5", proposal="P", size_bytes=1, acquired_at=None, facts={}, **source
    )  # type: ignore[arg-type]
    return facility.parts.ledger.datasets.admit(new)


def say(facility: Facility, *, ok: bool, sentence: str = "Power outage.", **facts: Any) -> None:
    row = SiteState(site="nersc", asked_at=facility.parts.ledger.clock(), ok=ok, sentence=sentence)
    row.outage_from, row.outage_to, row.credential_ends = facts.get("begin"), facts.get("end"), facts.get("ends")
    facility.parts.ledger.watching.note_state(row)


def credentials_told(facility: Facility) -> list[str]:
    with reading(facility.parts.ledger.engine) as session:
        return list(session.scalars(sa.select(Audit.why).filter_by(subject="credential of nersc")))


def write_settings(facility: Facility, text: str) -> None:
    facility.box.settings_file.write_text(text)


def tick(sensor: dg.SensorDefinition, facility: Facility, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    context = dg.build_sensor_context(instance=instance, resources=facility.resources, cursor=cursor)
    return sensor(context), context.cursor


def test_a_reconstruction_is_held_with_its_reason_and_started_when_a_site_is_back(facility: Facility, instance: dg.DagsterInstance) -> None:
    write_settings(facility, "sites: {nersc: true}\nreconstruction: {sites: [nersc]}\n")
    dataset = admit(facility, "scan_1")
    say(facility, ok=False, begin=datetime.now(UTC), end=datetime.now(UTC) + timedelta(hours=3))
    first, _ = tick(sensors.new_scans, facility, instance)
    (request,) = first.run_requests
    names = {key.to_user_string() for key in request.asset_selection}
    assert {"raw_on_data832", "preview", "raw_on_nersc", "scicat_record"} <= names and "recon_tiff" not in names
    assert "Power outage" in request.tags["als/held"] and "held until" in request.tags["als/held"]
    assert request.run_config == {}, "the run decides anew when it comes to it"

    skipped, _ = tick(sensors.held_reconstructions, facility, instance)
    assert "1 reconstruction(s) held" in skipped.skip_message and "Power outage" in skipped.skip_message
    say(facility, ok=True)
    skipped, _ = tick(sensors.held_reconstructions, facility, instance)
    assert "its first safe copy is not there yet" in skipped.skip_message

    copy = facility.parts.ledger.replicas.expect(dataset.key, "raw", "data832_raw", dataset.raw_path)
    facility.parts.ledger.replicas.verified(copy.id, Manifest.single(1), why="test", evidence={})
    started, _ = tick(sensors.held_reconstructions, facility, instance)
    (request,) = started.run_requests
    assert {key.to_user_string() for key in request.asset_selection} == set(sensors.HELD_ASSETS)
    assert request.tags["als/site"] == "nersc"
    assert facility.parts.ledger.placing.waiting() == []
    told = [row.why for row in facility.parts.ledger.audit.of(dataset.key) if row.subject.startswith("reconstruction of")]
    assert any("Power outage" in why for why in told) and any("launched at nersc" in why for why in told)


def test_a_reconstruction_that_was_switched_off_is_not_waited_for(facility: Facility, instance: dg.DagsterInstance) -> None:
    dataset = admit(facility, "scan_1")
    facility.parts.ledger.placing.hold(dataset.key, "no site", None)
    write_settings(facility, "steps: {reconstruction: false}\n")

    skipped, _ = tick(sensors.held_reconstructions, facility, instance)

    assert skipped.skip_message == "No reconstruction is held." and facility.parts.ledger.placing.waiting() == []


def test_the_choice_of_a_step(facility: Facility) -> None:
    parts, dataset = facility.parts, admit(facility, "scan_1")
    assert choice(parts, Settings(), "auto", dataset)[0] == "nersc"
    assert choice(parts, Settings(), "als", dataset) == ("als", "chosen for this run")
    assert choice(parts, Settings(), "auto", dataset, tried=["nersc"])[0] == "als"
    parts.ledger.placing.pin(dataset.key, "als", who="dula", reason="memory")
    assert choice(parts, Settings(), "auto", dataset)[0] == "als"
    with pytest.raises(NoSiteAvailable, match="als has just failed"):
        choice(parts, Settings(), "auto", dataset, tried=["als"])
    assert parts.ledger.placing.waiting() == [], "a scan that failed is red, not held"
    assert parts.ledger.placing.unpin(dataset.key, who="dula") and not parts.ledger.placing.unpin(dataset.key, who="dula")
    say(facility, ok=False)
    with pytest.raises(NoSiteAvailable, match="Power outage"):
        choice(parts, NERSC_ONLY, "auto", dataset)
    assert [row.dataset_key for row in parts.ledger.placing.waiting()] == [dataset.key]


def test_export_control_wins_over_a_pin(facility: Facility) -> None:
    dataset = admit(facility, "scan_1", may_leave=False)
    facility.parts.ledger.placing.pin(dataset.key, "nersc", who="dula", reason="fast")
    with pytest.raises(NoSiteAvailable, match="the scan stays because of a test"):
        choice(facility.parts, Settings(), "auto", dataset)


def test_a_job_that_goes_on_somewhere_is_followed_there(facility: Facility) -> None:
    parts, dataset = facility.parts, admit(facility, "scan_1")
    request = {"site": "als", "steps": ["reconstruct"]}
    parts.ledger.operations.begin("job:x", OperationKind.JOB, dataset.key, request)

    assert job_under_way(parts, dataset) == "als"
    assert choice(parts, Settings(), "auto", dataset) == ("als", "a job for this scan is under way there")


def test_whose_fault_it_was() -> None:
    def failed(**details: Any) -> JobFailed:
        return JobFailed("It failed.", next_step="x", **details)

    assert site_is_guilty(failed(report={"site_fault": True})) and site_is_guilty(JobRefused("No.", next_step="x", site_fault=True))
    assert not site_is_guilty(failed(report={"site_fault": False})) and not site_is_guilty(failed())


def test_sites_are_asked_and_credentials_warned_about_once_a_stage(facility: Facility, instance: dg.DagsterInstance) -> None:
    skipped, cursor = tick(site_health, facility, instance)
    assert "Perlmutter is active" in skipped.skip_message
    assert "Our credential for NERSC (simulated) ends in" in skipped.skip_message
    warned = credentials_told(facility)
    assert len(warned) == 1

    facility.parts.sites.ask_due = lambda: [facility.parts.sites.ask("nersc")]  # type: ignore[method-assign]
    tick(site_health, facility, instance, cursor)
    warned = credentials_told(facility)
    assert len(warned) == 1, "the same stage is told once"


def test_without_a_session_the_stream_sensor_rests(facility: Facility, instance: dg.DagsterInstance) -> None:
    skipped, _ = tick(streaming.follow_stream, facility, instance)
    assert skipped.skip_message == "No live session."


def test_a_site_that_offers_no_service_is_told_on_the_run(facility: Facility, instance: dg.DagsterInstance) -> None:
    result = streaming.start_stream_job.execute_in_process(instance=instance, resources=facility.resources, raise_on_error=False)
    assert not result.success
    assert "No site offers a live reconstruction for bl832" in str(result.all_events)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_site_that_fails_for_its_own_reason_is_tried_once_elsewhere(
    facility: Facility, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """The step around jobs that fail as told, without a real reconstruction."""
    parts, dataset = facility.parts, admit(facility, "scan_1")
    write_settings(facility, f"sites: {{nersc: true, als: {str(elsewhere).lower()}}}\n")
    tried: list[str] = []

    def reconstruct(_actor: Any, _dataset: Any, site: str, *_: Any) -> Any:
        tried.append(site)
        if site == "nersc":
            raise JobFailed("Its node failed.", next_step="x", report={"site_fault": True})
        return "the receipt"

    monkeypatch.setattr(parts.compute, "reconstruct", reconstruct)
    monkeypatch.setattr(reconstruction, "ensure_raw", lambda *_: None)
    monkeypatch.setattr(reconstruction, "_record", lambda *_: None)
    events: list[Any] = []
    context: Any = type(
        "Context", (), {"log": None, "asset_key": dg.AssetKey("recon_tiff"), "log_event": lambda _self, e: events.append(e)}
    )()
    context.log = type("Log", (), {"warning": lambda _self, words: events.append(words)})()
    config = reconstruction.ReconstructionConfig()

    if elsewhere:
        receipt, why = reconstruction._reconstruct(context, parts, None, config, dataset)  # type: ignore[arg-type]
        assert (receipt, tried) == ("the receipt", ["nersc", "als"])
        assert "nersc has just failed" in why and "Trying als" in events[0].description
    else:
        with pytest.raises(JobFailed, match="Its node failed"):
            reconstruction._reconstruct(context, parts, None, config, dataset)  # type: ignore[arg-type]
        assert tried == ["nersc"] and "als is switched off" in events[0]
