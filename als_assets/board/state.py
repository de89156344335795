"""A scan's state in one plain word, and a sighting's: what a person wants to see first.

Here: two pure functions. Not here: colours and icons (templates), and the state of steps (``verdict``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from als_assets.board.moments import ago
from als_assets.board.records import ScanRecord
from als_assets.board.safety import Safety
from als_assets.board.verdict import BAD, Step, StepState
from als_assets.ledger import Sighting
from als_assets.ledger.states import OPEN_OPERATIONS

# The sensor looks every few seconds: a file that was not seen for this long is gone, or nobody looks.
UNSEEN = timedelta(minutes=10)
STILL = timedelta(seconds=10)


@dataclass(frozen=True)
class State:
    """``word`` for people, ``look`` for icon and colour: good, busy, bad, partly, quiet."""

    word: str
    look: str


def is_going_on(record: ScanRecord) -> bool:
    """Whether something works on the scan now: then its page reloads itself."""
    at_work = any(o.state in OPEN_OPERATIONS and o.holder not in record.gone for o in record.operations)
    return bool(record.living) or at_work


def state_of(record: ScanRecord, steps: Sequence[Step], safety: Safety) -> State:
    """What needs a person comes first, then what is going on, then how safe it is."""
    if any(step.state in BAD for step in steps) or not safety.copies:
        return State("needs attention", "bad")
    if is_going_on(record) or any(step.state is StepState.GOING_ON for step in steps):
        return State("working", "busy")
    if record.dataset.started_at is None:
        return State("waiting", "quiet")
    if safety.verified_sites > 1:
        return State("safe", "good")
    return State("one copy" if safety.copies == 1 else "one site", "partly")


@dataclass(frozen=True)
class Seen:
    """A file at acquisition that is no scan (yet), with the reason."""

    path: str
    state: State
    sentence: str
    next_step: str
    size_bytes: int
    seen_at: datetime


def seen(sighting: Sighting, now: datetime) -> Seen:
    """The sighting in words."""
    if sighting.problem:
        state, words, after = State("refused", "bad"), sighting.problem, sighting.next_step or ""
    else:
        state = State("being written", "busy")
        growing = now - sighting.unchanged_since < STILL
        words = "It still grows." if growing else f"It last changed {ago(sighting.unchanged_since, now)}."
        words, after = f"{words} It is taken by itself once it is complete and lies still.", ""
    if now - sighting.seen_at > UNSEEN:
        state = State(state.word if sighting.problem else "not seen lately", state.look if sighting.problem else "quiet")
        words += f" Last seen {ago(sighting.seen_at, now)}."
        after = "It has been removed, or the new-scan sensor is not running: look at its page in Dagster."
    return Seen(sighting.path, state, words, after, sighting.size_bytes, sighting.seen_at)
