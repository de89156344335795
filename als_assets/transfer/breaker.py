"""When a collection fails several times in a row, nothing new is sent to it for a growing time; then one task tries it.

Here: that state, derived from the record of operations alone, so that all processes share it and no restart forgets it. Not here:
tasks that were accepted already: Globus keeps those, and so do we. Pattern: Nygard, "Release It!", circuit breaker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from als_assets.errors import CollectionResting
from als_assets.facility import Facility
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Actor
from als_assets.transfer.globus_outcomes import OUTCOMES

# So far back failures in a row are counted; longer than the longest rest.
WINDOW = timedelta(hours=6)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_KINDS = (OperationKind.TRANSFER, OperationKind.DELETE)


def caused_by_collection(code: str) -> bool:
    """Whether the code of an answer to a request blames a collection, not Globus and not the request."""
    return "ExternalError" in code or "EndpointError" in code or any(row.rests and row.code == code for row in OUTCOMES)


def trouble_of(code: str, words: str, now: datetime) -> dict[str, Any]:
    """What is kept of a collection's failure. Globus' words often name the collection by its id; then only that one is blamed."""
    return {"code": code, "words": words[:500], "since": now.isoformat(), "collections": sorted(set(_UUID.findall(words)))}


@dataclass(frozen=True)
class Rest:
    """A collection that failed ``failures`` times in a row; nothing new before ``until``."""

    collection: str
    failures: int
    since: datetime
    latest: datetime
    until: datetime
    why: str


class Breaker:
    def __init__(self, facility: Facility, ledger: Ledger) -> None:
        self._facility = facility
        self._ledger = ledger

    def rests(self) -> dict[str, Rest]:
        """Every collection that has failed too often in a row and has not succeeded since."""
        now = self._ledger.clock()
        recent = self._ledger.operations.recent(_KINDS, now - WINDOW)
        collections = {str(place.collection) for place in self._facility.locations.values() if place.collection is not None}
        return {c: rest for c in collections if (rest := self._rest(c, recent)) is not None}

    def sentence(self, rest: Rest) -> str:
        names = ", ".join(sorted(n for n, place in self._facility.locations.items() if str(place.collection) == rest.collection))
        return (
            f"The collection of {names} has failed {rest.failures} times in a row since {rest.since:%Y-%m-%d %H:%M} UTC "
            f"(last: {rest.why}); nothing new is sent to it until {rest.until:%H:%M:%S} UTC, then one task tries it."
        )

    def require(self, operation: Operation, locations: Sequence[str], actor: Actor) -> None:
        """Let a new task go, or keep its intent for later. Raises CollectionResting."""
        rests = self.rests()
        for collection in {str(self._facility.location(name).collection) for name in locations}:
            rest = rests.get(collection)
            if rest is None:
                continue
            wait_s = (rest.until - self._ledger.clock()).total_seconds()
            if wait_s > 0:
                raise self._resting(rest, "", wait_s)
            self._become_the_probe(operation, rest, actor)

    def _become_the_probe(self, operation: Operation, rest: Rest, actor: Actor) -> None:
        """First say so on record, then look: of two that do so at once each sees the other, and steps back."""
        claims = {**operation.handle.get("probes", {}), rest.collection: self._ledger.clock().isoformat()}
        self._ledger.operations.annotate(operation, probes=claims)
        for other in self._ledger.operations.open_ones():
            if other.id != operation.id and self._tries(other, rest, actor):
                self._ledger.operations.annotate(operation, probes={**claims, rest.collection: None})
                raise self._resting(rest, f" {other.key} tries it now.", self._facility.globus.rest_s)

    def _tries(self, other: Operation, rest: Rest, actor: Actor) -> bool:
        """Whether another operation is the probe: its claim is newer than the last failure, its run lives, and it has sent its task or
        is about to."""
        claimed = other.handle.get("probes", {}).get(rest.collection)
        if not claimed or other.holder is None or actor.may_take_over(other.holder):
            return False
        moment = datetime.fromisoformat(claimed)
        fresh = self._ledger.clock() - moment <= timedelta(seconds=self._facility.globus.rest_s)
        return moment > rest.latest and (fresh or other.state is OperationState.SUBMITTED)

    def _resting(self, rest: Rest, more: str, wait_s: float) -> CollectionResting:
        return CollectionResting(
            f"{self.sentence(rest)}{more}",
            next_step="Nothing to do: the work is kept and the step tries again by itself. When it lasts: ask the collection's manager.",
            retry_s=max(wait_s, 1.0),
        )

    def _rest(self, collection: str, operations: Sequence[Operation]) -> Rest | None:
        now = self._ledger.clock()
        # What is said to happen later was noted by a clock that has been set back since.
        told = (event for o in operations if (event := self._event(o, collection)) is not None and event[0] <= now)
        events = sorted(told, key=lambda event: event[0], reverse=True)
        failures = []
        for moment, why in events:
            if why is None:
                break
            failures.append((moment, why))
        globus = self._facility.globus
        if len(failures) < globus.rest_after_failures:
            return None
        latest, why = failures[0]
        rest_s = min(globus.rest_s * 2 ** (len(failures) - globus.rest_after_failures), globus.rest_most_s)
        return Rest(collection, len(failures), failures[-1][0], latest, latest + timedelta(seconds=rest_s), why)

    def _event(self, operation: Operation, collection: str) -> tuple[datetime, str | None] | None:
        """When the operation failed because of the collection and why, or when it succeeded (None); None when it says nothing."""
        if collection not in self._collections(operation):
            return None
        if operation.state is OperationState.SUCCEEDED and operation.finished_at is not None:
            return operation.finished_at, None
        trouble = (operation.handle if operation.finished_at is None else operation.outcome).get("trouble")
        if not trouble or (trouble["collections"] and collection not in trouble["collections"]):
            return None
        return operation.finished_at or datetime.fromisoformat(trouble["since"]), f"{trouble['code']}, {operation.key}"

    def _collections(self, operation: Operation) -> set[str]:
        named = (operation.request.get(side, {}).get("location") for side in ("from", "to", "delete"))
        places = (self._facility.locations.get(name) for name in named if name)
        return {str(place.collection) for place in places if place is not None}
