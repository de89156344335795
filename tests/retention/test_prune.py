"""Going through with the plan: announced, waited for, looked at again, deleted with evidence - or blocked, and nothing is deleted.

Here: real bytes in real folders, and a clock that is turned. Not here: what is due (``test_plan``).
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from retention_kit import AT_ONCE, NO_GRACE, ONE, SCRATCH, Store

from als_assets.errors import PruneBlocked
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RetentionRule
from als_assets.ledger import OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.retention import current_plan
from als_assets.transfer import FreshProof

S = ReplicaState


class TestPhases:
    def test_announced_waiting_deleted(self, store: Store, due: Replica, proof: Replica) -> None:
        (announced,) = store.prune()
        assert (announced.outcome, announced.location, announced.what) == ("announced", "data_scratch", "raw")
        assert store.ledger.replicas.get(due.id).prune_announced_at == store.clock()
        assert store.ledger.audit.of("sand")[0].after == "pruning announced"
        store.clock.turn(hours=23, minutes=59)
        (waiting,) = store.prune()
        assert waiting.outcome == "waiting" and waiting.words == "goes on 2026-03-17 12:00 UTC"
        assert store.where(due).exists() and store.mover.deleted == []
        store.clock.turn(minutes=1)
        (deleted,) = store.prune()
        assert deleted.outcome == "deleted" and deleted.words == "pruned on 2026-03-17; 1 copy remains at far_raw"
        assert not store.where(due).exists() and store.where(proof).read_bytes() == b"raw bytes of sand"
        assert store.prune() == []

    def test_the_evidence_stays_on_record(self, store: Store, due: Replica, proof: Replica) -> None:
        store.prune_through()
        row = store.ledger.replicas.get(due.id)
        assert row.state is S.DELETED and row.size_bytes == 17
        times = {"looked_at": store.clock().isoformat(), "checksum_proven_at": store.clock().isoformat()}
        how = {"how": "SHA-256 of every file read afresh", "sha256": proof.sha256}
        copies = [{"product": "raw", "location": "far_raw", "path": proof.path, **times, **how}]
        why = "14 days at a scratch location; copies at far_raw"
        assert row.evidence["copies"] == copies and row.evidence["proof"] == {"copies": copies, "why": why}
        assert row.evidence["how"] == "a test", "how the copy was proven once is not forgotten"
        operation = next(o for o in store.ledger.operations.of("sand"))
        assert row.evidence["deleted_by"] == operation.key and operation.state is OperationState.SUCCEEDED
        assert operation.request["proof"] == {"copies": copies, "why": why}, "the proof was on record before the first request"
        words = [(a.before, a.after) for a in reversed(store.ledger.audit.of("sand")) if a.subject == row.name]
        assert words[-3:] == [(None, "pruning announced"), (S.VERIFIED, S.DELETING), (S.DELETING, S.DELETED)]

    def test_without_grace_it_goes_in_one_round(self, store: Store, due: Replica) -> None:
        assert [p.outcome for p in store.prune(NO_GRACE)] == ["deleted"]
        assert store.state(due) is S.DELETED

    def test_a_folder_goes_whole_and_its_neighbours_stay(self, store: Store, proof: Replica) -> None:
        stack, brought_back = store.stack("far_scratch"), store.stack("data_scratch")
        neighbour = store.where(stack).with_name("recsand2")
        neighbour.mkdir()
        store.clock.turn(days=14)
        store.renew(stack, brought_back)
        assert sorted(p.outcome for p in store.prune(NO_GRACE)) == ["blocked", "deleted"], "either, but not both"
        left = [r for r in (stack, brought_back) if store.where(r).exists()]
        assert len(left) == 1 and neighbour.exists() and len(list(store.where(left[0]).iterdir())) == 3

    def test_wanted_again_after_it_was_pruned(self, store: Store, due: Replica) -> None:
        store.prune(NO_GRACE)
        assert store.ledger.replicas.expect("sand", "raw", "data_scratch", due.path).state is S.EXPECTED
        assert store.prune(NO_GRACE) == []

    def test_a_change_between_the_phases_withdraws_the_announcement(self, store: Store, due: Replica) -> None:
        store.prune()
        stricter = SCRATCH.model_copy(update={"rules": {LocationClass.SCRATCH: RetentionRule(min_age_days=60, raw=ONE)}})
        store.clock.turn(days=1)
        assert store.prune(stricter) == [] and store.where(due).exists()


class TestDryRun:
    def test_it_writes_and_deletes_nothing(self, store: Store, due: Replica) -> None:
        before = len(store.ledger.audit.of("sand"))
        assert [p.outcome for p in store.prune(dry_run=True)] == ["would announce"]
        assert store.ledger.replicas.get(due.id).prune_announced_at is None
        assert [p.outcome for p in store.prune(NO_GRACE, dry_run=True)] == ["would delete"]
        assert store.where(due).exists() and store.state(due) is S.VERIFIED
        assert len(store.ledger.audit.of("sand")) == before and store.mover.deleted == []

    def test_it_does_not_carry_on_a_deletion(self, store: Store, due: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="due", evidence={"copies": [{"location": "far_raw"}]})
        assert store.prune(NO_GRACE, dry_run=True) == [] and store.where(due).exists()


SPOILT: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "a zero-byte namesake": lambda path: path.write_bytes(b""),
    "shorter": lambda path: path.write_bytes(b"raw bytes"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "of the same size with one flipped bit": lambda path: path.write_bytes(b"raw bytes of sanf"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


class TestProof:
    """What was proven is looked at once more, immediately before."""

    @pytest.mark.parametrize("fault", SPOILT)
    def test_a_spoilt_proof_copy_blocks(self, store: Store, due: Replica, proof: Replica, fault: str) -> None:
        store.prune()
        store.clock.turn(days=1)
        SPOILT[fault](store.where(proof))
        (blocked,) = store.prune()
        assert blocked.outcome == "blocked" and blocked.words == (
            "The copy of sand at far_raw did not hold when it was looked at again; nothing was deleted. "
            "Look at that copy: als scan show sand"
        )
        assert store.where(due).read_bytes() == b"raw bytes of sand" and store.state(due) is S.VERIFIED
        assert store.state(proof) is S.SUSPECT and store.mover.deleted == [] and not store.ledger.operations.open_ones()
        assert "looked again" in store.ledger.audit.of("sand")[0].why
        (line,) = current_plan(store.facility, SCRATCH, store.ledger)
        words = "kept: the raw copy at far_raw is suspect; until it is known which copy is right, none goes"
        assert line.kept_because == f"{words} (als copy prove sand --at far_raw)"

    def test_a_link_in_place_of_the_proof_copy_blocks(self, store: Store, due: Replica, proof: Replica) -> None:
        store.where(proof).unlink()
        store.where(proof).symlink_to(store.where(due))
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and "neither a plain file nor a folder" in blocked.words
        assert store.where(due).exists()

    def test_a_proof_copy_that_cannot_be_read_blocks(
        self, store: Store, due: Replica, proof: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_path: Path) -> str:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(sys.modules["als_assets.transfer.looking"], "sha256_of", broken)
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "blocked" and "cannot be read (Input/output error)" in blocked.words
        assert store.where(due).exists() and store.state(proof) is S.VERIFIED

    def test_a_stack_with_a_missing_slice_blocks(self, store: Store, proof: Replica) -> None:
        stack, brought_back = store.stack("far_scratch"), store.stack("data_scratch")
        store.clock.turn(days=14)
        store.renew(brought_back)
        next(store.where(brought_back).iterdir()).unlink()
        assert {p.outcome for p in store.prune(NO_GRACE)} == {"blocked"}
        assert store.where(stack).exists() and store.state(brought_back) is S.SUSPECT

    def test_two_copies_that_prove_each_other_never_both_go(self, store: Store) -> None:
        store.scan()
        pair = [store.stack("data_scratch"), store.stack("far_scratch")]
        assert sorted(p.outcome for p in store.prune(AT_ONCE)) == ["blocked", "deleted"]
        assert [store.where(r).exists() for r in pair] == [False, True]

    def test_a_proof_that_is_still_going_on_does_not_take_a_claim_back(self, store: Store, proof: Replica) -> None:
        """Claimed for deletion while its checksums were being read: it stays claimed."""
        store.ledger.replicas.move(proof.id, S.DELETING, why="the other prune")
        with pytest.raises(PruneBlocked, match="is being deleted"):
            store.renew(proof)
        assert store.state(proof) is S.DELETING

    def test_what_another_prune_has_begun_to_delete_is_no_proof(
        self, store: Store, due: Replica, proof: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at the proof copy and the deletion another process claims that copy."""
        prove_again = store.transfers.prove_again

        def prove_and_lose(actor: Actor, copy: Replica, days: float) -> FreshProof:
            fresh = prove_again(actor, copy, days)
            store.ledger.replicas.move(copy.id, S.DELETING, why="the other prune")
            return fresh

        monkeypatch.setattr(store.transfers, "prove_again", prove_and_lose)
        (blocked,) = store.prune(NO_GRACE)
        assert "raw of sand at far_raw is deleting and proves nothing any more; nothing was deleted" in blocked.words
        assert store.where(due).exists() and store.state(due) is S.VERIFIED

    def test_one_blocked_copy_does_not_stop_the_others(self, store: Store, due: Replica, proof: Replica) -> None:
        store.scan("clay", b"clay")
        other_proof = store.copy("far_raw", key="clay", content=b"clay")
        other = store.copy("data_scratch", key="clay", content=b"clay")
        store.clock.turn(days=14)
        store.renew(proof, other_proof)
        store.where(proof).unlink()
        assert {(p.dataset_key, p.outcome) for p in store.prune(NO_GRACE)} == {("sand", "blocked"), ("clay", "deleted")}
        assert store.where(due).exists() and not store.where(other).exists()


