"""Bringing to SciCat what is due: once at once, and from the outbox for as long as SciCat is not there.

Here: the order, what waits, what is refused, and who writes. Not here: rows (``ledger.outbox``), requests (``ensure``), and what a
record says. An outage is never an error of the step that made the record: it waits and says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.act import CatalogueAct, lifecycle_act, record_act
from als_assets.catalogue.lifecycle import Standing
from als_assets.catalogue.model import Record
from als_assets.catalogue.rights import check_rights
from als_assets.catalogue.stored import from_json, to_json
from als_assets.errors import AlsError, ConfigError, CredentialsRejected, HeldElsewhere, LeaseLost, ServiceUnreachable
from als_assets.ledger import Ledger, OutboxKind, OutboxRow
from als_assets.ledger.acting import Actor, carry_out
from als_assets.ledger.workers import Life, boot_id, process_started


class Fate(StrEnum):
    """What became of a row."""

    WRITTEN = "written"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True)
class Delivery:
    """A row after an attempt. ``error`` is why it was refused, or what about our account keeps it waiting."""

    row: OutboxRow
    fate: Fate
    error: AlsError | None = None

    @property
    def sentence(self) -> str:
        """For staff."""
        if self.fate is Fate.WRITTEN:
            return str(self.row.outcome.get("sentence", "the record is written"))
        if self.fate is Fate.REFUSED:
            return str(self.row.last_error)
        reason = f" {self.row.last_error}" if self.row.last_error else ""
        return f"waiting for SciCat since {self.row.enqueued_at:%Y-%m-%d %H:%M:%S} UTC.{reason}"


class DeliveryService:
    """Records and lifecycles on their way to SciCat. ``accounts`` is called when SciCat is first needed."""

    def __init__(self, ledger: Ledger, accounts: Callable[[], Accounts]) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._draining = threading.Lock()

    @cached_property
    def missing_rights(self) -> list[str]:
        """What our accounts lack on this SciCat, in sentences, as far as it tells without a test record; asked once in a process.

        Raises:
            ServiceUnreachable: SciCat does not answer; the next call asks again.
        """
        return check_rights(self._accounts(), write=False).problems

    def deliver(self, actor: Actor, record: Record, kind: OutboxKind, variant: str = "") -> Delivery:
        """Put a record into the outbox and try once; WRITTEN or WAITING.

        Raises:
            AlsError: SciCat refused this record (the row stays open, for ``drain`` to leave alone), it must not leave the ALS, or our
                account is not accepted (the row waits).
            LeaseLost: another run took over.
        """
        row = self._ledger.outbox.enqueue(record.pid, record.dataset_key, kind, to_json(record), variant)
        if self._ledger.outbox.ahead_of(row) or self._known_down():
            return Delivery(self._ledger.outbox.get(row.id), Fate.WAITING)
        delivery = self._try(actor, row)
        if delivery.error is not None:
            raise delivery.error
        return delivery

    def drain(self, actor: Actor, *, limit: int = 50, budget_s: float = 20.0) -> list[Delivery]:
        """Try what is due, in order, for about ``budget_s``; stops at an outage. Nothing where another drain of this process goes on."""
        if not self._draining.acquire(blocking=False):
            return []
        try:
            return self._drain(replace(actor, wait=_not_here), limit, time.monotonic() + budget_s)
        finally:
            self._draining.release()

    def _drain(self, actor: Actor, limit: int, end: float) -> list[Delivery]:
        done: list[Delivery] = []
        for row in self._ledger.outbox.due(limit):
            if time.monotonic() > end:
                break
            if self._ledger.outbox.ahead_of(row):  # what belongs to the same scan goes in its order
                continue
            try:
                delivery = self._try(actor, row)
            except (HeldElsewhere, LeaseLost) as busy:
                actor.tell(f"{row.pid}: {busy.sentence}")
                continue
            done.append(delivery)
            if delivery.fate is Fate.WAITING and (delivery.error is not None or self._is_down()):
                self._ledger.outbox.delay_all(delivery.row.next_try_at or self._ledger.clock())
                break
        return done

    def _try(self, actor: Actor, row: OutboxRow) -> Delivery:
        outbox = self._ledger.outbox
        try:
            # A newer body is another intent, even where an older one was written a moment ago.
            operation = carry_out(self._ledger, actor, self._act(row), after=row.after_operation)
        except ServiceUnreachable as error:
            return Delivery(outbox.delay(row.id, error.sentence), Fate.WAITING)
        except (HeldElsewhere, LeaseLost):
            raise
        except (CredentialsRejected, ConfigError) as error:  # about us, not about this record: it is written once that is mended
            return Delivery(outbox.delay(row.id, f"{error.sentence} {error.next_step}"), Fate.WAITING, error)
        except AlsError as error:
            now = outbox.get(row.id)
            if now.attempts > row.attempts and now.next_try_at is not None:  # the run that we followed found SciCat down
                return Delivery(now, Fate.WAITING)
            return Delivery(outbox.park(row.id, f"{error.sentence} {error.next_step}"), Fate.REFUSED, error)
        outbox.done(row, operation.outcome)
        return Delivery(outbox.get(row.id), Fate.WRITTEN)

    def _act(self, row: OutboxRow) -> CatalogueAct:
        if row.kind is OutboxKind.LIFECYCLE:
            return lifecycle_act(self._accounts(), row.dataset_key, row.pid, Standing.from_json(row.body))
        return record_act(self._accounts(), from_json(row.body))

    def _known_down(self) -> bool:
        """A moment ago SciCat was not there: nothing is asked of it until the next attempt of what waits, and this waits with it."""
        outbox = self._ledger.outbox
        until = outbox.resting_until()
        if until is None or until <= self._ledger.clock():
            return False
        outbox.delay_all(until)
        return True

    def _is_down(self) -> bool:
        try:
            self._accounts().ingest.whoami()
        except ServiceUnreachable:
            return True
        return False


def _not_here(_seconds: Any) -> None:
    """A drain has more to do than to follow what another run is writing."""
    raise HeldElsewhere("Another run is writing this.", next_step="Nothing to do: it is looked at again.")


def outside_actor(ledger: Ledger, tell: Callable[[str], None]) -> Actor:
    """Who acts outside of any run: a sensor, or the command line. One name for each process, so that it takes up what it left."""
    pid = os.getpid()
    name = f"outbox-{boot_id()[:8]}-{pid}-{process_started(pid)}"
    ledger.workers.register(name, None)
    return Actor(name, lambda other: ledger.workers.life_of(other) is Life.GONE, tell=tell)
