"""Reconciling and retiring in Dagster: what staff see at the assets of a scan, and what leaves the lists.

Here: one simulated facility for the module, with real files. Not here: the comparison itself (``tests/retention``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml

from als_assets.definitions import build_defs
from als_assets.defs.bl832.common import SCANS
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention import reconcile_job, retire_job
from als_assets.defs.retention.reconciling import CHECK, DARK, check_copies
from als_assets.errors import ServiceUnreachable
from als_assets.ledger import Manifest
from als_assets.ledger.datasets import NewDataset
from als_assets.platform import Platform, platform_of
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.config import load_config
from als_assets.simulator.server import Simulator
from tests.e2e.conftest import free_port

KEY = "scan_1"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = make_box(tmp_path_factory.mktemp("box"), Ports(free_port(), 2, 3))
    with Simulator(load_config(box.simulator_file)):
        yield box


@pytest.fixture(scope="module")
def parts(box: Box) -> Platform:
    """A scan whose raw file is at data832."""
    parts = platform_of(box.facility_file)
    parts.ledger.datasets.admit(NewDataset(KEY, "bl832", "f", "s.h5", "P", 3, None, True, "allowed", "spot832", "f/s.h5"))
    for root in (box.watched, box.data832_raw):
        (root / "f").mkdir(parents=True)
        (root / "f/s.h5").write_bytes(b"raw")
    row = parts.ledger.replicas.expect(KEY, "raw", "data832_raw", "f/s.h5")
    parts.ledger.replicas.verified(row.id, Manifest.single(3), why="a test", evidence={})
    return parts


@pytest.fixture
def resources(box: Box, parts: Platform) -> dict[str, PlatformResource]:
    return {"platform": PlatformResource(facility_file=str(box.facility_file))}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(SCANS.name), [KEY, "other"])
        yield instance


def last_check(instance: dg.DagsterInstance, asset: str, name: str) -> tuple[str, str | None, str]:
    """Status, partition and words of the newest evaluation."""
    [row] = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(dg.AssetKey(asset), name), limit=1)
    evaluation = row.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    return str(row.status.value), evaluation.partition, str(evaluation.description)


def test_all_is_well(resources: dict[str, PlatformResource], instance: dg.DagsterInstance) -> None:
    assert reconcile_job.execute_in_process(instance=instance, resources=resources).success
    assert last_check(instance, "deletion_plan", DARK) == ("SUCCEEDED", None, "Every file belongs to a scan on record.")
    assert not instance.fetch_observations(dg.AssetKey("raw_on_data832"), limit=5).records


def test_a_lost_copy_is_red_at_its_scan_with_the_sentence(
    box: Box, resources: dict[str, PlatformResource], instance: dg.DagsterInstance
) -> None:
    file = box.data832_raw / "f/s.h5"
    file.unlink()
    assert reconcile_job.execute_in_process(instance=instance, resources=resources).success
    status, partition, words = last_check(instance, "raw_on_data832", CHECK)
    assert (status, partition) == ("FAILED", KEY) and "on record as verified, but nothing is there" in words
    assert "als scan show scan_1" in words
    [observation] = instance.fetch_observations(dg.AssetKey("raw_on_data832"), limit=5).records
    assert observation.partition_key == KEY
    assert reconcile_job.execute_in_process(instance=instance, resources=resources).success, "found again a week later"
    file.write_bytes(b"raw")
    assert reconcile_job.execute_in_process(instance=instance, resources=resources).success
    assert last_check(instance, "raw_on_data832", CHECK) == ("SUCCEEDED", KEY, "Files and sizes are as proven."), (
        "no red outlives its reason"
    )


def test_a_dark_file_is_told_without_a_partition_and_left_alone(
    box: Box, resources: dict[str, PlatformResource], instance: dg.DagsterInstance
) -> None:
    dark = box.data832_raw / "f/leftover.h5"
    dark.write_bytes(b"whose?")
    assert reconcile_job.execute_in_process(instance=instance, resources=resources).success
    status, partition, words = last_check(instance, "deletion_plan", DARK)
    assert (status, partition, words) == ("FAILED", None, "1 file(s) do not belong to any scan on record.")
    assert dark.exists(), "nothing is repaired by itself"
    dark.unlink()


def test_one_scan_can_be_checked_on_demand(box: Box, parts: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    file = box.data832_raw / "f/s.h5"
    assert check_copies(parts, KEY, "raw_on_data832").passed
    file.write_bytes(b"")
    empty = check_copies(parts, KEY, "raw_on_data832")
    assert not empty.passed and "0 bytes instead of 3" in str(empty.description)
    file.write_bytes(b"raw")
    assert check_copies(parts, KEY, "raw_on_nersc").description == "No copy is on record as verified here."

    def down(_copy: object) -> None:
        raise ServiceUnreachable("The site is down.", next_step="Wait.")

    monkeypatch.setattr(parts.transfers, "listing", down)
    unseen = check_copies(parts, KEY, "raw_on_data832")
    assert not unseen.passed and "could not be looked at: The site is down." in str(unseen.description)


def test_the_checks_are_by_scan_and_no_steps_of_a_scans_run(box: Box) -> None:
    defs = build_defs(box.facility_file)
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.asset_check_keys} >= {f"raw_on_data832:{CHECK}", f"deletion_plan:{DARK}"}
    assert not [node.name for node in defs.resolve_job_def("bl832_scan").nodes if CHECK in node.name]


class TestRetiring:
    def keys(self, instance: dg.DagsterInstance) -> set[str]:
        return set(instance.get_dynamic_partitions(str(SCANS.name)))

    def test_a_young_scan_stays(self, parts: Platform, resources: dict[str, PlatformResource], instance: dg.DagsterInstance) -> None:
        assert retire_job.execute_in_process(instance=instance, resources=resources).success
        assert self.keys(instance) == {KEY, "other"}

    def test_an_old_one_leaves_lists_and_runs_and_is_still_found(
        self,
        box: Box,
        parts: Platform,
        resources: dict[str, PlatformResource],
        instance: dg.DagsterInstance,
    ) -> None:
        run = instance.create_run_for_job(noop, tags={"dagster/partition": KEY}, status=dg.DagsterRunStatus.SUCCESS)
        other = instance.create_run_for_job(noop, tags={"dagster/partition": "other"}, status=dg.DagsterRunStatus.SUCCESS)
        document = yaml.safe_load(box.settings_file.read_text())
        box.settings_file.write_text(yaml.safe_dump({**document, "retention": {"retire_after_days": 0}}))
        assert retire_job.execute_in_process(instance=instance, resources=resources).success
        assert self.keys(instance) == {"other"}
        assert instance.get_run_by_id(run.run_id) is None and instance.get_run_by_id(other.run_id) is not None
        assert [d.key for d in parts.ledger.datasets.list()] == [] and parts.ledger.datasets.get(KEY).retired_at is not None
        assert [d.key for d in parts.ledger.datasets.list(retired=True)] == [KEY]
        assert parts.ledger.audit.of(KEY)[0].after == "retired"

    def test_one_that_somebody_brought_back_stays(
        self, parts: Platform, resources: dict[str, PlatformResource], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Retired above; much later the key is added to the partitions by hand."""
        monkeypatch.setattr(parts.ledger, "clock", lambda: datetime.now(UTC) + timedelta(days=400))
        assert retire_job.execute_in_process(instance=instance, resources=resources).success
        assert self.keys(instance) == {KEY, "other"}


@dg.job
def noop() -> None:
    """Stands for a scan's run."""
