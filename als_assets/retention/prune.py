"""Pruning: going through with the plan, one copy at a time, after looking at the proof copies once more.

Here: the two phases (announced with a grace time, then deleted) and the re-check immediately before. Not here: what is due (``plan``)
and how bytes are deleted (``transfer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from als_assets.errors import AlsError, PruneBlocked
from als_assets.facility import Facility
from als_assets.facility.settings import Retention
from als_assets.ledger import Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.retention.plan import PlanLine, Snapshot, plan
from als_assets.transfer import TransferService
from als_assets.transfer.posix import sha256_of


@dataclass(frozen=True)
class Pruned:
    """What became of one line of the plan."""

    dataset_key: str
    what: str
    location: str
    outcome: str  # announced | waiting | deleted | blocked | would delete
    words: str


def snapshot_of(ledger: Ledger) -> Snapshot:
    """The record as the plan wants it."""
    replicas = ledger.replicas.in_state(ReplicaState.VERIFIED, ReplicaState.DELETING)
    datasets = {key: ledger.datasets.get(key) for key in {r.dataset_key for r in replicas}}
    return Snapshot(replicas, datasets, ledger.operations.open_ones(), ledger.holds.on)


def current_plan(facility: Facility, retention: Retention, ledger: Ledger) -> list[PlanLine]:
    return plan(facility, retention, snapshot_of(ledger), ledger.clock())


def prune(
    facility: Facility, retention: Retention, ledger: Ledger, transfers: TransferService, actor: Actor, *, dry_run: bool = False
) -> list[Pruned]:
    """Announce what has become due; delete what was announced at least the grace time ago and still is due."""
    now = ledger.clock()
    done = [] if dry_run else [_carry_on(ledger, transfers, actor, r, now) for r in ledger.replicas.in_state(ReplicaState.DELETING)]
    for line in current_plan(facility, retention, ledger):
        if line.ready(now):
            done.append(_phase(retention, ledger, transfers, actor, line, now, dry_run))
    return done


def _phase(
    retention: Retention, ledger: Ledger, transfers: TransferService, actor: Actor, line: PlanLine, now: datetime, dry_run: bool
) -> Pruned:
    """The phase in which a due copy is: to be announced, waiting, or to be deleted."""
    grace = timedelta(hours=retention.grace_hours)
    announced = ledger.replicas.get(line.replica_id).prune_announced_at
    if announced is None and grace > timedelta(0):
        if not dry_run:
            ledger.replicas.announce_pruning(line.replica_id, f"due by policy; deleted after {retention.grace_hours:g} h of grace")
        return Pruned(line.dataset_key, line.what, line.location, "announced", f"goes in {grace} unless somebody holds it")
    if announced is not None and now - announced < grace:
        return Pruned(line.dataset_key, line.what, line.location, "waiting", f"goes on {announced + grace:%Y-%m-%d %H:%M} UTC")
    if dry_run:
        return Pruned(line.dataset_key, line.what, line.location, "would delete", "dry run: nothing was deleted")
    return _delete(ledger, transfers, actor, ledger.replicas.get(line.replica_id), line.proof, now)


def _carry_on(ledger: Ledger, transfers: TransferService, actor: Actor, replica: Replica, now: datetime) -> Pruned:
    """A deletion whose process was killed: its proof copies are on record, and are looked at again."""
    locations = [copy["location"] for copy in replica.evidence.get("copies", [])]
    copies = [
        r for r in ledger.replicas.of(replica.dataset_key, product=replica.product, variant=replica.variant) if r.location in locations
    ]
    return _delete(ledger, transfers, actor, replica, tuple(c.id for c in copies), now)


def _delete(
    ledger: Ledger, transfers: TransferService, actor: Actor, replica: Replica, proof_ids: tuple[int, ...], now: datetime
) -> Pruned:
    key, what, where = replica.dataset_key, replica.product, replica.location
    try:
        _require_no_hold(ledger, key)
        proof = _proof(ledger, transfers, key, proof_ids)
        why = "due by policy, proof re-checked"
        replica = ledger.replicas.move(replica.id, ReplicaState.DELETING, why=why, evidence=proof, while_verified=proof_ids)
        transfers.delete_replica(actor, replica, proof)
    except AlsError as error:
        return Pruned(key, what, where, "blocked", f"{error.sentence} {error.next_step}")
    remaining = ", ".join(p["location"] for p in proof["copies"])
    return Pruned(key, what, where, "deleted", f"pruned on {now:%Y-%m-%d}; copies remain at {remaining}")


def _require_no_hold(ledger: Ledger, key: str) -> None:
    """Raises PruneBlocked for a scan that somebody holds, also when that happened after the plan was made or a deletion was cut off."""
    hold = ledger.holds.on(ledger.datasets.get(key))
    if hold is not None:
        raise PruneBlocked(f"{hold.who} holds {key} ({hold.reason}); nothing was deleted.", next_step="Nothing to do: it is kept.")


def _whole(ledger: Ledger, transfers: TransferService, copy: Replica) -> bool:
    """Whether a copy still has its files with their sizes and, where this machine can read it, their known SHA-256. One that has
    not becomes SUSPECT."""
    if not transfers.look_again(copy):
        return False
    place = transfers.place(copy.location, copy.path)
    entries = (copy.manifest or Manifest.single(copy.size_bytes or 0, copy.sha256)).entries if place.location.mounted else ()
    for entry in entries:
        if entry.sha256 is not None and _sum(Path(place.site_path, entry.path)) != entry.sha256:
            why = f"looked again: {entry.path or 'the file'} has another SHA-256 than when it was proven"
            ledger.replicas.move(copy.id, ReplicaState.SUSPECT, why=why)
            return False
    return True


def _sum(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise PruneBlocked(
            f"The proof copy {path} cannot be read ({error.strerror}); nothing was deleted.", next_step="Check the disk and the rights."
        ) from error


def _proof(ledger: Ledger, transfers: TransferService, key: str, proof_ids: tuple[int, ...]) -> dict[str, list[dict[str, str]]]:
    """Look at every proof copy now. Raises PruneBlocked unless each is there, whole, and still on record as verified."""
    copies: Sequence[Replica] = [ledger.replicas.get(i) for i in proof_ids]
    rows = []
    for copy in copies:
        if copy.state is not ReplicaState.VERIFIED or not _whole(ledger, transfers, copy):
            raise PruneBlocked(
                f"The copy of {copy.dataset_key} at {copy.location} did not hold when it was looked at again; nothing was deleted.",
                next_step=f"Look at that copy: als scan show {copy.dataset_key}",
            )
        rows.append({"location": copy.location, "path": copy.path, "looked_at": ledger.clock().isoformat()})
    if not rows:
        raise PruneBlocked(f"There is no proof copy of {key}.", next_step="Nothing to do: it is kept.")
    return {"copies": rows}
