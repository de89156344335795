"""Which scans are retired, what is said of each copy, and free space.

Here: the record and the policy. Not here: taking scans out of Dagster (``tests/defs``).
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from retention_kit import SCRATCH, Store

from als_assets.errors import DatasetUnknown
from als_assets.ledger import OperationKind, OperationState, Replica, ReplicaState
from als_assets.retention import explained, snapshot_of
from als_assets.retention.retire import retired_since, to_retire
from als_assets.retention.space import mounted_space

S = ReplicaState


def keys(store: Store) -> list[str]:
    return to_retire(store.facility, SCRATCH, store.ledger, "bl832", store.clock())


@pytest.fixture
def old(store: Store) -> Store:
    """A scan of 181 days ago without anything in scratch."""
    store.scan()
    store.copy("far_raw")
    store.clock.turn(days=181)
    return store


class TestWhich:
    def test_an_old_one_with_nothing_left_to_delete(self, old: Store) -> None:
        assert keys(old) == ["sand"]

    def test_not_a_day_early(self, store: Store) -> None:
        store.scan()
        store.clock.turn(days=180)
        assert keys(store) == []

    @pytest.mark.parametrize("state", [s for s in S if s not in (S.DELETED, S.LOST)])
    def test_not_while_something_is_in_a_place_with_a_rule(self, old: Store, state: ReplicaState) -> None:
        row = old.ledger.replicas.expect("sand", "recon_tiff", "data_scratch", "recsand")
        path = {S.EXPECTED: [], S.COPYING: [S.COPYING], S.VERIFIED: [S.VERIFIED]}
        path |= {S.SUSPECT: [S.VERIFIED, S.SUSPECT], S.DELETING: [S.VERIFIED, S.DELETING]}
        for step in path[state]:
            old.ledger.replicas.move(row.id, step, why="a test")
        assert keys(old) == []

    def test_when_the_last_of_it_was_deleted(self, old: Store) -> None:
        row = old.ledger.replicas.expect("sand", "recon_tiff", "data_scratch", "recsand")
        for step in (S.VERIFIED, S.DELETING, S.DELETED):
            old.ledger.replicas.move(row.id, step, why="a test")
        assert keys(old) == ["sand"]

    def test_not_while_work_is_going_on(self, old: Store) -> None:
        operation = old.ledger.operations.begin("job:x", OperationKind.JOB, "sand", {})
        assert keys(old) == []
        old.ledger.operations.finish(operation, OperationState.CANCELLED, why="x", outcome={})
        assert keys(old) == ["sand"]

    def test_of_another_beamline_none(self, old: Store) -> None:
        assert to_retire(old.facility, SCRATCH, old.ledger, "bl733", old.clock()) == []


class TestRetired:
    def test_once_and_on_record(self, old: Store) -> None:
        old.ledger.datasets.retire("sand", why="a test")
        first = old.ledger.datasets.get("sand").retired_at
        old.clock.turn(days=1)
        old.ledger.datasets.retire("sand", why="again")
        assert old.ledger.datasets.get("sand").retired_at == first and keys(old) == []
        assert [(a.after, a.why) for a in old.ledger.audit.of("sand") if a.after == "retired"] == [("retired", "a test")]

    def test_it_leaves_the_list_and_is_found_and_its_file_stays_known(self, old: Store) -> None:
        old.ledger.datasets.retire("sand", why="a test")
        assert list(old.ledger.datasets.list()) == [] and [d.key for d in old.ledger.datasets.list(retired=True)] == ["sand"]
        assert old.ledger.datasets.files("bl832") == {("dla-00847_doe", "sand.h5")}, "it is never admitted a second time"

    def test_since_when(self, old: Store) -> None:
        old.ledger.datasets.retire("sand", why="a test")
        assert retired_since(old.ledger, "bl832", old.clock() - timedelta(days=1)) == ["sand"]
        assert retired_since(old.ledger, "bl832", old.clock() + timedelta(days=1)) == []

    def test_an_unknown_one(self, store: Store) -> None:
        with pytest.raises(DatasetUnknown):
            store.ledger.datasets.retire("nobody", why="a test")


class TestExplained:
    def words(self, store: Store) -> list[str]:
        snapshot = snapshot_of(store.ledger, dataset_key="sand")
        return list(explained(store.facility, SCRATCH, store.ledger, snapshot, "sand", store.clock()))

    def test_every_copy_has_its_sentence(self, store: Store, due: Replica) -> None:
        stack = store.stack("far_scratch")
        store.ledger.replicas.expect("sand", "recon_zarr", "data_scratch", "recsand.zarr")
        spot, far, scratch, slices, zarr = self.words(store)
        assert spot == "raw at spot: kept: there is no rule for class acquisition"
        assert far == "raw at far_raw: kept: there is no rule for class staging"
        assert scratch == "raw at data_scratch: goes from 2026-03-16 12:00 UTC on (14 days at a scratch location; copies at far_raw)"
        assert slices.startswith("recon_tiff at far_scratch: kept: 0 verified copies at other sites")
        assert zarr == "recon_zarr at data_scratch: is expected; only verified copies are ever planned for deletion"
        assert store.state(stack) is S.VERIFIED

    def test_announced_and_stale(self, store: Store, due: Replica) -> None:
        store.prune()
        assert ", announced on 2026-03-16 12:00" in self.words(store)[2]
        store.clock.turn(days=8)
        assert "limit 7; prune proves it again first, then it goes" in self.words(store)[2]


def test_free_space_is_known_where_the_disk_is_seen(store: Store) -> None:
    free = mounted_space(store.facility)
    assert set(free) == {"spot", "data_raw", "data_scratch", "far_raw", "far_scratch"} and all(n > 0 for n in free.values())


def test_a_disk_that_is_not_mounted_now_is_not_called_full(store: Store) -> None:
    place = store.facility.location("spot").model_copy(update={"root": store.facility.location("spot").root / "nothing/here"})
    facility = store.facility.model_copy(update={"locations": {"spot": place}})
    assert mounted_space(facility) == {}
