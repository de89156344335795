"""Transfers as steps of Dagster: a resting collection means another try, not a red step; slots are pools; identities have a health.

Here: real steps and processes against the simulator. Not here: what a step tells of other errors (``tests/defs``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from doomed import Zygote
from facility_in_a_box import NERSC_RAW, RAW, Bench, platform_of

from als_assets.defs import steps
from als_assets.defs.attribution import WHO
from als_assets.defs.bl832 import common
from als_assets.defs.bl832.common import SCANS
from als_assets.defs.bl832.raw import raw_on_data832, raw_on_nersc
from als_assets.defs.bl832.reconstruction import recon_on_data832
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention import prune_copies
from als_assets.errors import CollectionResting, CredentialsRejected
from als_assets.ledger import OperationState, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.simulator.config import GlobusConfig
from als_assets.transfer.breaker import Breaker


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _run(bench: Bench, instance: dg.DagsterInstance, key: str, **tags: str) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(str(SCANS.name), [key])
    resources = {"platform": PlatformResource(facility_file=str(bench.box.facility_file))}
    return dg.materialize([raw_on_data832], partition_key=key, instance=instance, resources=resources, raise_on_error=False, tags=tags)


def test_a_resting_collection_is_tried_again_by_itself(bench: Bench, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, asked = bench.admit(), []

    def rests_twice(*_arguments: object) -> None:
        asked.append(1)
        if len(asked) <= 2:
            raise CollectionResting("data832 rests.", next_step="Nothing to do: it is tried again.", retry_s=0.05)

    monkeypatch.setattr(Breaker, "require", rests_twice)

    result = _run(bench, instance, scan.key)

    assert result.success
    kinds = [event.event_type_value for event in result.all_events]
    assert kinds.count("STEP_UP_FOR_RETRY") == 2 and "STEP_FAILURE" not in kinds
    words = [r.asset_observation.description for r in instance.fetch_observations(dg.AssetKey("raw_on_data832"), limit=5).records]
    assert words == ["data832 rests. Nothing to do: it is tried again."] * 2
    assert bench.newest(scan).attempt == 1 and len(bench.tasks(scan)) == 1


@pytest.mark.parametrize(("tags", "who"), [({WHO: "ada"}, "ada (run "), ({}, "als-assets")])
def test_the_person_who_launched_the_run_signs_every_change(
    bench: Bench, instance: dg.DagsterInstance, tags: dict[str, str], who: str
) -> None:
    scan = bench.admit()
    assert _run(bench, instance, scan.key, **tags).success
    rows = [row for row in bench.ledger.audit.of(scan.key) if "data832_raw" in row.subject]
    assert {row.after for row in rows} >= {"intent", "submitted", "succeeded", "copying", "verified"}
    assert all(row.who.startswith(who) for row in rows)


def test_a_collection_that_rests_too_long_is_red_and_its_intent_is_kept(
    bench: Bench, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = bench.admit()

    def rests(*_arguments: object) -> None:
        raise CollectionResting("data832 rests.", next_step="Nothing to do.", retry_s=0.01)

    monkeypatch.setattr(Breaker, "require", rests)
    monkeypatch.setattr(steps, "RESTING_RETRIES", 1)

    assert not _run(bench, instance, scan.key).success

    assert bench.newest(scan).state is OperationState.INTENT
    monkeypatch.undo()
    bench.copy(scan, RAW, Actor("the next run", lambda _run: True, bench.actor().wait))
    assert len(bench.tasks(scan)) == 1 and bench.newest(scan).attempt == 1


def test_slots_are_pools_with_the_limit_of_a_globus_identity() -> None:
    limit = yaml.safe_load((Path(__file__).parents[2] / "dagster.yaml").read_text())["concurrency"]["pools"]["default_limit"]
    assert limit == GlobusConfig.model_fields["task_slots"].default == 3
    for asset in (raw_on_data832, raw_on_nersc, recon_on_data832):
        assert asset.op.pool == common.GLOBUS_POOL
    assert prune_copies.pool == common.PRUNER_POOL != common.GLOBUS_POOL


def test_eight_processes_copy_at_once_each_with_a_token_of_its_own_and_none_on_disk(bench: Bench, zygote: Zygote) -> None:
    scans = [bench.admit(content=os.urandom(2000)) for _ in range(8)]
    before = len(bench.control.requests("POST", "/v2/oauth2/token"))
    there = set(bench.box.root.parent.rglob("*token*"))

    pids = [zygote.start("copy", key=scan.key, location=RAW) for scan in scans]
    codes = [zygote.wait(pid) for pid in pids]

    assert codes == [0] * 8
    assert all(bench.state(scan, RAW) is ReplicaState.VERIFIED and len(bench.tasks(scan)) == 1 for scan in scans)
    assert len(bench.control.requests("POST", "/v2/oauth2/token")) - before == 8
    assert set(bench.box.root.parent.rglob("*token*")) == there


def test_a_rejected_identity_is_on_record_until_it_works_again(bench: Bench) -> None:
    """Health is read from the record: by the board too, which makes no request."""
    bench.copy(bench.admit(), RAW)
    assert bench.platform.transfers.identities()[0].ok
    scans = [bench.admit(), bench.admit()]
    file = bench.box.root / "secrets" / "globus-mover"
    right = file.read_text()
    file.write_text("a-wrong-secret")
    platform = platform_of(bench.box)
    for scan in scans:
        with pytest.raises(CredentialsRejected):
            platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, scan.raw_path)
    platform.ledger.close()
    file.write_text(right)

    red = bench.platform.transfers.identities()[0]

    assert (red.identity, red.ok, red.waiting) == ("mover", False, 2)
    assert "refused the credentials of the identity 'mover'" in red.sentence and str(file) in red.next_step
    assert red.since is not None and red.since <= bench.ledger.clock()
    for scan in scans:
        bench.assert_arrives(scan, tasks=1)
    assert bench.platform.transfers.identities()[0].ok
    bench.copy(scans[0], NERSC_RAW)
