"""Files that are no scans yet: how long they lie still, and what is wrong with them, over any restart.

Here: the memory. Not here: the walk over the folder (``intake``).
"""

from __future__ import annotations

from collections.abc import Callable

from ledger_kit import Clock

from als_assets.ledger import Ledger


def test_a_still_file_keeps_the_time_since_when(ledger: Ledger, clock: Clock) -> None:
    first = ledger.sightings.see("bl832", "f/a.h5", 10, 1)
    began = clock()
    clock.turn(seconds=8)
    again = ledger.sightings.see("bl832", "f/a.h5", 10, 1)
    assert first.unchanged_since == again.unchanged_since == began and again.seen_at == clock()


def test_a_change_of_size_or_time_starts_anew_and_clears_the_problem(ledger: Ledger, clock: Clock) -> None:
    for size, mtime in ((10, 1), (11, 1), (11, 2)):
        clock.turn(seconds=5)
        seen = ledger.sightings.see("bl832", "f/a.h5", size, mtime)
        assert seen.unchanged_since == clock() and seen.problem is None
        ledger.sightings.refuse("bl832", "f/a.h5", "it is empty", "repeat the scan")
    (row,) = ledger.sightings.list("bl832")
    assert (row.problem, row.next_step, row.size_bytes, row.mtime_ns) == ("it is empty", "repeat the scan", 11, 2)


def test_a_clock_that_was_set_back_starts_anew(ledger: Ledger, clock: Clock) -> None:
    """Otherwise the file would have to wait until the clock has caught up."""
    clock.turn(days=365)
    ledger.sightings.see("bl832", "f/a.h5", 10, 1)
    clock.turn(days=-365)
    assert ledger.sightings.see("bl832", "f/a.h5", 10, 1).unchanged_since == clock()


def test_it_is_forgotten_when_admitted(ledger: Ledger) -> None:
    ledger.sightings.see("bl832", "f/a.h5", 10, 1)
    ledger.sightings.see("bl733", "f/a.h5", 20, 1)
    ledger.sightings.forget("bl832", "f/a.h5")
    ledger.sightings.forget("bl832", "f/never-seen.h5")
    assert [(row.beamline, row.size_bytes) for row in ledger.sightings.list()] == [("bl733", 20)] and not ledger.sightings.list("bl832")


def test_the_memory_survives_a_restart(ledger: Ledger, reopen: Callable[[], Ledger], clock: Clock) -> None:
    began = clock()
    ledger.sightings.see("bl832", "f/a.h5", 2**40, 2**62)
    ledger.close()
    clock.turn(seconds=9)
    seen = reopen().sightings.see("bl832", "f/a.h5", 2**40, 2**62)
    assert seen.unchanged_since == began
