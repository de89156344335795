"""Proving a copy afresh, long after it was made: before another copy is deleted because this one exists.

Here: a fresh SHA-256 where this machine sees the files, else a checksum sync over Globus that must move nothing, else (no other copy
can be read here) a fresh SHA-256 of fetched bytes. Not here: when a proof is old (``retention``) and how bytes are fetched
(``fetching``). A sync overwrites what differs, so its source is proven first: a copy is never
compared with one that could itself be the bad one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from als_assets.errors import CopyMismatch, LocationAway, NoVerifiedSource
from als_assets.facility.places import Place
from als_assets.ledger import Ledger, Manifest, Operation, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor, Ended, Running, carry_out
from als_assets.transfer.acts import TransferAct
from als_assets.transfer.fetching import Fetcher
from als_assets.transfer.looking import Looks, has_sums, other_sums
from als_assets.transfer.mover import TaskView, TransferRequest

# What a process compared that died a moment ago need not be compared again: that may be terabytes over the network.
_AS_GOOD_AS_NOW_DAYS = 1 / 24


@dataclass(frozen=True)
class FreshProof:
    """``fresh``: checksums were compared now; otherwise files and sizes now, and checksums at ``replica.verified_at``."""

    replica: Replica
    fresh: bool
    how: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class CompareAct(TransferAct):
    """A checksum sync that must find nothing to move."""

    def request(self) -> dict[str, Any]:
        return {**super().request(), "compare": True}

    def _what(self) -> str:
        return f"The comparison of {self.dataset_key} at {self.todo.destination.location_name} with {self.todo.source.location_name}"

    def _prove(self, operation: Operation, view: TaskView) -> Ended | Running:
        moved = [int(view.facts.get(name) or 0) for name in ("files_transferred", "bytes_transferred")]
        if not any(moved):
            return super()._prove(operation, view)
        error = CopyMismatch(
            f"{self._what()} found {moved[0]} file(s) with other bytes ({moved[1]} bytes were sent again).",
            next_step="The copy is suspect and proves nothing until it is made again: re-execute the step that copies it.",
        )
        return Ended(OperationState.FAILED, error.sentence, {"task": dict(view.facts), "sentence": error.sentence}, error)


class Proofs:
    """``request_between(source, target, manifest)`` is what a copy from one to the other would send; ``gate(actor, locations)`` is
    asked before it is sent."""

    def __init__(
        self,
        ledger: Ledger,
        looks: Looks,
        request_between: Callable[[Replica, Replica, Manifest], TransferRequest],
        gate: Callable[[Actor, list[str]], Callable[[Operation], None]],
        fetcher: Fetcher,
    ) -> None:
        self._fetcher = fetcher
        self._ledger, self._looks, self._request_between, self._gate = ledger, looks, request_between, gate

    def prove(self, actor: Actor, replica: Replica, max_age_days: float) -> FreshProof:
        replica = self._ledger.replicas.get(replica.id)
        if replica.state is not ReplicaState.VERIFIED:
            raise self._differs(replica, f"it is {replica.state}")
        if not self._looks.still_there(replica):
            raise self._differs(replica, "its files or sizes are not those on record")
        if replica.verified_at is not None and self._is_young(replica.verified_at, max_age_days):
            how = f"files and sizes compared now; checksums compared on {replica.verified_at:%Y-%m-%d %H:%M} UTC"
            return FreshProof(replica, False, how, self._evidence(replica, how, {}))
        place, manifest = self._looks.place_of(replica), self._looks.wanted(replica)
        if place.location.mounted and has_sums(manifest):
            return self._by_hash(replica, place, manifest)
        try:
            source = self._source(replica, place)
        except NoVerifiedSource:
            if place.location.mounted or not has_sums(manifest):
                raise
            return self._by_fetch(actor, replica, manifest, max_age_days)
        if place.location.mounted and self._looks.place_of(source).location.mounted:
            return self._by_two_hashes(replica, source, manifest)
        return self._by_sync(actor, replica, source, manifest, max_age_days)

    def _is_young(self, proven_at: datetime, max_age_days: float) -> bool:
        """A proof from the future is none: a clock was wrong."""
        return timedelta(0) <= self._ledger.clock() - proven_at <= timedelta(days=max_age_days)

    def _by_hash(self, replica: Replica, place: Place, manifest: Manifest) -> FreshProof:
        wrong = other_sums(manifest, self._looks.sums(place, manifest))
        if wrong:
            raise self._suspect(replica, f"{len(wrong)} file(s) have another SHA-256 than when they were proven, first: {wrong[0]}")
        return self._renewed(replica, manifest, "SHA-256 of every file read afresh", {"sha256": manifest.sha256})

    def _by_two_hashes(self, replica: Replica, source: Replica, manifest: Manifest) -> FreshProof:
        here, there = (self._looks.sums(self._looks.place_of(copy), manifest) for copy in (replica, source))
        if other_sums(there, here):
            raise self._suspect(replica, f"its bytes differ from those at {source.location}")
        how = f"SHA-256 of every file read afresh, here and at {source.location}"
        return self._renewed(replica, here, how, {"compared_with": source.location})

    def _by_sync(self, actor: Actor, replica: Replica, source: Replica, manifest: Manifest, max_age_days: float) -> FreshProof:
        sums = self._looks.wanted(source)
        request = self._request_between(source, replica, sums)
        mover = self._looks.mover_between(request.source, request.destination)
        act = CompareAct(self._ledger, mover, _key(replica), replica.dataset_key, replica.id, request, manifest)
        act.gate = self._gate(actor, [source.location, replica.location])
        try:
            operation = carry_out(self._ledger, actor, act, after=replica.after_operation)
        except CopyMismatch as error:
            self._looks.suspect(replica, error.sentence)
            raise
        how = f"checksums of every file compared with {source.location} by Globus: nothing had to be moved"
        task = operation.outcome.get("task", {})
        more = {"compared_with": source.location, "task": task.get("task_id"), "link": operation.outcome.get("link", ""), "bytes_moved": 0}
        proof = self._renewed(replica, sums, how, more, operation.finished_at)
        return self._unless_old(actor, proof, max_age_days, by_this_process=act.seen is not None)

    def _unless_old(self, actor: Actor, proof: FreshProof, max_age_days: float, *, by_this_process: bool) -> FreshProof:
        """What an earlier process compared, and died before the record was told, is as old as it is: it may have to be done again."""
        proven_at = proof.replica.verified_at
        if by_this_process or (proven_at is not None and self._is_young(proven_at, max(max_age_days, _AS_GOOD_AS_NOW_DAYS))):
            return proof
        return self.prove(actor, proof.replica, max_age_days)

    def _by_fetch(self, actor: Actor, replica: Replica, manifest: Manifest, max_age_days: float) -> FreshProof:
        """Where no other copy can be read here: the sums on record are those of the bytes that were once read here."""
        fetched = self._fetcher.sums(actor, replica, manifest)
        found, evidence = fetched.sums, fetched.evidence
        try:
            if wrong := other_sums(manifest, found):
                raise self._suspect(replica, f"{len(wrong)} file(s) have another SHA-256 than when they were proven, first: {wrong[0]}")
            how = f"SHA-256 of every file read afresh, after they were fetched to {evidence['fetched_to']}"
            proof = self._renewed(replica, manifest, how, {"sha256": manifest.sha256, **evidence}, fetched.at)
        finally:
            self._fetcher.remove(replica)
        return self._unless_old(actor, proof, max_age_days, by_this_process=fetched.by_this_process)

    def _source(self, replica: Replica, place: Place) -> Replica:
        """A copy of the same bytes that is proven here and now, so that it can do no harm as a source."""
        begun = self._ledger.operations.open_with(_key(replica))
        copies = self._ledger.replicas.of(
            replica.dataset_key, product=replica.product, variant=replica.variant, state=ReplicaState.VERIFIED
        )
        for copy in copies:
            where = self._looks.place_of(copy)
            if copy.id == replica.id or not where.location.mounted:
                continue
            if begun is not None and begun.request["from"]["location"] != copy.location:
                continue  # the task that runs reads from another one
            try:
                if self._can_be_compared(copy, where, place, self._looks.wanted(replica)):
                    return copy
            except LocationAway:
                continue  # its disk is not mounted: it neither proves nor disproves anything
        raise NoVerifiedSource(
            f"There is nothing that the copy {replica.name} could be compared with: no other verified copy can be read here and proven, "
            "and its SHA-256 is not on record.",
            next_step="It cannot be proven, so nothing is deleted on the strength of it. Copy it to a place that is mounted here.",
        )

    def _can_be_compared(self, copy: Replica, where: Place, place: Place, manifest: Manifest) -> bool:
        if not self._looks.still_there(copy):
            return False
        known = self._looks.wanted(copy)
        if [(e.path, e.size_bytes) for e in known.entries] != [(e.path, e.size_bytes) for e in manifest.entries]:
            return False
        if not has_sums(known):
            return place.location.mounted  # both are read here; nothing is overwritten
        return self._looks.holds(copy, known)

    def _renewed(
        self, replica: Replica, manifest: Manifest, how: str, more: dict[str, Any], proven_at: datetime | None = None
    ) -> FreshProof:
        moment = (proven_at or self._ledger.clock()).isoformat(timespec="seconds")
        evidence = {**replica.evidence, "proven_again": f"{moment}: {how}"}
        words = f"proven again: {how}"
        row = self._ledger.replicas.verified(
            replica.id, manifest, why=words, evidence=evidence, sha256=manifest.sha256, proven_at=proven_at
        )
        return FreshProof(row, True, how, self._evidence(row, how, more))

    def _evidence(self, replica: Replica, how: str, more: Mapping[str, Any]) -> dict[str, Any]:
        proven = replica.verified_at.isoformat() if replica.verified_at else None
        row = {
            "location": replica.location,
            "path": replica.path,
            "looked_at": self._ledger.clock().isoformat(),
            "checksum_proven_at": proven,
        }
        return {**row, "how": how, **{name: value for name, value in more.items() if value is not None}}

    def _suspect(self, replica: Replica, why: str) -> CopyMismatch:
        self._looks.suspect(replica, why)
        return self._differs(replica, why)

    def _differs(self, replica: Replica, why: str) -> CopyMismatch:
        return CopyMismatch(
            f"The copy {replica.name} did not hold when it was proven again: {why}.",
            next_step=f"It counts for nothing until it is made again. Look at it: als scan show {replica.dataset_key}",
        )


def _key(replica: Replica) -> str:
    return f"prove:{replica.location}:{replica.path}"
