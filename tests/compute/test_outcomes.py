"""Remote state -> outcome -> what staff read: the table in the documentation is that of the code, and every reason has its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from als_assets.compute.outcomes import LIVE, REASON_OF_STATE, Reason, Row, rows, table

PAGES = Path(__file__).parent.parent.parent / "docs" / "staff" / "jobs"


def test_the_page_holds_the_table_that_the_code_obeys() -> None:
    """Written anew by: python -c 'from als_assets.compute.outcomes import table; print(table())'."""
    assert table() in (PAGES / "index.md").read_text()


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.NONE])
def test_every_reason_has_a_page_that_says_what_to_do(reason: Reason) -> None:
    text = (PAGES / Path(reason.page).name).read_text()
    assert text.startswith("# ")
    assert "## What happened" in text and "## What to do" in text


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.says)
def test_every_row_is_a_success_or_tells_what_to_do(row: Row) -> None:
    found = row.outcome
    assert found.what
    assert bool(found.next_step) is (found.reason is not Reason.NONE)
    assert (found.reason is Reason.NONE) == (row.says == "COMPLETED 0:0, result 0, output complete")


def test_the_rows_cover_every_reason_and_every_word() -> None:
    assert {row.outcome.reason for row in rows()} == set(Reason)
    assert {row.view.state for row in rows()} >= set(REASON_OF_STATE)
    assert not LIVE & set(REASON_OF_STATE)
