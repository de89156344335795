"""Looking at the proof copies immediately before a deletion: there, whole, and proven by checksum not too long ago.

Here: the checks that stand between a plan and a deletion. Not here: which copies are the proof (``evidence``), and how a copy is proven
(``transfer``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from als_assets.errors import CopyMismatch, PruneBlocked
from als_assets.ledger import Ledger, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import RAW
from als_assets.retention.snapshot import Scan, holds_and_work
from als_assets.transfer import FreshProof, TransferService


def check_proof(
    ledger: Ledger, transfers: TransferService, actor: Actor, what: Replica, proof_ids: Sequence[int], max_age_days: float
) -> list[dict[str, Any]]:
    """Look at every proof copy now: files and sizes always, checksums where they were compared longer ago than ``max_age_days`` or
    can be read here. Returns a row of evidence for each.

    Raises:
        PruneBlocked: one is not whole (it is SUSPECT now), or not on record as verified.
        AlsError: nothing can be said about one now.
    """
    if not proof_ids:
        raise PruneBlocked(f"There is no proof copy of {what.dataset_key}.", next_step="Nothing to do: it is kept.")
    copies = [ledger.replicas.get(number) for number in proof_ids]
    # Those that are read here first: only against a good one of them can a remote copy be compared.
    rows = [_row(transfers, actor, copy, max_age_days) for copy in sorted(copies, key=lambda c: not _mounted(transfers, c))]
    if what.state is ReplicaState.VERIFIED and what.product == RAW and what.sha256 is None and _mounted(transfers, what):
        # No sum of it was ever taken here: then it is only the mover's word that the others are copies of it.
        _proven(transfers, actor, what, 0.0)
    return sorted(rows, key=lambda row: str(row["location"]))


def _row(transfers: TransferService, actor: Actor, copy: Replica, max_age_days: float) -> dict[str, Any]:
    here = _mounted(transfers, copy) and copy.sha256 is not None
    return {"product": copy.product, **_proven(transfers, actor, copy, 0.0 if here else max_age_days).evidence}


def _proven(transfers: TransferService, actor: Actor, copy: Replica, max_age_days: float) -> FreshProof:
    try:
        return transfers.prove_again(actor, copy, max_age_days)  # a copy that is not VERIFIED is refused there
    except CopyMismatch as mismatch:
        raise PruneBlocked(
            f"The copy of {copy.dataset_key} at {copy.location} did not hold when it was looked at again; nothing was deleted.",
            next_step=f"Look at that copy: als scan show {copy.dataset_key}",
            found=mismatch.sentence,
        ) from mismatch


def _mounted(transfers: TransferService, copy: Replica) -> bool:
    return transfers.place(copy.location, copy.path).location.mounted


def wanted_by(ledger: Ledger, keys: Iterable[str]) -> dict[str, PruneBlocked]:
    """Scan -> what keeps it, for those that somebody holds or that work is going on with, also when that happened after the plan was
    made or a deletion was cut off."""
    snapshot, now = holds_and_work(ledger), ledger.clock()
    kept: dict[str, PruneBlocked] = {}
    for key in set(keys):
        dataset = ledger.datasets.get(key) if snapshot.holds else None
        hold = snapshot.hold_on(Scan(key, dataset.beamline, dataset.proposal), now) if dataset is not None else None
        if hold is not None:
            words = f"{hold.who} holds {key} ({hold.reason}); nothing was deleted."
            kept[key] = PruneBlocked(words, next_step="Nothing to do: it is kept.")
        elif key in snapshot.busy:
            words = f"Work on {key} is going on ({snapshot.busy[key]}); nothing was deleted."
            kept[key] = PruneBlocked(words, next_step="The next round decides anew.")
    return kept
