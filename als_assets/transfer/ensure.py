"""``ensure_replica``: after it returns, a proven copy is at the location, and its receipt says how that is known.

Here: choosing the source, the mover and the proof; deleting a replica with the same care. Not here: policies, and the talk with movers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from als_assets.errors import CopyMismatch, NoVerifiedSource, TransferDamaged, TransferFailed
from als_assets.facility import ExportGate, Facility
from als_assets.facility.models import LocationClass, MoverKind
from als_assets.facility.places import Place
from als_assets.ledger import Ledger, Manifest, Operation, OperationKind, Replica, ReplicaState
from als_assets.ledger.acting import Actor, carry_out
from als_assets.transfer.acts import DeleteAct, TransferAct
from als_assets.transfer.mover import DeleteRequest, Mover, TransferRequest
from als_assets.transfer.posix import sha256_of

# Where to copy from, best first: what is meant to be read before what the detector writes to.
_SOURCE_ORDER = [LocationClass.STAGING, LocationClass.ARCHIVE, LocationClass.SCRATCH, LocationClass.ACQUISITION]


@dataclass(frozen=True)
class Receipt:
    """Proof that a copy exists. ``made`` is False when it was there already and was looked at again."""

    replica: Replica
    made: bool
    evidence: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    link: str = ""


class TransferService:
    """Copies and deletions, on record and with proof.

    ``movers`` are by role: "mover" copies through Globus, "pruner" deletes there, "posix" does both on mounted folders.
    """

    def __init__(self, facility: Facility, ledger: Ledger, gate: ExportGate, movers: Mapping[str, Mover]) -> None:
        self._facility = facility
        self._ledger = ledger
        self._gate = gate
        self._movers = movers

    def place(self, location_name: str, path: str) -> Place:
        return Place(location_name, self._facility.location(location_name), path)

    def ensure_replica(self, actor: Actor, dataset_key: str, product: str, location_name: str, path: str, variant: str = "") -> Receipt:
        """A verified copy of a dataset's product at a location.

        Raises:
            ExportRefused: the dataset must stay; nothing was sent.
            NoVerifiedSource: there is nothing to copy from.
            TransferError: the copy failed, needs a person, or is not what was sent.
        """
        self._gate.require(dataset_key, self._facility.site_of(location_name))
        target = self._ledger.replicas.expect(dataset_key, product, location_name, path, variant)
        if target.state is ReplicaState.VERIFIED and self._still_there(target):
            return Receipt(self._ledger.replicas.get(target.id), made=False, evidence=target.evidence)
        source = self._begun_from(target) or self._source(dataset_key, product, variant, location_name)
        operation = self._copy(actor, source, target)
        return self._receipt(operation, target.id)

    def _begun_from(self, target: Replica) -> Replica | None:
        """The source of a copy that an earlier process began: its request must be repeated word for word, not chosen anew."""
        begun = self._ledger.operations.open_with(_transfer_key(target))
        return None if begun is None else self._ledger.replicas.at(begun.request["from"]["location"], begun.request["from"]["path"])

    def look_again(self, replica: Replica) -> bool:
        """Compare a verified replica with its manifest once more; one that disagrees becomes SUSPECT."""
        return self._still_there(replica)

    def _still_there(self, replica: Replica) -> bool:
        found = self.listing(replica)
        manifest = replica.manifest or Manifest.single(replica.size_bytes or 0)
        wrong = ["nothing is there"] if found is None else manifest.differences(found)
        if not wrong:
            return True
        self._ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why=f"looked again: {'; '.join(wrong)}")
        return False

    def listing(self, replica: Replica) -> dict[str, int] | None:
        place = self.place(replica.location, replica.path)
        return self._mover_at(place, deleting=False).listing(place)

    def _mover_at(self, place: Place, *, deleting: bool) -> Mover:
        # A mounted folder is looked at directly: no request, and no other party's word for it.
        if place.location.mover is MoverKind.POSIX or (place.location.mounted and not deleting):
            return self._movers["posix"]
        return self._movers["pruner" if deleting else "mover"]

    def _source(self, dataset_key: str, product: str, variant: str, destination: str) -> Replica:
        copies = self._ledger.replicas.of(dataset_key, product=product, variant=variant, state=ReplicaState.VERIFIED)
        others = [c for c in copies if c.location != destination]
        for copy in sorted(others, key=lambda c: _SOURCE_ORDER.index(self._facility.location(c.location).location_class)):
            if self._still_there(copy):
                return copy
        raise NoVerifiedSource(
            f"There is no verified copy of {product} of scan {dataset_key} to copy to {destination}.",
            next_step="Re-execute the step that makes it; if the raw file itself is gone from every place, call an operator at once.",
        )

    def _copy(self, actor: Actor, source: Replica, target: Replica) -> Operation:
        manifest = source.manifest or Manifest.single(source.size_bytes or 0)
        request = TransferRequest(
            dataset_key=target.dataset_key,
            source=self.place(source.location, source.path),
            destination=self.place(target.location, target.path),
            is_directory=not manifest.is_single_file,
            label=f"{target.dataset_key[:60]} {target.product} to {target.location}",
            sha256=source.sha256 if manifest.is_single_file else None,
        )
        mover = self._mover_between(request.source, request.destination)
        act = TransferAct(self._ledger, mover, request, manifest, _transfer_key(target), target.dataset_key, target.id)
        act.check = self._hash_check(request, source)
        self._ledger.replicas.move(target.id, ReplicaState.COPYING, why=f"copying from {source.location}")
        try:
            # Since the look at the copy, not since the move: another run may have made it in between, and once is enough.
            operation = carry_out(self._ledger, actor, act, wanted_since=target.changed_at)
        except (TransferFailed, TransferDamaged, CopyMismatch) as error:
            self._ledger.replicas.move(target.id, ReplicaState.EXPECTED, why=error.sentence)
            raise
        self._verified(target, manifest, source, operation)
        return operation

    def _mover_between(self, source: Place, destination: Place) -> Mover:
        if MoverKind.POSIX not in (source.location.mover, destination.location.mover):
            return self._movers["mover"]
        if source.location.mounted and destination.location.mounted:
            return self._movers["posix"]
        raise TransferFailed(
            f"No mover connects {source.location_name} and {destination.location_name}.",
            next_step="Give both a Globus collection in the facility file, or mount both here.",
        )

    def _hash_check(self, request: TransferRequest, source: Replica) -> Any:
        """Our own SHA-256 of a single file that this machine can read; compared where the source's sum is known."""
        destination = request.destination
        if request.is_directory or not destination.location.mounted:
            return None

        def check() -> dict[str, Any]:
            found = sha256_of(Path(destination.site_path))
            if source.sha256 and found != source.sha256:
                raise CopyMismatch(
                    f"The copy of {request.dataset_key} at {destination.location_name} has another SHA-256 than its source.",
                    next_step="Re-execute from failure: the copy is made again and compared again.",
                    expected=source.sha256,
                    found=found,
                )
            return {"sha256": found, "sha256_by": "this platform, read back at the destination"}

        return check

    def _verified(self, target: Replica, manifest: Manifest, source: Replica, operation: Operation) -> None:
        outcome = operation.outcome
        sha256 = outcome.get("sha256") or source.sha256
        if manifest.is_single_file:
            manifest = Manifest.single(manifest.size_bytes, sha256)
        task = outcome.get("task", {})
        evidence = {
            "copied_from": source.location,
            "task": task.get("task_id"),
            "link": outcome.get("link", ""),
            "checksum": _checksum_words(outcome, source),
            "files_compared": outcome.get("compared_files"),
            "faults": task.get("faults"),
        }
        self._ledger.replicas.verified(target.id, manifest, why="copied and proven", evidence=evidence, sha256=sha256)

    def _receipt(self, operation: Operation, replica_id: int) -> Receipt:
        replica = self._ledger.replicas.get(replica_id)
        began, ended = operation.submitted_at, operation.finished_at
        seconds = (ended - began).total_seconds() if began and ended else None
        return Receipt(replica, made=True, evidence=replica.evidence, seconds=seconds, link=operation.outcome.get("link", ""))

    def delete_replica(self, actor: Actor, replica: Replica, proof: dict[str, Any]) -> Replica:
        """Delete the bytes of a replica in state DELETING; ``proof`` (why that is safe) is stored with the intent.

        Raises:
            TransferError: it could not be deleted, or is still there; the replica stays in state DELETING.
        """
        place = self.place(replica.location, replica.path)
        manifest = replica.manifest or Manifest.single(0)
        request = DeleteRequest(replica.dataset_key, place, not manifest.is_single_file, f"prune {replica.dataset_key[:80]}")
        key = f"delete:{replica.location}:{replica.path}"
        mover = self._mover_at(place, deleting=True)
        act = DeleteAct(self._ledger, mover, request, key, replica.dataset_key, replica.id, proof)
        operation = carry_out(self._ledger, actor, act, wanted_since=replica.changed_at)
        evidence = {**replica.evidence, "deleted_by": operation.key, "proof": proof, "link": operation.outcome.get("link", "")}
        return self._ledger.replicas.move(replica.id, ReplicaState.DELETED, why="pruned by policy", evidence=evidence)

    def cancel(self, operation: Operation) -> None:
        """Stop the remote task of an open operation. One that was never submitted has nothing to stop."""
        if "task_id" in operation.handle:
            role = "pruner" if operation.kind is OperationKind.DELETE else "mover"
            self._movers[role].cancel(operation.handle)


def _transfer_key(target: Replica) -> str:
    """One open transfer per destination: two tasks must never write to one path."""
    return f"transfer:{target.location}:{target.path}"


def _checksum_words(outcome: Mapping[str, Any], source: Replica) -> str:
    by_mover = "mover compared checksums of both sides"
    if source.sha256:
        return f"{by_mover}, and the destination against the known SHA-256"
    return f"{by_mover}; SHA-256 taken at the destination" if outcome.get("sha256") else by_mover
