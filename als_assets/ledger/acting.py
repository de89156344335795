"""The order in which the record and a remote act go: intent, lease, look, act, follow, prove, close.

Here: the one loop that transfers, deletions and jobs share, so that a process killed at any line leaves what the next one needs
to carry on. Not here: what a particular act sends or how it proves its success; that is an ``Act``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from als_assets.errors import (
    AlsError,
    CollectionResting,
    DeleteFailed,
    HeldElsewhere,
    JobRefused,
    ServiceUnreachable,
    TransferDamaged,
    TransferFailed,
)
from als_assets.ledger.models import Operation
from als_assets.ledger.states import OPEN_OPERATIONS, OperationKind, OperationState
from als_assets.ledger.store import Ledger

# A service may be down for maintenance while the remote work goes on: only then does waiting become a failure of the step.
PATIENCE = timedelta(minutes=30)
# The remote side has seen the request and said no, so nothing of it runs: the next attempt is a new act with a request of its own.
_REFUSALS = (DeleteFailed, JobRefused, TransferDamaged, TransferFailed)
# How often progress is told while nothing but its numbers change, and how often it becomes an observation.
TELL_EVERY = timedelta(minutes=1)


def _silent(_sentence: str) -> None:
    return None


def _unseen(_facts: Mapping[str, Any]) -> None:
    return None


@dataclass(frozen=True)
class Actor:
    """Who acts: the run that holds leases, how it waits, and where its progress goes.

    ``may_take_over(run)`` tells whether another holder is provably out of the way; ``wait(seconds)`` sleeps (a signal may break
    it); ``tell(sentence)`` shows progress to staff; ``observe(facts)`` keeps its numbers, at most one set a minute; ``patience`` is how
    long a service that does not answer, or a pause, is waited out.
    """

    run_id: str
    may_take_over: Callable[[str], bool]
    wait: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = _silent
    observe: Callable[[Mapping[str, Any]], None] = _unseen
    patience: timedelta = field(default_factory=lambda: PATIENCE)

    def after(self, error: AlsError | None) -> Actor:
        """Who goes on with the next of many acts: of an outage or a pause that lasted, only the first waits for the end."""
        return replace(self, patience=timedelta(0)) if isinstance(error, (CollectionResting, ServiceUnreachable)) else self


@dataclass(frozen=True)
class Ended:
    """A remote act is over. ``error`` is what the step raises (None: success)."""

    state: OperationState
    why: str
    outcome: dict[str, Any] = field(default_factory=dict)
    error: AlsError | None = None


@dataclass(frozen=True)
class Running:
    """A remote act goes on; ``sentence`` says how far it is. While ``phase`` stays the same only the numbers change, and the sentence
    is told once a minute (without a phase every new sentence is told). ``facts`` are those numbers, by name. ``waits``: nothing goes on
    now, and that is raised when it lasts longer than the actor's patience; the act stays open."""

    sentence: str
    phase: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    waits: AlsError | None = None


class Act(Protocol):
    """One remote act. ``submit`` looks before it acts, because an earlier process may have come further than the record says;
    ``poll`` raises only when nothing can be said about the act (it then stays open), and returns ``Ended`` otherwise."""

    @property
    def key(self) -> str: ...

    @property
    def kind(self) -> OperationKind: ...

    @property
    def dataset_key(self) -> str: ...

    @property
    def replica_id(self) -> int | None: ...

    @property
    def poll_s(self) -> float: ...

    def request(self) -> dict[str, Any]: ...

    def submit(self, operation: Operation) -> dict[str, Any]: ...

    def poll(self, operation: Operation) -> Running | Ended: ...


