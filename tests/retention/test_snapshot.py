"""What a plan is made from: the record at one moment, and which products could be made again.

Here: reading the record. Not here: the plan (``test_plan``).
"""

from __future__ import annotations

from typing import Any

import pytest
from retention_kit import Store

from als_assets.ledger import Manifest, OperationKind, Replica, ReplicaState
from als_assets.retention import snapshot_of

S = ReplicaState
IMAGE = {"image": f"ghcr.io/als-computing/microct@sha256:{'0' * 64}"}
TIFF, ZARR = ("sand", "recon_tiff", ""), ("sand", "recon_zarr", "")


def made(store: Store, product: str, **evidence: Any) -> Replica:
    row = store.ledger.replicas.expect("sand", product, "far_scratch", f"rec/{product}")
    return store.ledger.replicas.verified(row.id, Manifest.single(1), why="made", evidence=evidence)


class TestRecipes:
    """Parameters, and the image by digest."""

    def test_known(self, store: Store) -> None:
        store.scan()
        made(store, "recon_tiff", parameters='{"center": 1}', report=IMAGE)
        assert snapshot_of(store.ledger).recipes == {TIFF}

    @pytest.mark.parametrize(
        "evidence",
        [
            {},
            {"parameters": "{}"},
            {"report": IMAGE},
            {"parameters": "{}", "report": {}},
            {"parameters": "{}", "report": {"image": ""}},
            {"parameters": "{}", "report": {"image": "microct:latest"}},
            {"parameters": "", "report": IMAGE},
        ],
    )
    def test_not_known(self, store: Store, evidence: dict[str, Any]) -> None:
        store.scan()
        made(store, "recon_tiff", **evidence)
        assert snapshot_of(store.ledger).recipes == frozenset()

    def test_what_was_made_from_another_needs_its_recipe(self, store: Store) -> None:
        store.scan()
        made(store, "recon_zarr", parameters="", report=IMAGE)
        assert snapshot_of(store.ledger).recipes == frozenset()
        made(store, "recon_tiff", parameters="{}", report=IMAGE)
        assert snapshot_of(store.ledger).recipes == {TIFF, ZARR}

    def test_it_outlives_the_copy_that_tells_it(self, store: Store, proof: Replica) -> None:
        """Deleted with evidence, the copy still says how it was made."""
        folder = store.path("far_scratch", "rec/recon_tiff")
        folder.parent.mkdir(parents=True)
        folder.write_bytes(b"v")
        made(store, "recon_tiff", parameters="{}", report=IMAGE)
        store.clock.turn(days=20)
        store.renew(proof)
        store.prune_through()
        assert store.ledger.replicas.of("sand", product="recon_tiff")[0].state is S.DELETED
        assert snapshot_of(store.ledger).recipes == {TIFF}


def test_only_what_is_there_and_what_is_known_of_it(store: Store, due: Replica) -> None:
    store.ledger.replicas.expect("sand", "recon_zarr", "data_scratch", "x")
    store.ledger.replicas.announce_pruning(due.id, "x")
    copies = {c.location: c for c in snapshot_of(store.ledger).copies}
    assert set(copies) == {"spot", "far_raw", "data_scratch"}
    announced = copies["data_scratch"]
    assert announced.announced_at == store.clock() and announced.size_bytes == 17
    assert announced.since == due.changed_at and copies["far_raw"].proven_at > copies["far_raw"].since


def test_of_one_scan(store: Store, due: Replica) -> None:
    store.scan("clay", b"clay")
    assert {c.dataset_key for c in snapshot_of(store.ledger, dataset_key="clay").copies} == {"clay"}
    assert set(snapshot_of(store.ledger).scans) == {"sand", "clay"}


def test_a_raw_copy_that_went_is_remembered(store: Store, due: Replica) -> None:
    assert snapshot_of(store.ledger).raw_gone == frozenset()
    store.prune_through()
    assert snapshot_of(store.ledger).raw_gone == {"sand"}


def test_a_suspect_raw_copy_is_told(store: Store, due: Replica) -> None:
    assert snapshot_of(store.ledger).disputed == {}
    store.ledger.replicas.move(due.id, S.SUSPECT, why="a test")
    assert snapshot_of(store.ledger).disputed == {"sand": "data_scratch"}


def test_what_uses_a_scan(store: Store, due: Replica) -> None:
    """Transfers and jobs do; retention's own deletions and proofs do not, or one that was cut off would stop all others."""
    store.ledger.operations.begin("delete:x", OperationKind.DELETE, "sand", {})
    store.ledger.operations.begin("prove:x", OperationKind.TRANSFER, "sand", {})
    assert snapshot_of(store.ledger).busy == {}
    store.ledger.operations.begin("transfer:x", OperationKind.TRANSFER, "sand", {})
    assert snapshot_of(store.ledger).busy == {"sand": "transfer:x"}


def test_holds_that_were_not_released(store: Store, due: Replica) -> None:
    hold = store.ledger.holds.place(who="ada", reason="paper", proposal="ALS-00847")
    assert [h.who for h in snapshot_of(store.ledger).holds] == ["ada"]
    store.ledger.holds.release(hold.id, who="ada", reason="done")
    assert snapshot_of(store.ledger).holds == []
