"""Proving a copy when nothing else can be read here: its bytes are fetched, hashed and removed; and what that needs.

Here: the archive as the only copy left. Not here: proofs with another copy beside (``test_proving``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import NERSC_RAW, RAW, SCRATCH, Bench

from als_assets.errors import CopyMismatch, NoVerifiedSource
from als_assets.ledger import Dataset, ReplicaState
from als_assets.transfer import FreshProof, fetching


@pytest.fixture
def alone(bench: Bench) -> Dataset:
    """A scan whose copies at the ALS were pruned: only the archive at NERSC is left."""
    scan = bench.admit()
    for location in (RAW, NERSC_RAW):
        bench.copy(scan, location)
    for location in ("spot832", RAW):
        replica = bench.ledger.replicas.move(bench.replica(scan, location).id, ReplicaState.DELETING, why="pruned by the test")
        bench.platform.transfers.delete_replica(bench.actor(), replica, {"because": "a test"})
    return scan


def prove(bench: Bench, scan: Dataset) -> FreshProof:
    return bench.platform.transfers.prove_again(bench.actor(), bench.replica(scan, NERSC_RAW), 0)


def inbox(bench: Bench) -> Path:
    return Path(bench.platform.transfers.place(SCRATCH, fetching.FOLDER).site_path)


def left_there(bench: Bench) -> list[Path]:
    return list(inbox(bench).iterdir()) if inbox(bench).exists() else []


def test_every_byte_is_read_and_nothing_stays_behind(bench: Bench, alone: Dataset) -> None:
    before = bench.replica(alone, NERSC_RAW)
    proof = prove(bench, alone)
    assert proof.fresh and proof.how == f"SHA-256 of every file read afresh, after they were fetched to {SCRATCH}"
    assert proof.evidence["sha256"] == before.sha256 and proof.replica.verified_at > before.verified_at
    task = bench.tasks(alone)[-1]
    assert (task["task_id"], task["bytes_transferred"]) == (proof.evidence["task"], before.size_bytes)
    assert left_there(bench) == []
    assert bench.ledger.replicas.of(alone.key, location=SCRATCH) == [], "what is fetched to be looked at is no copy"


def test_rot_at_the_last_copy_is_found_and_left_alone(bench: Bench, alone: Dataset) -> None:
    file = bench.raw_file(alone, NERSC_RAW)
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    with pytest.raises(CopyMismatch, match="another SHA-256 than when they were proven"):
        prove(bench, alone)
    assert bench.state(alone, NERSC_RAW) is ReplicaState.SUSPECT and file.read_bytes() == content and left_there(bench) == []


def test_without_room_it_cannot_be_proven_and_says_so(bench: Bench, alone: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_free", lambda _place: 1000)
    with pytest.raises(NoVerifiedSource, match=rf"could only be proven by fetching its .*, and {SCRATCH} has 1.0 kB free") as caught:
        prove(bench, alone)
    assert "Nothing is deleted on the strength of it" in caught.value.next_step
    assert bench.state(alone, NERSC_RAW) is ReplicaState.VERIFIED and len(bench.tasks(alone)) == 2


def test_without_a_sum_on_record_it_cannot_be_proven_and_says_so(bench: Bench) -> None:
    """A stack that was made at NERSC and never came here."""
    stack = bench.stack(bench.admit(), {"a.tiff": b"abc"})
    with pytest.raises(NoVerifiedSource, match="its SHA-256 is not on record") as caught:
        bench.platform.transfers.prove_again(bench.actor(), stack, 0)
    assert caught.value.next_step.startswith("It cannot be proven, so nothing is deleted on the strength of it.")


@pytest.mark.parametrize(
    "point",
    [
        "after transfer.globus:GlobusMover.start_transfer",
        "after ledger.operations:Operations.finish",
        "after ledger.replicas:Replicas.verified",
    ],
)
def test_killed_on_the_way_the_next_process_fetches_nothing_twice(bench: Bench, zygote: Zygote, alone: Dataset, point: str) -> None:
    zygote.dies("prove", point, replica=bench.replica(alone, NERSC_RAW).id)
    tasks = len(bench.tasks(alone))
    done = "verified" in point
    proof: Any = bench.platform.transfers.prove_again(bench.actor(), bench.replica(alone, NERSC_RAW), 7 if done else 0)
    assert proof.fresh is not done and len(bench.tasks(alone)) == tasks == 3
    prove(bench, alone)
    assert left_there(bench) == []


def test_what_a_process_fetched_days_ago_is_fetched_again(
    bench: Bench, zygote: Zygote, alone: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    zygote.dies("prove", "after ledger.operations:Operations.finish", replica=bench.replica(alone, NERSC_RAW).id)
    ended = bench.newest(alone).finished_at
    monkeypatch.setattr(bench.ledger, "clock", lambda: datetime.now(UTC) + timedelta(days=2))
    assert prove(bench, alone).fresh and len(bench.tasks(alone)) == 4
    assert bench.replica(alone, NERSC_RAW).verified_at > ended and left_there(bench) == []


def test_fetched_bytes_that_somebody_removed_are_fetched_again(bench: Bench, zygote: Zygote, alone: Dataset) -> None:
    zygote.dies("prove", "after ledger.operations:Operations.finish", replica=bench.replica(alone, NERSC_RAW).id)
    (fetched,) = inbox(bench).rglob("*.h5")
    fetched.unlink()
    assert prove(bench, alone).fresh and len(bench.tasks(alone)) == 4
