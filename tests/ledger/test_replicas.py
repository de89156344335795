"""Copies on record: expected once, proven with evidence, announced before they go, and found again.

Here: rows and their evidence. Not here: the table of states (``test_states``).
"""

from __future__ import annotations

import pytest
from ledger_kit import Clock, new_scan

from als_assets.errors import CopyMismatch, LedgerError, PruneBlocked
from als_assets.ledger import Dataset, Entry, Ledger, Manifest, Replica, ReplicaState

S = ReplicaState
SUM = "a" * 64


def prove(ledger: Ledger, replica: Replica, size_bytes: int = 5, sha256: str | None = None) -> Replica:
    return ledger.replicas.verified(replica.id, Manifest.single(size_bytes), why="proven", evidence={"how": "looked"}, sha256=sha256)


def test_a_place_has_one_row(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    again = ledger.replicas.expect("sand", "raw", "far_raw", sand.raw_path)
    assert again.id == copy.id and again.state is S.EXPECTED
    assert [r.location for r in ledger.replicas.of("sand")] == ["spot", "far_raw"]


@pytest.mark.parametrize("gone", [S.DELETED, S.LOST])
def test_what_is_gone_is_expected_again(ledger: Ledger, sand: Dataset, copy: Replica, gone: ReplicaState) -> None:
    prove(ledger, copy)
    for state in (S.DELETING, S.DELETED) if gone is S.DELETED else (S.SUSPECT, S.LOST):
        ledger.replicas.move(copy.id, state, why="it went")
    assert ledger.replicas.expect("sand", "raw", "far_raw", sand.raw_path).state is S.EXPECTED
    assert ledger.audit.of("sand")[0].why == "it is wanted again"


def test_a_verified_one_stays_verified_when_expected(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    prove(ledger, copy)
    assert ledger.replicas.expect("sand", "raw", "far_raw", sand.raw_path).state is S.VERIFIED


def test_a_proof_stores_manifest_sum_evidence_and_time(ledger: Ledger, copy: Replica, clock: Clock) -> None:
    files = Manifest.of([Entry("a.tiff", 3), Entry("b.tiff", 4)])
    clock.turn(hours=1)
    ledger.replicas.verified(copy.id, files, why="proven", evidence={"task": "t1"}, sha256=SUM)
    row = ledger.replicas.get(copy.id)
    assert (row.state, row.files, row.size_bytes, row.sha256) == (S.VERIFIED, 2, 7, SUM)
    assert row.manifest == files and row.evidence == {"task": "t1"} and row.verified_at == clock()
    assert row.verified_at is not None and row.verified_at.tzinfo is not None


def test_repeating_a_proof_renews_its_time_and_keeps_a_known_sum(ledger: Ledger, copy: Replica, clock: Clock) -> None:
    prove(ledger, copy, sha256=SUM)
    rows = len(ledger.audit.of("sand"))
    clock.turn(days=3)
    again = prove(ledger, copy)
    assert again.verified_at == clock() and again.sha256 == SUM
    renewed = ledger.audit.of("sand")[0]
    assert len(ledger.audit.of("sand")) == rows + 1 and (renewed.before, renewed.after) == (S.VERIFIED, S.VERIFIED)


def test_a_raw_file_has_one_sum_whatever_became_of_the_copy_it_was_taken_of(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    prove(ledger, copy, sha256=SUM)
    ledger.replicas.move(copy.id, S.SUSPECT, why="looked again")
    other = ledger.replicas.expect("sand", "raw", "near_raw", sand.raw_path)
    rows = len(ledger.audit.of("sand"))

    with pytest.raises(CopyMismatch, match="another SHA-256 than the one that is on record") as caught:
        prove(ledger, other, sha256="b" * 64)

    assert (caught.value.details["expected"], caught.value.details["found"]) == (SUM, "b" * 64)
    assert ledger.replicas.get(other.id).state is S.EXPECTED and len(ledger.audit.of("sand")) == rows
    assert ledger.replicas.raw_sha256("sand") == SUM and ledger.replicas.raw_sha256("nobody") is None
    assert prove(ledger, other, sha256=SUM).state is S.VERIFIED


def test_what_is_not_raw_may_be_made_anew_with_other_bytes(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    prove(ledger, copy, sha256=SUM)
    picture = ledger.replicas.expect("sand", "preview", "far_raw", "picture.png")
    assert prove(ledger, picture, sha256="b" * 64).sha256 == "b" * 64
    assert prove(ledger, picture, sha256="c" * 64).sha256 == "c" * 64


def test_evidence_of_the_last_state_is_kept(ledger: Ledger, copy: Replica) -> None:
    prove(ledger, copy)
    ledger.replicas.move(copy.id, S.SUSPECT, why="looked again: it has 0 bytes")
    assert ledger.replicas.get(copy.id).evidence == {"how": "looked"}
    ledger.replicas.move(copy.id, S.VERIFIED, why="looked again", evidence={"ignored": "the proof wrote its own"})
    assert ledger.replicas.get(copy.id).evidence == {"how": "looked"}
    ledger.replicas.move(copy.id, S.DELETING, why="due", evidence={"copies": []})
    assert ledger.replicas.get(copy.id).evidence == {"copies": []}


def test_an_announcement_is_seen_and_forgotten_when_the_state_changes(ledger: Ledger, copy: Replica, clock: Clock) -> None:
    prove(ledger, copy)
    clock.turn(days=1)
    ledger.replicas.announce_pruning(copy.id, "due by policy")
    assert ledger.replicas.get(copy.id).prune_announced_at == clock()
    assert (ledger.audit.of("sand")[0].after, ledger.audit.of("sand")[0].why) == ("pruning announced", "due by policy")
    ledger.replicas.move(copy.id, S.SUSPECT, why="looked again")
    assert ledger.replicas.get(copy.id).prune_announced_at is None


class TestDeletingNeedsItsProof:
    """The last copies of a scan can never be each other's proof at the same moment."""

    def test_a_proof_copy_that_is_not_verified_any_more_stops_it(self, ledger: Ledger, copy: Replica) -> None:
        first = ledger.replicas.of("sand", location="spot")[0]
        prove(ledger, copy)
        ledger.replicas.move(first.id, S.DELETING, why="due", while_verified=[copy.id])
        with pytest.raises(PruneBlocked, match=r"raw of sand at spot is deleting") as caught:
            ledger.replicas.move(copy.id, S.DELETING, why="due", while_verified=[first.id])
        assert "nothing was deleted" in caught.value.sentence and caught.value.next_step
        assert ledger.replicas.get(copy.id).state is S.VERIFIED


def test_finding(ledger: Ledger, copy: Replica, clock: Clock) -> None:
    ledger.datasets.admit(new_scan("clay"))
    made = ledger.replicas.expect("sand", "recon_tiff", "far_scratch", "recsand", variant="v1")
    clock.turn(minutes=1)
    prove(ledger, made)
    found = ledger.replicas.of("sand")
    assert [r.location for r in found] == ["far_scratch", "spot", "far_raw"], "the most recently verified first, unproven last"
    assert [r.id for r in ledger.replicas.of("sand", product="recon_tiff", variant="v1")] == [made.id]
    assert ledger.replicas.of("sand", variant="") and not ledger.replicas.of("sand", product="recon_tiff", variant="")
    assert [r.id for r in ledger.replicas.of("sand", state=S.EXPECTED, location="far_raw")] == [copy.id]
    assert {r.dataset_key for r in ledger.replicas.in_state(S.VERIFIED)} == {"sand", "clay"}
    assert [r.id for r in ledger.replicas.in_state(S.EXPECTED, S.LOST)] == [copy.id]
    at = ledger.replicas.at("far_scratch", "recsand")
    assert at is not None and at.id == made.id and ledger.replicas.at("far_scratch", "absent") is None
    assert made.name == "recon_tiff of sand at far_scratch"


def test_a_place_never_holds_two_things(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    ledger.datasets.admit(new_scan("clay"))
    for dataset, product, variant in (("clay", "raw", ""), ("sand", "recon_tiff", ""), ("sand", "raw", "a1b2c3d4")):
        with pytest.raises(LedgerError, match="is on record for raw of sand at far_raw"):
            ledger.replicas.expect(dataset, product, "far_raw", copy.path, variant)
    assert ledger.replicas.get(copy.id).state is S.EXPECTED