class TestHolds:
    """A hold always wins, whenever it is placed."""

    @pytest.mark.parametrize("of", [{"dataset_key": "sand"}, {"proposal": "ALS-00847"}])
    def test_placed_after_the_announcement(self, store: Store, due: Replica, of: dict[str, str]) -> None:
        store.prune()
        hold = store.ledger.holds.place(who="ada", reason="paper", **of)
        store.clock.turn(days=2)
        assert store.prune() == [] and store.where(due).exists()
        store.ledger.holds.release(hold.id, who="ada", reason="published")
        assert [p.outcome for p in store.prune()] == ["deleted"]

    def test_an_expired_one_keeps_nothing(self, store: Store, due: Replica) -> None:
        store.ledger.holds.place(who="ada", reason="paper", dataset_key="sand", until=store.clock() + timedelta(hours=2))
        assert store.prune(NO_GRACE) == []
        store.clock.turn(hours=2)
        assert [p.outcome for p in store.prune(NO_GRACE)] == ["deleted"]

    def test_placed_while_the_proofs_are_looked_at(
        self, store: Store, due: Replica, proof: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the first question whether anybody holds it, and before the copy is claimed."""
        prove_again = store.transfers.prove_again

        def prove_slowly(actor: Actor, copy: Replica, days: float) -> FreshProof:
            store.ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
            return prove_again(actor, copy, days)

        monkeypatch.setattr(store.transfers, "prove_again", prove_slowly)
        (kept,) = store.prune(NO_GRACE)
        assert kept.outcome == "called off" and "ada holds sand (paper); nothing was deleted" in kept.words
        assert store.where(due).exists() and store.state(due) is S.VERIFIED and store.mover.deleted == []

    def test_placed_after_a_deletion_was_cut_off_before_it_began(self, store: Store, due: Replica) -> None:
        store.ledger.replicas.move(due.id, S.DELETING, why="due", evidence={"copies": [{"location": "far_raw"}]})
        store.ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
        (blocked,) = store.prune(NO_GRACE)
        assert blocked.outcome == "called off" and "ada holds sand (paper); nothing was deleted" in blocked.words
        assert store.where(due).exists() and store.state(due) is S.VERIFIED
