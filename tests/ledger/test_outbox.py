"""The outbox in the record: order, pauses, what is parked, and what is kept of what was written.

Here: rows, in both databases. Not here: SciCat (``tests/catalogue/test_delivery.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from ledger_kit import Clock, new_scan

from als_assets.ledger import Dataset, Ledger, OutboxKind, OutboxRow, Replica, ReplicaState
from als_assets.ledger.outbox import FIRST_DELAY, LONGEST_DELAY

RAW, DERIVED, LIFECYCLE = OutboxKind.RAW, OutboxKind.DERIVED, OutboxKind.LIFECYCLE


@pytest.fixture
def row(ledger: Ledger, sand: Dataset) -> OutboxRow:
    return ledger.outbox.enqueue("als/1", "sand", RAW, {"v": 1})


def pids(rows: object) -> list[str]:
    return [row.pid for row in rows]  # type: ignore[attr-defined]


def test_what_is_enqueued_is_due_at_once_and_survives_the_process(
    ledger: Ledger, row: OutboxRow, clock: Clock, reopen: Callable[[], Ledger]
) -> None:
    (found,) = reopen().outbox.due(10)
    assert (found.pid, found.dataset_key, found.kind, found.body) == ("als/1", "sand", RAW, {"v": 1})
    assert (found.enqueued_at, found.attempts, found.last_error, found.done_at) == (clock(), 0, None, None)


def test_the_newest_body_wins_and_keeps_its_place(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    ledger.outbox.enqueue("als/2", "sand", DERIVED, {})
    first = clock()
    ledger.outbox.delay(row.id, "SciCat is away")
    clock.turn(minutes=1)
    again = ledger.outbox.enqueue("als/1", "sand", RAW, {"v": 2})
    assert (again.id, again.body, again.attempts, again.last_error) == (row.id, {"v": 2}, 0, None)
    assert (again.enqueued_at, again.changed_at, again.next_try_at) == (first, clock(), clock())
    assert pids(ledger.outbox.due(10)) == ["als/1", "als/2"]


def test_each_kind_of_a_record_waits_for_itself(ledger: Ledger, row: OutboxRow) -> None:
    ledger.outbox.enqueue("als/1", "sand", LIFECYCLE, {})
    assert [r.kind for r in ledger.outbox.open_rows("sand")] == [RAW, LIFECYCLE]


def test_pauses_grow_to_a_limit(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    pauses = []
    for number in range(12):
        delayed = ledger.outbox.delay(row.id, f"away {number}")
        assert delayed.next_try_at is not None
        pauses.append(delayed.next_try_at - clock())
        assert ledger.outbox.due(10) == []
        clock.turn(seconds=pauses[-1].total_seconds())
        assert pids(ledger.outbox.due(10)) == ["als/1"]
    assert pauses[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert max(pauses) == pauses[-1] == LONGEST_DELAY
    assert ledger.outbox.get(row.id).last_error == "away 11"


def test_an_outage_puts_off_everything_that_waits(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    refused = ledger.outbox.enqueue("als/2", "sand", DERIVED, {})
    ledger.outbox.park(refused.id, "400")
    later = ledger.outbox.enqueue("als/3", "sand", DERIVED, {})
    until = clock() + timedelta(seconds=30)
    ledger.outbox.delay_all(until)
    found = {r.pid: r.next_try_at for r in ledger.outbox.open_rows()}
    assert found == {row.pid: until, refused.pid: None, later.pid: until}


def test_what_waits_is_counted(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    assert (ledger.outbox.summary(), ledger.outbox.resting_until()) == ((1, 0, None), None)
    delayed = ledger.outbox.delay(row.id, "SciCat is away")
    ledger.outbox.park(ledger.outbox.enqueue("als/2", "sand", DERIVED, {}).id, "400")
    assert ledger.outbox.summary() == (1, 1, "SciCat is away")
    assert ledger.outbox.resting_until() == delayed.next_try_at == clock() + FIRST_DELAY


def test_what_was_refused_is_not_tried_until_it_is_enqueued_anew(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    ledger.outbox.park(row.id, "owner: must be a string")
    clock.turn(days=30)
    assert ledger.outbox.due(10) == []
    assert pids(ledger.outbox.refused()) == ["als/1"]
    ledger.outbox.enqueue("als/1", "sand", RAW, {"v": 2})
    assert pids(ledger.outbox.due(10)) == ["als/1"]
    assert ledger.outbox.refused() == []


def test_of_a_written_record_the_receipt_is_kept(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    assert ledger.outbox.done(row, {"url": "u"})
    (written,) = ledger.outbox.written("sand")
    assert (written.outcome, written.body, written.done_at) == ({"url": "u"}, {}, clock())
    assert ledger.outbox.open_rows() == []


def test_of_a_lifecycle_the_last_statement_is_kept(ledger: Ledger, row: OutboxRow) -> None:
    for number in (1, 2):
        ledger.outbox.done(ledger.outbox.enqueue("als/1", "sand", LIFECYCLE, {"n": number}), {})
    newest = ledger.outbox.newest("als/1", LIFECYCLE)
    assert newest is not None and newest.body == {"n": 2}
    ledger.outbox.enqueue("als/1", "sand", LIFECYCLE, {"n": 3})
    newest = ledger.outbox.newest("als/1", LIFECYCLE)
    assert newest is not None and newest.body == {"n": 3}
    assert ledger.outbox.newest("als/unheard", RAW) is None


def test_a_body_that_came_while_the_older_one_was_written_stays_due(ledger: Ledger, row: OutboxRow, clock: Clock) -> None:
    clock.turn(seconds=1)
    ledger.outbox.enqueue("als/1", "sand", RAW, {"v": 2})
    assert not ledger.outbox.done(row, {"v": 1})
    (due,) = ledger.outbox.due(10)
    assert due.body == {"v": 2}


def test_writing_again_leaves_one_row(ledger: Ledger, row: OutboxRow) -> None:
    ledger.outbox.done(row, {"n": 1})
    ledger.outbox.done(ledger.outbox.enqueue("als/1", "sand", RAW, {}), {"n": 2})
    assert [r.outcome for r in ledger.outbox.written()] == [{"n": 2}]


def test_what_belongs_to_one_scan_goes_in_its_order(ledger: Ledger, row: OutboxRow) -> None:
    ledger.datasets.admit(new_scan("clay"))
    other = ledger.outbox.enqueue("als/9", "clay", RAW, {})
    result = ledger.outbox.enqueue("als/2", "sand", DERIVED, {})
    assert pids(ledger.outbox.ahead_of(result)) == ["als/1"]
    assert ledger.outbox.ahead_of(other) == []
    ledger.outbox.park(row.id, "refused")
    assert ledger.outbox.ahead_of(result) == []


def test_enqueued_by_many_at_once_it_waits_once(ledger: Ledger, sand: Dataset) -> None:
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda n: ledger.outbox.enqueue("als/1", "sand", RAW, {"n": n}), range(16)))
    assert len({r.id for r in rows}) == 1
    assert len(ledger.outbox.open_rows()) == 1


def test_copies_and_records_that_changed_are_noticed(ledger: Ledger, copy: Replica, clock: Clock) -> None:
    assert ledger.outbox.moved_since(0)[0] == [], "without a record there is nothing to tell"
    ledger.outbox.done(ledger.outbox.enqueue("als/1", "sand", RAW, {}), {})
    keys, seen = ledger.outbox.moved_since(0)
    assert keys == ["sand"]
    assert ledger.outbox.moved_since(seen) == ([], seen)
    clock.turn(hours=-5)  # somebody sets the clock right: what happens now is told too
    ledger.replicas.move(copy.id, ReplicaState.COPYING, why="a test")
    keys, then = ledger.outbox.moved_since(seen)
    assert keys == ["sand"] and then > seen
    ledger.outbox.done(ledger.outbox.enqueue("als/2", "sand", DERIVED, {}), {})
    assert ledger.outbox.moved_since(then)[0] == ["sand"]


def test_the_audit_says_when_scicat_holds_a_record(ledger: Ledger, row: OutboxRow) -> None:
    ledger.outbox.done(row, {})
    said = ledger.audit.of("sand")[0]
    assert (said.subject, said.after, said.why) == ("als/1", "catalogued", "SciCat holds the raw record")
