"""``ensure_replica``: after it returns, a proven copy is at the location, and its receipt says how that is known.

Here: choosing the source, the mover and the proof, and the one door (``TransferService``) to copies, proofs and deletions. Not here:
policies, and the talk with movers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from als_assets.errors import (
    AlsError,
    CopyMismatch,
    LocationAway,
    NoVerifiedSource,
    ServiceUnreachable,
    TransferDamaged,
    TransferFailed,
)
from als_assets.facility import ExportGate, Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.places import Place
from als_assets.ledger import Ledger, Manifest, Operation, OperationKind, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor, carry_out
from als_assets.ledger.products import RAW
from als_assets.transfer.acts import TransferAct
from als_assets.transfer.breaker import Breaker
from als_assets.transfer.deleting import Deletion, Deletions
from als_assets.transfer.fetching import Fetcher
from als_assets.transfer.health import IdentityHealth, identities_health
from als_assets.transfer.looking import Looks, has_sums, manifest_of, other_sums
from als_assets.transfer.mover import DeleteRequest, FileFacts, Mover, TransferRequest, sizes
from als_assets.transfer.proving import FreshProof, Proofs
from als_assets.transfer.receipt import Receipt, evidence_of
from als_assets.transfer.settling import Settling
from als_assets.transfer.tidying import TidyAct, excludes, leftovers, tidy_key

# Where to copy from, best first: what is meant to be read before what the detector writes to.
_SOURCE_ORDER = [LocationClass.STAGING, LocationClass.ARCHIVE, LocationClass.SCRATCH, LocationClass.ACQUISITION]


class TransferService:
    """Copies, proofs and deletions, on record.

    ``movers`` are by role: "mover" copies through Globus, "pruner" deletes there, "posix" does both on mounted folders. ``settling``
    is what a person may say about a copy in doubt.
    """

    def __init__(self, facility: Facility, ledger: Ledger, gate: ExportGate, movers: Mapping[str, Mover]) -> None:
        self._facility = facility
        self._ledger = ledger
        self._gate = gate
        self._movers = movers
        self._looks = Looks(facility, ledger, movers)
        self._breaker = Breaker(facility, ledger)
        self._deletions = Deletions(ledger, self._breaker, self._looks)
        fetcher = Fetcher(facility, ledger, self._looks, self._may_send)
        self._proofs = Proofs(ledger, self._looks, self._request, self._may_send, fetcher)
        self.settling = Settling(ledger, self._looks, fetcher)

    def place(self, location_name: str, path: str) -> Place:
        return self._looks.place(location_name, path)

    def ensure_replica(self, actor: Actor, dataset_key: str, product: str, location_name: str, path: str, variant: str = "") -> Receipt:
        """A verified copy of a dataset's product at a location.

        Raises:
            ExportRefused: the dataset must stay; nothing was sent.
            NoVerifiedSource: there is nothing to copy from.
            CollectionResting: a collection has failed too often; the intent is kept, try again after ``details["retry_s"]``.
            TransferError: the copy failed, needs a person, or is not what was sent.
            LocationAway: a disk is not mounted; nothing is known of what should lie there.
        """
        self._gate.require(dataset_key, self._facility.site_of(location_name))
        target = self._ledger.replicas.expect(dataset_key, product, location_name, path, variant)
        if target.state is ReplicaState.VERIFIED and self._looks.still_there(target):
            return Receipt(self._ledger.replicas.get(target.id), made=False, evidence=target.evidence)
        begun = self._begun_from(target)
        source = begun or self._source(dataset_key, product, variant, location_name)
        if begun is None:
            self._tidy(actor, target, manifest_of(source))
        operation = self._copy(actor, source, target)
        return self._receipt(operation, target.id)

    def _begun_from(self, target: Replica) -> Replica | None:
        """The source of a copy that an earlier process began: its request must be repeated word for word, not chosen anew."""
        begun = self._ledger.operations.open_with(_transfer_key(target))
        return None if begun is None else self._ledger.replicas.at(begun.request["from"]["location"], begun.request["from"]["path"])

    def look_again(self, replica: Replica) -> bool:
        """Compare a verified replica with its manifest once more; one that disagrees becomes SUSPECT."""
        return self._looks.still_there(replica)

    def listing(self, replica: Replica) -> dict[str, int] | None:
        return self._looks.listing(replica)

    def prove_again(self, actor: Actor, replica: Replica, max_age_days: float) -> FreshProof:
        """Prove a verified copy afresh: files and sizes always, checksums when the last proof is older than ``max_age_days``.

        Raises:
            CopyMismatch: it is not what it was; it is SUSPECT now.
            NoVerifiedSource: there is nothing that it could be compared with.
            AlsError: nothing could be learnt (a service, a collection, rights); the copy stays as it is on record.
        """
        return self._proofs.prove(actor, replica, max_age_days)

    def _source(self, dataset_key: str, product: str, variant: str, destination: str) -> Replica:
        copies = self._ledger.replicas.of(dataset_key, product=product, variant=variant, state=ReplicaState.VERIFIED)
        others = [c for c in copies if c.location != destination]
        unseen: LocationAway | None = None
        for copy in sorted(others, key=self._rank):
            try:
                if self._looks.still_there(copy):
                    return copy
            except LocationAway as error:
                unseen = error
        if unseen is not None:
            raise unseen
        raise NoVerifiedSource(
            f"There is no verified copy of {product} of scan {dataset_key} to copy to {destination}.",
            next_step="Re-execute the step that makes it; if the raw file itself is gone from every place, call an operator at once.",
        )

    def _rank(self, copy: Replica) -> tuple[bool, int]:
        """The smaller the better to copy from: a raw file whose own SHA-256 was compared, then the kind of its place."""
        return copy.product == RAW and copy.sha256 is None, _SOURCE_ORDER.index(self._facility.location(copy.location).location_class)

    def _request(self, source: Replica, target: Replica, manifest: Manifest) -> TransferRequest:
        return TransferRequest(
            dataset_key=target.dataset_key,
            source=self._looks.place_of(source),
            destination=self._looks.place_of(target),
            is_directory=not manifest.is_single_file,
            label=f"{target.dataset_key[:60]} {target.product} to {target.location}",
            sha256=manifest.sha256,
            excludes=() if manifest.is_single_file else excludes(manifest),
        )

    def _may_send(self, actor: Actor, locations: Sequence[str]) -> Callable[[Operation], None]:
        through_globus = [name for name in locations if self._facility.location(name).collection is not None]
        return lambda operation: self._breaker.require(operation, through_globus, actor)

    def _tidy(self, actor: Actor, target: Replica, manifest: Manifest) -> None:
        """Remove what an earlier version of the product left at the destination: it would make every further copy wrong."""
        place = self._looks.place_of(target)
        if target.product == RAW or manifest.is_single_file or self._looks.deleter_at(place) is self._movers["posix"]:
            return
        names = leftovers(self._looks.listing(target) or {}, manifest, target.manifest)
        if not names:
            return
        places = [self.place(target.location, f"{target.path}/{name}") for name in names]
        todo = DeleteRequest(target.dataset_key, places[0], False, f"leftovers of {target.dataset_key[:80]}")
        mover, paths = self._looks.deleter_at(place), [file.mover_path for file in places]
        act = TidyAct(self._ledger, mover, tidy_key(target, names), target.dataset_key, target.id, todo, paths, names)
        act.gate = self._may_send(actor, [target.location])
        carry_out(self._ledger, actor, act, after=self._ledger.operations.newest(target.dataset_key))

    def _copy(self, actor: Actor, source: Replica, target: Replica) -> Operation:
        manifest = self._looks.wanted(source)
        request = self._request(source, target, manifest)
        mover = self._looks.mover_between(request.source, request.destination)
        act = TransferAct(self._ledger, mover, _transfer_key(target), target.dataset_key, target.id, request, manifest)
        sums: list[Manifest] = []
        act.check = self._hash_check(request, manifest, sums)
        if mover is not self._movers["posix"]:
            act.gate = self._may_send(actor, [source.location, target.location])
        self._looks.require_writable(request.destination)
        self._ledger.replicas.move(target.id, ReplicaState.COPYING, why=f"copying from {source.location}")
        try:
            # Since the look at the copy, not since the move: another run may have made it in between, and once is enough.
            operation = carry_out(self._ledger, actor, act, after=target.after_operation)
            self._verified(target, sums[0] if sums else manifest, operation, act.seen)
        except (TransferFailed, TransferDamaged, CopyMismatch) as error:
            self._ledger.replicas.move(target.id, ReplicaState.EXPECTED, why=error.sentence)
            self._doubt(source, manifest, error)
            raise
        return operation

    def _doubt(self, source: Replica, manifest: Manifest, error: AlsError) -> None:
        """Where checksums refused a copy, its source may be the bad one: it is read, if this machine can, so that it is not taken again."""
        fatal: Any = error.details.get("fatal_error") or {}
        readable = self._looks.place_of(source).location.mounted and has_sums(manifest)
        if readable and (fatal.get("code") == "VERIFY_CHECKSUM" or not isinstance(error, TransferFailed)):
            with suppress(ServiceUnreachable):  # it cannot be read: that says nothing about its bytes
                self._looks.holds(source, manifest)

    def _hash_check(self, request: TransferRequest, manifest: Manifest, sums: list[Manifest]) -> Callable[[], dict[str, Any]] | None:
        """Our own SHA-256 of every file that this machine can read; compared where a sum is known. ``sums`` gets them."""
        destination = request.destination
        if not destination.location.mounted:
            return None

        def check() -> dict[str, Any]:
            found = self._looks.sums(destination, manifest)
            wrong = other_sums(manifest, found)
            if wrong:
                raise CopyMismatch(
                    f"The copy of {request.dataset_key} at {destination.location_name} has another SHA-256 than is on record ({wrong[0]}).",
                    next_step="Re-execute from failure: the copy is made again and compared again.",
                    expected={entry.path: entry.sha256 for entry in manifest.entries}.get("" if wrong[0] == "the file" else wrong[0]),
                    found={entry.path: entry.sha256 for entry in found.entries}.get("" if wrong[0] == "the file" else wrong[0]),
                )
            sums.append(found)
            single = {"sha256": found.sha256} if found.is_single_file else {"sha256_of_files": found.files}
            return {**single, "sha256_by": "this platform, read back at the destination"}

        return check

    def _verified(self, target: Replica, manifest: Manifest, operation: Operation, seen: Mapping[str, FileFacts] | None) -> None:
        """``seen``: what the comparison found at the destination; None where an earlier process made it, perhaps days ago: then it is
        looked at once more, and its checksums are as old as that process."""
        sha256, proven_at = None, None
        if manifest.is_single_file:
            sha256 = operation.outcome.get("sha256") or operation.request.get("sha256")
            manifest = Manifest.single(manifest.size_bytes, sha256)
        if seen is None:
            seen, proven_at = self._seen_again(target, manifest), operation.finished_at
        manifest = manifest.with_times({name: facts.mtime_s for name, facts in seen.items()})
        self._ledger.replicas.verified(
            target.id, manifest, why="copied and proven", evidence=evidence_of(operation), sha256=sha256, proven_at=proven_at
        )

    def _seen_again(self, target: Replica, manifest: Manifest) -> Mapping[str, FileFacts]:
        """Raises TransferFailed, LocationAway."""
        seen = self._looks.files(target)
        if seen is None:
            self._looks.require_seen(self._looks.place_of(target))
        wrong = manifest.differences(sizes(seen) or {})
        if seen is None or wrong:
            words = "; ".join(wrong[:3])
            raise TransferFailed(
                f"The {target.name} was proven when it was copied, but the record was not told then; now it is not whole: {words}.",
                next_step="Re-execute from failure: the copy is made again.",
            )
        return seen

    def _receipt(self, operation: Operation, replica_id: int) -> Receipt:
        replica = self._ledger.replicas.get(replica_id)
        began, ended = operation.submitted_at, operation.finished_at
        seconds = (ended - began).total_seconds() if began and ended else None
        outcome = operation.outcome
        return Receipt(replica, True, replica.evidence, seconds, outcome.get("link", ""), outcome.get("metrics", {}))

    def delete_replica(self, actor: Actor, replica: Replica, proof: dict[str, Any]) -> Replica:
        """Delete the bytes of a replica in state DELETING; ``proof`` (why that is safe) is stored with the intent.

        Raises:
            AlsError: it could not be deleted (DeleteFailed), or nothing could be learnt; the replica stays in state DELETING.
        """
        (done,) = self.delete_replicas(actor, [(replica, proof)])
        if done.error is not None:
            raise done.error
        return done.replica

    def delete_replicas(self, actor: Actor, doomed: Sequence[tuple[Replica, dict[str, Any]]]) -> list[Deletion]:
        """Delete many replicas in state DELETING, each with its own proof, in as few tasks as possible; answers in the order given.
        One that fails stays in state DELETING and does not stop the others.

        Raises:
            LeaseLost: another run took over.
        """
        return self._deletions.carry_out(actor, doomed)

    def cancel(self, operation: Operation) -> None:
        """Stop the remote task of an open operation, also one whose acceptance nobody heard of. Without a task nothing has to stop."""
        role = "pruner" if operation.kind is OperationKind.DELETE else "mover"
        prepared = operation.handle.get("prepared") or {}
        if "task_id" in operation.handle:
            self._movers[role].cancel(operation.handle)
        elif operation.state is OperationState.INTENT and "submission_id" in prepared:
            found = self._movers[role].find(prepared)
            if found is not None:
                self._movers[role].cancel(found)

    def resting(self) -> dict[str, str]:
        """Location -> why nothing new is sent there now, for locations whose collection rests after failures."""
        rests, now = self._breaker.rests(), self._ledger.clock()
        words = {collection: self._breaker.sentence(rest) for collection, rest in rests.items() if rest.until > now}
        return {n: words[str(place.collection)] for n, place in self._facility.locations.items() if str(place.collection) in words}

    def identities(self) -> list[IdentityHealth]:
        """Whether Globus accepts our identities, as the record of operations tells it."""
        return identities_health(self._facility, self._ledger)


def _transfer_key(target: Replica) -> str:
    """One open transfer per destination: two tasks must never write to one path."""
    return f"transfer:{target.location}:{target.path}"
