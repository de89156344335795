"""Settling a doubtful copy by hand: somebody has every byte of it read, vouches for it, or calls it lost; with name, reason, evidence.

Here: what a person may say about a copy, and what must be true for it. Not here: proofs that machines ask for (``proving``). Nothing here
writes to or deletes any file: the bytes of a doubtful copy may be the only good ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from als_assets.errors import AlsError, CopyMismatch, LedgerError, LocationAway, NoVerifiedSource
from als_assets.ledger import Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import RAW
from als_assets.transfer.fetching import Fetcher
from als_assets.transfer.looking import Looks, has_sums, manifest_of, other_sums
from als_assets.words import size_words

S = ReplicaState


class Settling:
    def __init__(self, ledger: Ledger, looks: Looks, fetcher: Fetcher) -> None:
        self._ledger, self._looks, self._fetcher = ledger, looks, fetcher

    def prove(self, actor: Actor, replica: Replica, *, who: str, reason: str) -> Replica:
        """Look at a SUSPECT copy once more, with every byte: VERIFIED if it is what was proven.

        Raises:
            CopyMismatch: it is not; it stays SUSPECT, and what was found is in the audit.
            NoVerifiedSource: no SHA-256 is known that it could be compared with, or there is no room to fetch it.
            LedgerError: it is not SUSPECT.
        """
        replica = self._suspect_one(replica)
        wanted, known_from = self._wanted(replica)
        with self._read_again(actor, replica, wanted, who, reason) as (sums, more):
            return self._judge(replica, wanted, sums, who, reason, {"sums_known_from": known_from, **more})

    def adopt(self, actor: Actor, replica: Replica, *, who: str, reason: str) -> Replica:
        """A person says that a SUSPECT raw copy is the raw file, although the record knows another SHA-256: every byte of it is read, and
        its sum counts from now on. Verified copies with the other sum become SUSPECT.

        Raises:
            CopyMismatch: its files or sizes are not those on record; it stays SUSPECT.
            NoVerifiedSource: there is no room to fetch it.
            LedgerError: it is not SUSPECT, or no raw file.
        """
        replica = self._suspect_one(replica)
        wanted = manifest_of(replica)
        if replica.product != RAW or not wanted.is_single_file:
            raise LedgerError(f"{replica.name} is no raw file.", next_step="Results are made again: re-execute the step that makes them.")
        with self._read_again(actor, replica, wanted, who, reason) as (sums, more):
            was = {"sha256_before": self._ledger.replicas.raw_sha256(replica.dataset_key)}
            evidence = {**replica.evidence, **more, **was, "settled_by": who, "reason": reason, "how": "SHA-256 of the file read afresh"}
            why = f"{who} says that this is the raw file, whatever was on record: {reason}"
            return self._ledger.replicas.adopted(replica.id, sums, why=why, evidence=evidence, who=who)

    @contextmanager
    def _read_again(
        self, actor: Actor, replica: Replica, wanted: Manifest, who: str, reason: str
    ) -> Iterator[tuple[Manifest, dict[str, Any]]]:
        """The sums of every file as it lies there now, and evidence. What was fetched for it is kept as long as the block lasts."""
        found = self._looks.listing(replica)
        wrong = ["nothing is there"] if found is None else wanted.differences(found)
        if wrong:
            raise self._still_wrong(replica, who, reason, "; ".join(wrong), {"files": _short(found)})
        place = self._looks.place_of(replica)
        if place.location.mounted:
            yield self._looks.sums(place, wanted), {}
            return
        fetched = self._fetcher.sums(actor, replica, wanted)
        try:
            yield fetched.sums, fetched.evidence
        finally:
            self._fetcher.remove(replica)

    def declare_lost(self, replica: Replica, *, who: str, reason: str) -> Replica:
        """Somebody says that a copy is lost: it counts for nothing any more. ``evidence["lies_there"]`` is what was seen.

        Raises:
            CopyMismatch: it is verified, and there with its files and sizes.
            ServiceUnreachable: it is verified, and nothing can be said about it now.
            IllegalTransition: it is neither verified nor suspect.
        """
        replica = self._ledger.replicas.get(replica.id)
        lies_there = self._what_lies_there(replica)
        if replica.state is S.VERIFIED:
            if lies_there == "what was proven":
                raise CopyMismatch(
                    f"The copy {replica.name} is there with its files and sizes; it is not lost.",
                    next_step="Nothing was changed. If its bytes are doubted: als copy prove reads all of them.",
                )
            replica = self._ledger.replicas.move(replica.id, S.SUSPECT, why=f"looked at for {who}: {lies_there}", who=who)
        evidence = {**replica.evidence, "declared_lost_by": who, "reason": reason, "lies_there": lies_there}
        return self._ledger.replicas.move(replica.id, S.LOST, why=f"{who} declared it lost: {reason}", evidence=evidence, who=who)

    def _suspect_one(self, replica: Replica) -> Replica:
        replica = self._ledger.replicas.get(replica.id)
        if replica.state is not S.SUSPECT:
            raise LedgerError(f"The copy {replica.name} is {replica.state}, not suspect.", next_step="Nothing to do.")
        return replica

    def _wanted(self, replica: Replica) -> tuple[Manifest, str]:
        """The files that the copy must hold, with sums, and whose word that is: its own, or that of a verified copy of the same."""
        own = self._looks.wanted(replica)
        if has_sums(own):
            return own, replica.location if has_sums(manifest_of(replica)) else "the record of this scan's raw file"
        for other in self._ledger.replicas.of(
            replica.dataset_key, product=replica.product, variant=replica.variant, state=ReplicaState.VERIFIED
        ):
            known = manifest_of(other)
            if has_sums(known):
                return known, other.location
        raise NoVerifiedSource(
            f"No SHA-256 is on record that the copy {replica.name} could be compared with.",
            next_step="It stays suspect. Make it again from a verified copy, or declare it lost: als copy replace, als copy lost.",
        )

    def _judge(self, replica: Replica, wanted: Manifest, found: Manifest, who: str, reason: str, more: dict[str, Any]) -> Replica:
        wrong = other_sums(wanted, found)
        if wrong:
            sums = {"first_file": wrong[0], "found_sha256": {e.path or "the file": e.sha256 for e in found.entries}.get(wrong[0])}
            raise self._still_wrong(replica, who, reason, f"{len(wrong)} file(s) have another SHA-256, first: {wrong[0]}", {**more, **sums})
        evidence = {**replica.evidence, **more, "settled_by": who, "reason": reason, "how": "SHA-256 of every file read afresh"}
        why = f"{who} had every byte read again, and it is what it should be: {reason}"
        return self._ledger.replicas.verified(replica.id, found, why=why, evidence=evidence, sha256=found.sha256, who=who)

    def _still_wrong(self, replica: Replica, who: str, reason: str, wrong: str, evidence: dict[str, Any]) -> CopyMismatch:
        why = f"{who} had it looked at again ({reason}): {wrong}"
        self._ledger.audit.note(replica.name, why=why, dataset_key=replica.dataset_key, evidence=evidence, who=who)
        return CopyMismatch(
            f"The copy {replica.name} is not what it should be: {wrong}. It stays suspect.",
            next_step="If another copy is right: als copy replace makes it again from that one. If it is beyond help: als copy lost.",
        )

    def _what_lies_there(self, replica: Replica) -> str:
        try:
            found = self._looks.listing(replica)
        except LocationAway:
            return "its disk is not mounted, or was emptied"
        except AlsError as error:
            if replica.state is S.VERIFIED:
                raise  # an outage is no reason to doubt what was proven
            return f"it cannot be looked at: {error.sentence}"
        wrong = ["nothing is there"] if found is None else manifest_of(replica).differences(found)
        return "; ".join(wrong) or "what was proven"


def _short(found: dict[str, int] | None) -> str:
    return "nothing" if found is None else f"{len(found)} file(s), {size_words(sum(found.values()))}"
