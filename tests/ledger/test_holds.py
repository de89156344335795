"""A hold keeps one scan or a whole proposal, until its day or until it is released.

Here: placing, releasing, asking. Not here: that it wins over policies (``retention``).
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_kit import Clock, new_scan

from als_assets.errors import DatasetUnknown, LedgerError
from als_assets.ledger import Dataset, Ledger


def test_a_hold_on_a_scan(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    other = ledger.datasets.admit(new_scan("clay"))
    assert ledger.holds.on(sand) is None
    ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
    hold = ledger.holds.on(sand)
    assert hold is not None and (hold.who, hold.reason, hold.until, hold.created_at) == ("ada", "paper", None, clock())
    assert ledger.holds.on(other) is None
    assert (ledger.audit.of("sand")[0].who, ledger.audit.of("sand")[0].after, ledger.audit.of("sand")[0].why) == ("ada", "held", "paper")


def test_a_hold_on_a_proposal_covers_its_scans_only(ledger: Ledger, sand: Dataset) -> None:
    stranger = ledger.datasets.admit(new_scan("clay", proposal="ALS-1"))
    nobodys = ledger.datasets.admit(new_scan("loam", proposal=None))
    ledger.holds.place(who="ada", reason="review", proposal="ALS-00847")
    assert ledger.holds.on(sand) is not None
    assert ledger.holds.on(stranger) is None and ledger.holds.on(nobodys) is None


def test_a_hold_ends_on_its_day(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    ledger.holds.place(who="ada", reason="paper", dataset_key="sand", until=clock() + timedelta(days=2))
    clock.turn(days=1, hours=23)
    assert ledger.holds.on(sand) is not None
    clock.turn(hours=1)
    assert ledger.holds.on(sand) is None


def test_a_release_ends_one_hold_of_two(ledger: Ledger, sand: Dataset) -> None:
    first = ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
    second = ledger.holds.place(who="bob", reason="review", proposal="ALS-00847")
    ledger.holds.release(first.id, who="ada", reason="published")
    left = ledger.holds.on(sand)
    assert left is not None and left.id == second.id
    assert (ledger.audit.of("sand")[0].after, ledger.audit.of("sand")[0].why) == ("hold released", "published")
    ledger.holds.release(second.id, who="bob", reason="done")
    assert ledger.holds.on(sand) is None


@pytest.mark.parametrize("both", [{}, {"dataset_key": "sand", "proposal": "ALS-00847"}])
def test_a_hold_names_one_thing(ledger: Ledger, sand: Dataset, both: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either a dataset or a proposal"):
        ledger.holds.place(who="ada", reason="x", **both)


def test_a_hold_is_extended_and_the_audit_says_from_when_to_when(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    hold = ledger.holds.place(who="ada", reason="paper", dataset_key="sand", until=clock() + timedelta(days=2))
    ledger.holds.extend(hold.id, clock() + timedelta(days=30), who="bob", reason="second review")
    clock.turn(days=29)
    assert ledger.holds.on(sand) is not None
    row = ledger.audit.of("sand")[0]
    assert (row.who, row.before, row.after, row.why) == ("bob", "held until 2026-03-04", "held until 2026-04-01", "second review")
    ledger.holds.extend(hold.id, None, who="bob", reason="for good")
    clock.turn(days=9000)
    assert [h.id for h in ledger.holds.in_force()] == [hold.id]


def test_a_hold_that_would_hold_nothing_is_refused(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    with pytest.raises(LedgerError, match="would hold nothing"):
        ledger.holds.place(who="ada", reason="paper", dataset_key="sand", until=clock())
    hold = ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
    with pytest.raises(LedgerError, match="would hold nothing"):
        ledger.holds.extend(hold.id, clock() - timedelta(days=1), who="ada", reason="slip")
    assert ledger.holds.in_force()[0].until is None
    ledger.holds.release(hold.id, who="ada", reason="published")
    with pytest.raises(LedgerError, match="was released on 2026-03-02"):
        ledger.holds.extend(hold.id, None, who="ada", reason="slip")
    assert not ledger.holds.in_force()


def test_a_hold_on_what_is_not_known_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DatasetUnknown, match="'sannd'"):
        ledger.holds.place(who="ada", reason="paper", dataset_key="sannd")
    with pytest.raises(LedgerError, match="no hold with the number 7"):
        ledger.holds.release(7, who="ada", reason="paper")
