"""Deleting copies that are due: prove, claim, ask once more whether somebody wants them, then delete; and finishing what was cut off.

Here: the order of these steps. Not here: what is due (``plan``), the phases before (``prune``), and calling a deletion off
(``calling_off``). A copy is claimed (state DELETING) before the last question is asked, so that whoever says *keep* is either seen here
or finds a copy that is no source any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from als_assets.errors import AlsError, NoVerifiedSource, PruneBlocked
from als_assets.facility import Facility
from als_assets.facility.retention import Retention, RetentionRule
from als_assets.ledger import Ledger, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.retention.calling_off import call_off, operation_of
from als_assets.retention.evidence import Judge
from als_assets.retention.plan import PlanLine
from als_assets.retention.proving import check_proof, wanted_by
from als_assets.retention.snapshot import Copy, Snapshot, snapshot_of
from als_assets.transfer import TransferService

Claim = tuple[Replica, dict[str, Any]]  # a copy in state DELETING, and the evidence that it may go


@dataclass(frozen=True)
class Pruned:
    """What became of a copy: announced, waiting, deleted, blocked, called off; in a dry run: would announce, would delete.
    ``words`` say it for people."""

    dataset_key: str
    what: str
    location: str
    outcome: str
    words: str
    size_bytes: int = 0


@dataclass
class Deleter:
    """Deletes for one actor under one policy. Where nothing answers, or everything is paused, the actor waits once a round."""

    facility: Facility
    retention: Retention
    ledger: Ledger
    transfers: TransferService
    actor: Actor

    def delete(self, lines: Sequence[PlanLine]) -> list[Pruned]:
        """Delete the copies of these lines of a plan, or say what keeps them."""
        claims: list[Claim] = []
        done: list[Pruned] = []
        for line in lines:
            try:
                claims.append(self._claim(line))
            except AlsError as error:
                done.append(told(self.ledger.replicas.get(line.replica_id), "blocked", _words(error)))
                self.actor = self.actor.after(error)
        return done + self._carry_out(claims)

    def finish(self) -> list[Pruned]:
        """Carry on deletions that were cut off: one that the remote side has is followed to its end; any other is judged anew by the
        policy and the record as they are now, proven again, and called off when that fails."""
        claims: list[Claim] = []
        done: list[Pruned] = []
        cut_off = {replica.id: replica for replica in self.ledger.replicas.in_state(ReplicaState.DELETING)}
        snapshot = snapshot_of(self.ledger) if cut_off else Snapshot((), {})
        judge = Judge(self.facility, self.retention, snapshot)
        for copy in snapshot.copies:
            replica = cut_off.get(copy.id)
            if replica is None:
                continue
            operation = operation_of(self.ledger, replica)
            if operation is not None and operation.state is OperationState.SUBMITTED:
                claims.append((replica, dict(operation.request["proof"])))
                continue
            try:
                claims.append((replica, self._judged(judge, copy, replica)))
            except (NoVerifiedSource, PruneBlocked) as reason:
                done.append(self._called_off(replica, reason))
            except AlsError as error:
                done.append(told(replica, "blocked", _words(error)))
                self.actor = self.actor.after(error)
        return done + self._carry_out(claims)

    def _judged(self, judge: Judge, copy: Copy, replica: Replica) -> dict[str, Any]:
        rule = self._rule(replica)
        found = judge.proof_for(copy, rule) if rule is not None else None
        if found is None or found.missing:
            reason = found.missing if found is not None else "no rule lets it go any more"
            raise PruneBlocked(f"{replica.name} is kept: {reason}; nothing was deleted.", next_step="Nothing to do: it is kept.")
        return self._proof(replica, [c.id for c in found.copies], str(replica.evidence.get("why", "")))

    def _claim(self, line: PlanLine) -> Claim:
        """Raises AlsError when the copy must stay; it is as it was then."""
        replica = self.ledger.replicas.get(line.replica_id)
        proof = self._proof(replica, line.proof, line.why)
        replica = self.ledger.replicas.get(line.replica_id)  # it may have been proven, too
        why = f"due by policy ({line.why}); the proof was looked at again"
        evidence = {**replica.evidence, **proof}
        return self.ledger.replicas.move(replica.id, ReplicaState.DELETING, why=why, evidence=evidence, while_verified=line.proof), proof

    def _proof(self, replica: Replica, proof_ids: Sequence[int], why: str) -> dict[str, Any]:
        rule = self._rule(replica)
        limit = rule.proof_max_age_days if rule is not None else 0.0
        rows = check_proof(self.ledger, self.transfers, self.actor, replica, proof_ids, limit)
        return {"copies": rows, "why": why}

    def _rule(self, replica: Replica) -> RetentionRule | None:
        return self.retention.rule_for(replica.location, self.facility.location(replica.location).location_class)

    def _carry_out(self, claims: Sequence[Claim]) -> list[Pruned]:
        kept = wanted_by(self.ledger, (replica.dataset_key for replica, _ in claims)) if claims else {}
        done = [self._called_off(replica, kept[replica.dataset_key]) for replica, _ in claims if replica.dataset_key in kept]
        wanted = [(replica, proof) for replica, proof in claims if replica.dataset_key not in kept]
        ends = self.transfers.delete_replicas(self.actor, wanted) if wanted else []
        for (replica, proof), end in zip(wanted, ends, strict=True):
            if end.error is None:
                done.append(told(replica, "deleted", deleted_words(self.ledger.clock(), replica, proof)))
            else:
                done.append(told(replica, "blocked", _words(end.error)))
                self.actor = self.actor.after(end.error)
        return done

    def _called_off(self, replica: Replica, reason: AlsError) -> Pruned:
        found = call_off(self.ledger, self.transfers, self.actor, replica, reason.sentence)
        return told(replica, "called off", f"{_words(reason)} {found}")


def deleted_words(now: datetime, replica: Replica, proof: Mapping[str, Any]) -> str:
    """'pruned on 2026-03-17; 2 copies remain at data832_raw, nersc832_alsdev_raw'."""
    rows = proof["copies"]
    places = ", ".join(row["location"] for row in rows)
    if any(row.get("product", replica.product) != replica.product for row in rows):
        return f"pruned on {now:%Y-%m-%d}; it can be made again from the raw file at {places}"
    return f"pruned on {now:%Y-%m-%d}; {len(rows)} {'copy remains' if len(rows) == 1 else 'copies remain'} at {places}"


def told(replica: Replica, outcome: str, words: str) -> Pruned:
    return Pruned(replica.dataset_key, replica.product, replica.location, outcome, words, replica.size_bytes or 0)


def _words(error: AlsError) -> str:
    return f"{error.sentence} {error.next_step}"