def carry_out(ledger: Ledger, actor: Actor, act: Act, *, after: int) -> Operation:
    """Do the act exactly once and follow it to its end. Returns the closed operation.

    ``after`` is the number of an operation (``Replica.after_operation``): a later one of this act that succeeded is the one that is
    wanted; its process was killed before it could tell, and nothing is done again.

    Raises:
        LeaseLost: another run took over; leave quietly.
        AlsError: what the act found (``Ended.error``), or that nothing could be learnt or went on for ``actor.patience``.
    """
    done = done_after(ledger, act.key, after)
    if done is not None:
        return done
    operation = ledger.operations.begin(act.key, act.kind, act.dataset_key, act.request(), act.replica_id)
    taken = _take_or_follow(ledger, actor, operation, act.poll_s)
    if taken.state not in OPEN_OPERATIONS:  # the run that we followed closed it
        return _closed_by_another(taken)
    if taken.state is OperationState.INTENT:
        taken = _submit(ledger, act, taken)
    ended = _follow(ledger, actor, act, taken)
    closed = ledger.operations.finish(taken, ended.state, why=ended.why, outcome=ended.outcome)
    if ended.error is not None:
        raise ended.error
    return closed


def done_after(ledger: Ledger, key: str, number: int) -> Operation | None:
    """The operation that did the act, begun after the one with that number. Never asked of the clock: it may have been set back."""
    last = ledger.operations.last(key)
    return last if last is not None and last.state is OperationState.SUCCEEDED and last.id > number else None


def _submit(ledger: Ledger, act: Act, operation: Operation) -> Operation:
    ledger.operations.require_lease(operation)
    try:
        handle = act.submit(operation)
    except _REFUSALS as refused:
        ledger.operations.finish(operation, OperationState.FAILED, why=refused.sentence, outcome={"sentence": refused.sentence})
        raise
    return ledger.operations.submitted(operation, **handle)


def _take_or_follow(ledger: Ledger, actor: Actor, operation: Operation, poll_s: float) -> Operation:
    told = False
    while True:
        try:
            return ledger.operations.take(operation.id, actor.run_id, actor.may_take_over)
        except HeldElsewhere as held:
            if not told:
                actor.tell(f"{held.sentence} Following it.")
                told = True
        actor.wait(poll_s)
        operation = ledger.operations.get(operation.id)
        if operation.state not in OPEN_OPERATIONS:
            return operation


def _closed_by_another(operation: Operation) -> Operation:
    if operation.state is OperationState.SUCCEEDED:
        return operation
    raise AlsError(
        f"The run {operation.holder} that did this ended as {operation.state}: {operation.outcome.get('sentence', 'no reason')}",
        next_step="Look at that run; then re-execute this one from failure.",
        operation=operation.key,
    )


def _follow(ledger: Ledger, actor: Actor, act: Act, operation: Operation) -> Ended:
    waiting_since = None
    teller = _Teller(ledger, actor)
    while True:
        ledger.operations.require_lease(operation)
        try:
            now = act.poll(operation)
        except ServiceUnreachable as error:
            now = Running(error.sentence, waits=error)  # says nothing about the act itself: it may well be finishing
        if isinstance(now, Ended):
            return now
        if now.waits is None:
            waiting_since = None
        else:
            waiting_since = waiting_since or ledger.clock()
            if ledger.clock() - waiting_since >= actor.patience:
                raise now.waits
        operation = teller.tell(operation, now)
        actor.wait(act.poll_s)


class _Teller:
    """Tells staff how far an act is: at once when its phase changes, once a minute otherwise."""

    def __init__(self, ledger: Ledger, actor: Actor) -> None:
        self._ledger, self._actor = ledger, actor
        self._last: Running | None = None
        self._told_at = self._observed_at = ledger.clock()

    def tell(self, operation: Operation, now: Running) -> Operation:
        moment, last = self._ledger.clock(), self._last
        if now.facts and moment - self._observed_at >= TELL_EVERY:
            self._actor.observe(now.facts)
            self._observed_at = moment
        if last is not None and now.sentence == last.sentence:
            return operation
        if last is not None and now.phase and now.phase == last.phase and moment - self._told_at < TELL_EVERY:
            return operation
        self._actor.tell(now.sentence)
        self._last, self._told_at = now, moment
        return self._ledger.operations.annotate(operation, progress=now.sentence)
