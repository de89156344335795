"""Which other copies prove that one may go, or what is missing, in words.

Here: the choice of proof copies, pure. Not here: ages, holds and pressure (``plan``), and looking at the copies (``prune``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import ReplicaState
from als_assets.ledger.products import RAW, STAGED_RAW
from als_assets.retention.snapshot import Copy, ProductKey, Snapshot


@dataclass(frozen=True)
class Proof:
    """``copies`` stand for the one that may go; ``missing`` says why they do not (then it stays). ``regenerable``: the product can be
    made again from them, they are not copies of it."""

    copies: tuple[Copy, ...]
    missing: str = ""
    regenerable: bool = False

    def stale(self, limit: timedelta, now: datetime) -> tuple[Copy, ...]:
        """Those whose last proof is too old. One from the future is no proof: a clock was wrong."""
        return tuple(c for c in self.copies if not timedelta(0) <= now - c.proven_at <= limit)


class Judge:
    """Finds the proof for copies of one snapshot. Only copies in state VERIFIED prove anything."""

    def __init__(self, facility: Facility, retention: Retention, snapshot: Snapshot) -> None:
        self._facility = facility
        self._retention = retention
        self._snapshot = snapshot
        self._by_product: dict[ProductKey, list[Copy]] = {}
        for copy in sorted(snapshot.copies, key=lambda c: (c.proven_at, -c.id), reverse=True):
            if copy.state is ReplicaState.VERIFIED:
                self._by_product.setdefault(copy.of, []).append(copy)
        self._archives = {name: _archives_of(facility, name) for name in facility.beamlines}

    def proof_for(self, copy: Copy, rule: RetentionRule) -> Proof:
        if copy.product == RAW:
            return self._raw_proof(copy, self.raw_wanted(copy, rule))
        if copy.product == STAGED_RAW:
            raw = self._by_product.get((copy.dataset_key, RAW, ""), [])
            missing = "" if raw else "no copy of the raw file is verified, and this is one"
            return Proof(tuple(raw[:1]), missing, regenerable=True)
        return self._product_proof(copy, rule)

    def raw_wanted(self, copy: Copy, rule: RetentionRule) -> RawLeft:
        """What must be left when a raw copy goes: that of its rule, and of ``first_raw`` while none has gone."""
        gone = copy.dataset_key in self._snapshot.raw_gone
        return rule.raw if gone else rule.raw.at_least(self._retention.first_raw)

    def _raw_proof(self, copy: Copy, wanted: RawLeft) -> Proof:
        others = [c for c in self._by_product.get(copy.of, []) if c.location != copy.location]
        if not others:
            return Proof((), "it is the only verified copy of the raw file")
        if (suspect := self._snapshot.disputed.get(copy.dataset_key)) is not None:
            # They agree with each other and not with that one: it may be the only good one.
            words = f"the raw copy at {suspect} is suspect; until it is known which copy is right, none goes"
            return Proof((), f"{words} (als copy prove {copy.dataset_key} --at {suspect})")
        archive = wanted.archive and bool(self._archives.get(self._snapshot.scans[copy.dataset_key].beamline))
        chosen = self._choose(copy, others, wanted, archive)
        where = self._where(others)
        if archive and not any(self._is_archive(c) for c in chosen):
            return Proof(tuple(chosen), f"no verified copy is in an archive (verified: {where})")
        sites = {self._site(c) for c in chosen}
        if len(chosen) < wanted.copies or len(sites) < wanted.sites or sites == {self._site(copy)}:
            at = f"at {wanted.sites} different sites" if wanted.sites > 1 else "at another site"
            words = f"{len(others)} other verified {'copy' if len(others) == 1 else 'copies'} ({where})"
            return Proof(tuple(chosen), f"{words}; {wanted.copies} {at} must be left")
        return Proof(tuple(chosen))

    def _choose(self, copy: Copy, others: Sequence[Copy], wanted: RawLeft, archive: bool) -> list[Copy]:
        """A small set that meets the wish if one does, of the most recently proven: an archive, another site, new sites, the rest."""
        chosen: list[Copy] = []
        if archive:
            chosen += [c for c in others if self._is_archive(c)][:1]
        if not any(self._site(c) != self._site(copy) for c in chosen):
            chosen += [c for c in others if self._site(c) != self._site(copy)][:1]
        for other in others:
            if len({self._site(c) for c in chosen}) < wanted.sites and self._site(other) not in {self._site(c) for c in chosen}:
                chosen.append(other)
        for other in others:
            if len(chosen) < wanted.copies and other not in chosen:
                chosen.append(other)
        return chosen

    def _product_proof(self, copy: Copy, rule: RetentionRule) -> Proof:
        wanted = rule.verified_copies_elsewhere
        newest: dict[str, Copy] = {}
        for other in self._by_product.get(copy.of, []):
            if self._site(other) != self._site(copy):
                newest.setdefault(self._site(other), other)
        copies = tuple(newest.values())[:wanted]
        if len(copies) == wanted:
            return Proof(copies)
        raw = tuple(self._by_product.get((copy.dataset_key, RAW, ""), [])[:1])
        recipe = copy.of in self._snapshot.recipes
        if raw and recipe:
            return Proof(raw, regenerable=True)
        words = f"{len(copies)} verified {'copy' if len(copies) == 1 else 'copies'} at other sites, {wanted} required"
        why = "no raw file is verified" if recipe else "its parameters or the digest of its image are not on record"
        return Proof(copies, f"{words}, and it cannot be made again: {why}")

    def _site(self, copy: Copy) -> str:
        return self._facility.site_of(copy.location)

    def _is_archive(self, copy: Copy) -> bool:
        return self._facility.location(copy.location).location_class is LocationClass.ARCHIVE

    def _where(self, copies: Sequence[Copy]) -> str:
        return ", ".join(sorted(c.location for c in copies))


def _archives_of(facility: Facility, beamline: str) -> list[str]:
    """The archives among the places that play a part for a beamline."""
    parts = [value for _, value in facility.beamlines[beamline] if isinstance(value, str) and value in facility.locations]
    return [name for name in parts if facility.location(name).location_class is LocationClass.ARCHIVE]
