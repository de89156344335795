"""What a step does around its work, in one process and without any service.

Here: the observation before the failure, secrets kept out of it, and who may take over. Not here: real crashes (``tests/e2e``).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from als_assets.defs.bl832.raw import raw_on_data832
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import may_take_over
from als_assets.errors import ServiceUnreachable
from als_assets.ledger import OperationKind
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import NewDataset
from als_assets.platform import Platform, platform_of
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.transfer import TransferService

KEY = "scan_1"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return make_box(tmp_path, Ports(1, 2, 3))  # nothing listens on these ports


@pytest.fixture
def parts(box: Box) -> Platform:
    parts = platform_of(box.facility_file)
    (box.watched / "f").mkdir()
    (box.watched / "f" / "scan_1.h5").write_bytes(b"x" * 10)
    parts.ledger.datasets.admit(NewDataset(KEY, "bl832", "f", "scan_1.h5", "P", 10, None, True, "allowed", "spot832", "f/scan_1.h5"))
    return parts


def test_failed_step_leaves_sentence_next_step_and_link_before_it_raises(box: Box, parts: Platform, instance: dg.DagsterInstance) -> None:
    (box.root / "secrets" / "globus-mover").chmod(0o644)
    resources = {"platform": PlatformResource(facility_file=str(box.facility_file))}
    result = dg.materialize([raw_on_data832], partition_key=KEY, instance=instance, resources=resources, raise_on_error=False)
    assert not result.success
    records = instance.fetch_observations(dg.AssetKey("raw_on_data832"), limit=5).records
    assert len(records) == 1
    observation = records[0].asset_observation
    assert observation is not None
    assert "can be read by other accounts" in str(observation.description)
    assert "chmod 600" in str(observation.description)
    assert observation.metadata["scan page"].value == f"http://127.0.0.1:3/scan/{KEY}"
    assert observation.metadata["help page"].value == "docs/errors/secret-unavailable.md"
    failure = result.failure_data_for_node("raw_on_data832")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert str(failure.user_failure_data.description).startswith("The secret file")
    assert (box.root / "secrets" / "globus-mover").read_text() not in repr((result.all_events, records))


def test_started_and_worker_are_on_record(box: Box, parts: Platform, instance: dg.DagsterInstance) -> None:
    (box.root / "secrets" / "globus-mover").chmod(0o644)
    resources = {"platform": PlatformResource(facility_file=str(box.facility_file))}
    result = dg.materialize([raw_on_data832], partition_key=KEY, instance=instance, resources=resources, raise_on_error=False)
    assert parts.ledger.datasets.get(KEY).started_at is not None
    assert parts.ledger.workers.find(result.run_id) is not None


def test_a_run_that_dagster_calls_finished_may_be_taken_over(parts: Platform, instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(_job(), status=dg.DagsterRunStatus.STARTED)
    parts.ledger.workers.register(run.run_id, KEY)  # by this process, which lives
    assert not may_take_over(instance, parts, run.run_id)
    instance.report_run_failed(run)
    assert may_take_over(instance, parts, run.run_id)
    assert may_take_over(instance, parts, "a run that never was")


def test_what_cannot_be_cancelled_now_is_told_and_left_to_the_reaper(
    box: Box, parts: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(_self: object, actor: Actor, *_arguments: object) -> None:
        run = instance.get_run_by_id(actor.run_id)
        assert run is not None
        instance.report_run_canceling(run)
        operation = parts.ledger.operations.begin("transfer:x:y", OperationKind.TRANSFER, KEY, {})
        parts.ledger.operations.take(operation.id, actor.run_id, actor.may_take_over)
        raise DagsterExecutionInterruptedError

    def unreachable(_self: object, _operation: object) -> None:
        raise ServiceUnreachable("Globus did not answer.", next_step="It is tried again by itself.")

    monkeypatch.setattr(TransferService, "ensure_replica", terminated)
    monkeypatch.setattr(Platform, "cancel", unreachable)
    resources = {"platform": PlatformResource(facility_file=str(box.facility_file))}
    result = dg.materialize([raw_on_data832], partition_key=KEY, instance=instance, resources=resources, raise_on_error=False)

    run = instance.get_run_by_id(result.run_id)
    assert run is not None and run.status is dg.DagsterRunStatus.CANCELED, "a failed run would be retried"
    told = [record.event_log_entry.user_message for record in instance.get_records_for_run(run.run_id).records]
    assert "Not cancelled yet: Globus did not answer. The sensor 'reaper' goes on with it." in told
    assert parts.ledger.operations.open_with("transfer:x:y") is not None, "the reaper finds it"


def _job() -> dg.JobDefinition:
    @dg.job
    def nothing() -> None: ...

    return nothing
