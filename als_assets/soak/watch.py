"""The watch: judges every deletion when it is asked for, and the whole record against the whole world every hour.

Here: the promises, counted from what really lies in the world and not from what the record believes. Not here: how anything is done.
The judgement is written anew on purpose: a mistake in ``retention`` must not excuse itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

import sqlalchemy as sa

from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import Audit, Ledger, Replica, ReplicaState
from als_assets.ledger.database import reading
from als_assets.ledger.products import RAW, STAGED_RAW
from als_assets.soak.world import What, World


@dataclass
class Watch:
    """``broken`` are sentences about promises that were not kept; it must stay empty."""

    facility: Facility
    ledger: Ledger
    world: World
    policy: Callable[[], Retention]
    broken: list[str] = field(default_factory=list)
    deletions: int = 0
    checks: int = 0
    left: dict[str, int] = field(default_factory=dict)  # raw copies that must be left of a scan since one was deleted
    _seen: int = 0

    def deleting(self, path: str, recursive: bool) -> None:
        """A deletion was accepted: is it allowed, by what lies in the world now?"""
        self.deletions += 1
        what = self.world.owner.get(path)
        if what is None or path not in self.world.blobs:
            return  # nothing of ours is there: nothing is lost
        if recursive and list(self.world.blobs[path]) == [""]:
            self.broken.append(f"{path}: a file was deleted as if it were a folder")
        row = self._row(path)
        if row is None or row.state is not ReplicaState.DELETING:
            self.broken.append(f"{path}: deleted, but the record does not say that it is being deleted")
            return
        if self.ledger.holds.on(self.ledger.datasets.get(what[0])) is not None:
            self.broken.append(f"{path}: deleted although somebody holds it")
        rule = self._rule(path)
        if rule is None:
            self.broken.append(f"{path}: deleted without a rule")
        elif what[1] == RAW:
            self._raw(path, what, rule)
        elif not self._product_may_go(path, what, rule):
            self.broken.append(f"{path}: deleted, and no good copy or recipe is left")

    def passed_on(self, path: str) -> None:
        """A copy was made from one that is not what it should be. Of a raw file whose SHA-256 is on record that must be impossible."""
        what = self.world.owner[path]
        if self._row(path) is None:
            return  # fetched to be hashed: that is no copy
        if what[1] == RAW and self.ledger.replicas.raw_sha256(what[0]) == sha256(self.world.truth[what][""]).hexdigest():
            self.broken.append(f"{path}: copied from a spoilt raw file, although its SHA-256 is on record")

    def _raw(self, path: str, what: What, rule: RetentionRule) -> None:
        wanted = rule.raw if what[0] in self.left else _stricter(rule.raw, self.policy().first_raw)
        good = [p for p in self._others(path, what) if self._good(p, rule.proof_max_age_days)]
        sites = {self._site(p) for p in good}
        archive = any(self.facility.location(_location(p)).location_class is LocationClass.ARCHIVE for p in good)
        enough = len(good) >= wanted.copies and len(sites) >= wanted.sites and sites - {self._site(path)}
        if not enough or (wanted.archive and not archive):
            self.broken.append(f"{path}: deleted, but only {sorted(good)} are left of the raw file (wanted {wanted})")
        self.left[what[0]] = wanted.copies

    def _product_may_go(self, path: str, what: What, rule: RetentionRule) -> bool:
        raw = [p for p, w in self._of(what[0]) if w[1] == RAW and self._good(p, rule.proof_max_age_days)]
        if what[1] == STAGED_RAW:
            return bool(raw)
        good = {self._site(p) for p in self._others(path, what) if self._good(p, rule.proof_max_age_days)} - {self._site(path)}
        return len(good) >= rule.verified_copies_elsewhere or (bool(raw) and what[2] != "no-recipe")

    def _good(self, path: str, days: float) -> bool:
        """Whole; or rotten in a way that nobody could see: not where checksums are read, not since they had to be compared again, and
        not since they were compared again on record."""
        if self.world.intact(path):
            return True
        row = self._row(path)
        if self.world.spoiled.get(path) != "rot" or row is None or row.verified_at is None:
            return False
        unseen = not self.facility.location(row.location).mounted or row.sha256 is None
        young = timedelta(0) <= self.ledger.clock() - row.verified_at <= timedelta(days=days)
        return unseen and young and self._proofs_since_spoiled(row, path) <= (path in self.world.arrived_spoiled)

    def _blind(self, path: str) -> bool:
        """Whether a copy was proven after something had happened to it that its size tells."""
        row = self._row(path) if self.world.spoiled.get(path, "rot") != "rot" else None
        return row is not None and self._proofs_since_spoiled(row, path) > 0

    def _proofs_since_spoiled(self, row: Replica, path: str) -> int:
        """How often it was called verified since it was spoiled. Once is no fault of ours where it was damaged on its way here."""
        later = (Audit.dataset_key == row.dataset_key, Audit.id > self.world.spoiled_after[path], Audit.after == ReplicaState.VERIFIED)
        with reading(self.ledger.engine) as session:
            records = session.scalars(sa.select(Audit.record).where(*later)).all()
        return sum(record is not None and record["id"] == row.id for record in records)

    def hourly(self, *, everything: bool = False) -> None:
        """The record against the world: all of it, or the scans to which anything has happened since the last check (a promise that
        was kept stays kept while nothing happens)."""
        self.checks += 1
        touched = self._touched()
        datasets = {what[0] for what in self.world.truth} if everything else touched & {what[0] for what in self.world.truth}
        rows: dict[str, list[tuple[str, ReplicaState]]] = {}
        for dataset, location, path, state in self._rows(None if everything else datasets):
            rows.setdefault(dataset, []).append((f"/{location}/{path}", state))
        for dataset in datasets:
            self._check(dataset, rows.get(dataset, []))

    def _check(self, dataset: str, rows: list[tuple[str, ReplicaState]]) -> None:
        kept = 0
        for key, state in rows:
            whole = self.world.intact(key)
            if state is ReplicaState.VERIFIED and not whole and key not in self.world.spoiled:
                self.broken.append(f"{key}: verified on record, but not what it should be, and nothing happened to it")
            if state is ReplicaState.VERIFIED and not whole and self._blind(key):
                self.broken.append(f"{key}: called verified after it was spoiled ({self.world.spoiled[key]}), which every look shows")
            if state in (ReplicaState.SUSPECT, ReplicaState.LOST) and whole and dataset not in self.world.ever_spoiled:
                self.broken.append(f"{key}: {state} on record, and nothing ever happened to any copy of it")
            if state is ReplicaState.DELETED and key in self.world.blobs:
                self.broken.append(f"{key}: deleted on record, but it is there")
            kept += self.world.owner.get(key, ("", "", ""))[1] == RAW and (whole or key in self.world.spoiled)
        if kept < self.left.get(dataset, 1):
            self.broken.append(f"{dataset}: {kept} raw copies are left, {self.left.get(dataset, 1)} must be")

    def _touched(self) -> set[str]:
        """Scans that the audit or the world have changed since the last call."""
        with reading(self.ledger.engine) as session:
            rows = session.execute(sa.select(Audit.id, Audit.dataset_key).where(Audit.id > self._seen)).all()
        self._seen = max([self._seen, *(number for number, _ in rows)])
        touched, self.world.touched = {key for _, key in rows} | self.world.touched, set()
        return {key for key in touched if key}

    def _rows(self, datasets: set[str] | None) -> list[tuple[str, str, str, ReplicaState]]:
        query = sa.select(Replica.dataset_key, Replica.location, Replica.path, Replica.state)
        with reading(self.ledger.engine) as session:
            if datasets is None:
                return [(a, b, c, d) for a, b, c, d in session.execute(query)]
            found = []
            for some in batched(sorted(datasets), 500):
                found += [(a, b, c, d) for a, b, c, d in session.execute(query.where(Replica.dataset_key.in_(some)))]
            return found

    def _of(self, dataset: str) -> list[tuple[str, What]]:
        rows = self.ledger.replicas.of(dataset)
        paths = [f"/{r.location}/{r.path}" for r in rows]
        return [(p, self.world.owner[p]) for p in paths if p in self.world.owner]

    def _others(self, path: str, what: What) -> list[str]:
        return [p for p, w in self._of(what[0]) if w == what and p != path]

    def _row(self, path: str) -> Replica | None:
        return self.ledger.replicas.at(_location(path), path.split("/", 2)[2])

    def _site(self, path: str) -> str:
        return self.facility.site_of(_location(path))

    def _rule(self, path: str) -> RetentionRule | None:
        location = _location(path)
        return self.policy().rule_for(location, self.facility.location(location).location_class)


def _location(path: str) -> str:
    return path.split("/")[1]


def _stricter(a: RawLeft, b: RawLeft) -> RawLeft:
    return RawLeft(copies=max(a.copies, b.copies), sites=max(a.sites, b.sites), archive=a.archive or b.archive)


def batched(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
